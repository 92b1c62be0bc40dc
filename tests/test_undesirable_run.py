"""`heatlift undesirable` from the command line to its tables, on real files and a small network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import heatlift as hl
from heatlift.agreement import agreement
from heatlift.blobs import blobs
from heatlift.cli import run as command_line
from heatlift.images import decode
from heatlift.perturbation import perturbed, reference_images
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path, perturbed_path, reference_path
from heatlift.run.tables import UNDESIRABLE, read_table, write_part
from heatlift.run.undesirable import prepare_undesirable, run_undesirable, undesirable_configured
from heatlift.run.undesirable_summary import summarise_undesirable
from pictures import class_folders

SHORT: dict[str, Any] = {"model": "networks:small", "steps": 6, "resolution": 8, "kernel": 5, "sigma": 2.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = class_folders(tmp_path_factory.mktemp("undesirable") / "data")
    (folder / "bee" / "torn.png").write_bytes(b"\x89PNG\r\n")
    return folder


def found_in(data: Path, out: Path, **settings: Any) -> dict[str, Any]:
    config = undesirable_configured(data=str(data), **(SHORT | settings))
    return run_undesirable(prepare_undesirable(config), out, lambda *_: None)


def rows(run: Path, table: str = "undesirable") -> list[dict[str, Any]]:
    return list(read_table(run, table).to_pylist())


def of(found: list[dict[str, Any]], image: str, factor: str, trial: int = 0) -> dict[str, Any]:
    (row,) = [r for r in found if (r["image"], r["factor"], r["trial"]) == (image, factor, trial)]
    return row


def test_the_tables_have_what_the_method_finds(data: Path, tmp_path: Path) -> None:
    factors = ("target", "non_target", "none")
    run = tmp_path / "run"
    settings = {
        "factor": factors,
        "trials": 2,
        "keep_steps": "all",
        "verify_on": "networks:small_with_a_norm",
    }
    summary = found_in(data, run, target="label", gamma=2.0, **settings)
    found, pairs = rows(run), rows(run, "agreement")
    assert len(found) == 15 * 3 * 2 + 1
    assert len(pairs) == 15 * 3
    (torn,) = [row for row in found if row["status"] != "ok"]
    assert torn["image"] == "bee/torn.png"
    assert torn["status"].startswith("unreadable")
    assert torn["factor"] is None
    clf, other = hl.load("networks:small"), hl.load("networks:small_with_a_norm")
    image = "cow/3.png"
    x = decode(data / image, clf.framing).unsqueeze(0).float() / 255
    for factor in factors:
        method = hl.UndesirablePixels(
            None if factor == "none" else factor,  # type: ignore[arg-type]
            steps=6,
            resolution=8,
            kernel=5,
            sigma=2.0,
            gamma=2.0,
        )
        label = torch.tensor([of(found, image, factor)["label"]])
        trials = [method(clf, x, label, trial=trial) for trial in (0, 1)]
        for number, expected in enumerate(trials):
            row = of(found, image, factor, number)
            for name in ("p_before", "p_after", "area", "max_magnitude", "phi"):
                assert row[name] == pytest.approx(float(getattr(expected, name)), abs=1e-3), name
            for name in ("target", "predicted_before", "predicted_after"):
                assert row[name] == int(getattr(expected, name))
            with torch.no_grad():
                before, after = other(x).softmax(1), other(expected.perturbed).softmax(1)
                nothing = reference_images(x, "blur", 5, 2.0)
                blurred = clf(nothing).softmax(1)[0, label]
                elsewhere = blobs(x, expected.masks, 0, str(number))
                blob = clf(perturbed(x, elsewhere, nothing)).softmax(1)
            assert row["p_verify_before"] == pytest.approx(float(before[0, label]), abs=1e-5)
            assert row["p_verify_after"] == pytest.approx(float(after[0, label]), abs=1e-4)
            assert row["remainder"] == pytest.approx(1 - row["p_before"], abs=1e-6)
            assert row["p_blur"] == pytest.approx(float(blurred), abs=1e-5)
            assert row["p_blob"] == pytest.approx(float(blob[0, label]), abs=1e-4)
            assert row["predicted_blob"] == int(blob.argmax())
            assert row["taken"] == pytest.approx(float((1 - expected.masks).mean()), abs=1e-3)
        (pair,) = [p for p in pairs if p["image"] == image and p["factor"] == factor]
        masks = [(1 - trial.masks[0, 0]).double().numpy() for trial in trials]
        assert pair["correlation"] == pytest.approx(agreement(masks[0], masks[1], 0.6).correlation, abs=1e-3)
        kept = Evolutions(run)
        np.testing.assert_allclose(kept.final(f"{factor}/{image}")[0], masks[0], atol=2e-3)
        assert kept.steps(f"{factor}/{image}") == list(range(7))
        np.testing.assert_allclose(kept.frame(f"{factor}/{image}", 6)[0], masks[0], atol=0.01)
        with Image.open(perturbed_path(run, factor, image)) as picture:
            shown = np.asarray(picture).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(shown, trials[0].perturbed[0].numpy(), atol=0.01)
    with Image.open(original_path(run, image)) as original:
        assert np.array_equal(np.asarray(original), decode(data / image, clf.framing).permute(1, 2, 0))
    assert len(kept.images()) == 15 * 3
    assert summary["counts"]["ok"] == 15
    assert summary["counts"]["failed"] == 1


def test_a_summary_is_of_the_first_trial(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    summary = found_in(data, run, factor=("target", "none"), trials=3, target="label", init="random")
    found, pairs = rows(run), rows(run, "agreement")
    for about in summary["factors"]:
        mine = [r for r in found if r["factor"] == about["factor"] and r["trial"] == 0]
        assert about["n"] == len(mine) == 15
        room = [r["phi"] for r in mine if r["remainder"] >= 1e-3]
        assert about["n_phi_excluded"] == 15 - len(room)
        assert about["phi"]["value"] == pytest.approx(np.mean(room))
        assert about["phi_median"]["value"] == pytest.approx(np.median([r["phi"] for r in mine]))
        assert about["got_worse"]["value"] == np.mean([r["p_after"] < r["p_before"] for r in mine])
        wrong = [r for r in mine if r["predicted_before"] != r["label"]]
        assert about["turned_right"]["n"] == len(wrong) == summary["counts"]["wrong_before"]
        right = [r["predicted_after"] == r["label"] for r in wrong]
        assert about["turned_right"]["value"] == np.mean(right)
        of_factor = [p for p in pairs if p["factor"] == about["factor"]]
        assert about["agreement"]["pairs"] == len(of_factor) == 45
        by_image = [
            np.mean([p["correlation"] for p in of_factor if p["image"] == name])
            for name in {p["image"] for p in of_factor}
        ]
        assert about["agreement"]["correlation"]["value"] == pytest.approx(np.mean(by_image))
        assert about["agreement"]["correlation"]["n"] == 15


def test_a_run_that_was_stopped_goes_on(data: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for run in (whole, torn):
        found_in(data, run, shard_size=4, trials=2)
    for part in (*(torn / "undesirable").glob("*-000001*"), *(torn / "agreement").glob("*-000002*")):
        part.unlink()
    found_in(data, torn, shard_size=4, trials=2)
    for table in ("undesirable", "agreement"):
        assert read_table(torn, table).equals(read_table(whole, table))
    with pytest.raises(hl.HeatliftError, match=r"config\.trials: was 2, is 3"):
        found_in(data, torn, shard_size=4, trials=3)


def test_wrong_predictions_and_images_without_labels(data: Path, tmp_path: Path) -> None:
    summary = found_in(data, tmp_path / "wrong", include="wrong", target="label", keep_steps=2)
    ok = [row for row in rows(tmp_path / "wrong") if row["status"] == "ok"]
    assert summary["counts"]["wrong_before"] == len(ok) > 2
    assert all(row["predicted_before"] != row["label"] == row["target"] for row in ok)
    assert len(Evolutions(tmp_path / "wrong").images()) == 2
    (tmp_path / "flat").mkdir()
    for i, file in enumerate(sorted(data.glob("*/[0-2].png"))):
        shutil.copy(file, tmp_path / "flat" / f"{i}.png")
    with pytest.raises(hl.HeatliftError, match=r"--target label: some images of .* have no label"):
        found_in(tmp_path / "flat", tmp_path / "run", target="label")
    summary = found_in(tmp_path / "flat", tmp_path / "run")
    assert all(row["target"] == row["predicted_before"] for row in rows(tmp_path / "run"))
    assert summary["factors"][0]["turned_right"] is None
    assert summary["factors"][0]["agreement"] is None


def test_a_blob_has_its_mask_s_values_elsewhere() -> None:
    stream = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 20, 30, generator=stream)
    masks = torch.rand(2, 1, 20, 30, generator=stream)
    masks[1] = 1.0
    masks[1, 0, 3:8, 4:10] = 0.2
    found = blobs(images, masks, seed=3)
    assert torch.equal(found.flatten(1).sort().values, masks.flatten(1).sort().values)
    assert torch.equal(found, blobs(images, masks, seed=3))
    assert not torch.equal(found, blobs(images, masks, seed=4))
    assert not torch.equal(found[1], masks[1])
    # What is low hangs together: far fewer borders than scattered pixels would have.
    assert float((found[1].diff(dim=-1) != 0).float().mean()) < 0.05


def invented(run: Path, **differing: Any) -> dict[str, Any]:
    """A run with a table of known figures; its verdict."""
    from heatlift.run.record import write_json
    from heatlift.run.tables import FORMAT

    config = {"factor": ["none"], "game": "improve"}
    record = {"format": FORMAT, "kind": "undesirable", "config": config, "verify": {"name": "B"}}
    run.mkdir(exist_ok=True)
    write_json(run / "run.json", record)
    row = dict.fromkeys(UNDESIRABLE.names) | {
        "label": 1,
        "target": 1,
        "factor": "none",
        "trial": 0,
        "p_before": 0.4,
        "p_after": 0.7,
        "remainder": 0.6,
        "phi": 50.0,
        "area": 0.02,
        "max_magnitude": 0.9,
        "predicted_before": 0,
        "predicted_after": 1,
        "taken": 0.08,
        "phi_blob": 5.0,
        "predicted_blob": 0,
        "predicted_blur": 0,
        "status": "ok",
    }
    write_part(run, "undesirable", 0, [row | {"image": str(i)} | differing for i in range(20)])
    pair = {"factor": "none", "first": 0, "second": 1, "iou": None, "correlation": 0.97}
    write_part(run, "agreement", 0, [pair | {"image": str(i)} for i in range(20)])
    return summarise_undesirable(run)


def test_the_verdict_says_what_the_figures_say(tmp_path: Path) -> None:
    verdict = invented(tmp_path)["verdict"]
    for words in (
        "masks that take 8.0% of the image away (of 2.0% of the pixels more than 0.6) raise the class's",
        "by 0.300 [+0.300, +0.300]",
        "phi 50%; the same values in random places 5%",
        "of 20 wrong predictions 100% turn right [84%, 100%], 0% with random places",
        "trials agree: correlation 0.97",
    ):
        assert words in verdict
    assert "took no part" not in verdict
    summary = invented(tmp_path, p_verify_before=0.3, p_verify_after=0.4)
    assert "for B, which took no part, it changes by +0.100" in summary["verdict"]
    assert summary["factors"][0]["agreement"]["empty"] == 20
    assert "lower the class" in invented(tmp_path, p_after=0.3)["verdict"]
    summary = invented(tmp_path, remainder=1e-5, phi=-4000.0)
    assert summary["factors"][0]["phi"] is None
    assert summary["factors"][0]["n_phi_excluded"] == 20


@pytest.mark.parametrize("column", ["phi", "phi_blob", "p_verify_after"])
def test_a_figure_of_a_single_image_has_no_interval(tmp_path: Path, column: str) -> None:
    known = {"phi": 50.0, "phi_blob": 5.0, "p_verify_before": 0.3, "p_verify_after": 0.4}
    from heatlift.run.record import write_json

    invented(tmp_path, **known)
    table = rows(tmp_path)
    for row in table[1:]:
        row[column] = None
    write_part(tmp_path, "undesirable", 0, table)
    write_json(tmp_path / "summary.json", {})
    summary = summarise_undesirable(tmp_path)
    assert "raise the class" in summary["verdict"]


def test_an_image_whose_masks_break_off_is_alone(data: Path, tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "data", each=3)
    Image.new("RGB", (40, 40), (9, 9, 9)).save(folder / "ant" / "black.png")
    for keep in ("all", "none"):
        model = "networks:has_no_slope_in_the_dark"
        summary = found_in(folder, tmp_path / keep, model=model, keep_steps=keep)
        assert summary["counts"]["ok"] == 9
        assert summary["counts"]["failed"] == 1


def test_what_needs_no_label(data: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    shutil.copy(data / "ant" / "0.png", tmp_path / "flat" / "0.png")
    with pytest.raises(hl.HeatliftError, match=r"--include wrong: the images of .* have no labels"):
        found_in(tmp_path / "flat", tmp_path / "run", include="wrong")
    assert not (tmp_path / "run").exists()
    mixed = shutil.copytree(data, tmp_path / "mixed")
    shutil.copy(data / "ant" / "0.png", mixed / "loose.png")
    summary = found_in(mixed, tmp_path / "mixed-run", include="wrong")
    assert summary["counts"]["failures"]["left out: no label"] == 1


def test_a_class_has_a_number_or_a_name(data: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ant\nbee\ncow, moo\n")
    settings = {"model": "torchvision:squeezenet1_1", "weights": "random", "size": 32, "limit": 2, "steps": 1}
    for target in (2, "moo"):
        found_in(data, tmp_path / str(target), target=target, classes=str(tmp_path / "names.txt"), **settings)
        record = json.loads((tmp_path / str(target) / "run.json").read_text())
        assert record["config"]["target"] == 2
        assert all(row["target"] in (2, None) for row in rows(tmp_path / str(target)))


def test_factors_by_preset() -> None:
    plain = {"data": "x", "model": "demo"}
    assert undesirable_configured(**plain).factor == ("target",)
    assert undesirable_configured(**plain, preset="stable").factor == ("none",)


def test_the_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = f"undesirable {data} --model networks:small --out {out} --factor target,non-target --steps 4"
    arguments += " --kernel 5 --keep-steps 2 --trials 2"
    assert command_line(arguments.split()) == 0
    printed = capsys.readouterr().out
    assert "With F-TC" in printed
    assert "With F-NTC" in printed
    assert "unreadable" in printed
    assert (out / "report.html").is_file()
    assert json.loads((out / "run.json").read_text())["config"]["factor"] == ["target", "non_target"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--factor both", "--factor"),
        ("--factor target,target", "each once"),
        ("--kernel 10", "odd"),
        ("--kernel 4001", "--kernel 4001 is too large"),
        ("--target 7", "--target: no class '7': give a number from 0 to 2"),
        ("--trials 0", "--trials"),
        ("--trials 2 --init ones", "every trial is the same"),
        ("--steps -1", "--steps"),
        ("--verify-on networks:small", "takes part"),
    ],
)
def test_bad_options_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    arguments = f"undesirable {data} --model networks:small --out {tmp_path / 'run'} {options}"
    assert command_line(arguments.split()) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "run").exists()


def test_what_the_steps_and_the_pictures_of_kept_images_say(data: Path, tmp_path: Path) -> None:
    run, image = tmp_path / "run", "cow/3.png"
    found_in(data, run, factor=("target", "none"), trials=2, keep_steps="all", target="label")
    clf = hl.load("networks:small")
    x = decode(data / image, clf.framing).unsqueeze(0).float() / 255
    blurred = reference_images(x, "blur", 5, 2.0)
    with Image.open(reference_path(run, image)) as opened:
        expected = (blurred[0].permute(1, 2, 0) * 255).round().numpy()
        assert np.abs(np.asarray(opened, float) - expected).max() <= 1
    for factor in ("target", "none"):
        steps = [r for r in rows(run, "evolutions") if (r["image"], r["factor"]) == (image, factor)]
        assert [row["step"] for row in steps] == list(range(7))
        last, row = steps[-1], of(rows(run), image, factor)
        assert last["p_target"] == last["p_label"] == pytest.approx(row["p_after"], abs=1e-4)
        assert last["top"][0] == row["predicted_after"]
        assert last["co"] is None
        # A frame with its reference gives the image that the network was shown then.
        mask = 1 - torch.from_numpy(Evolutions(run).frame(f"{factor}/{image}", 3))[None]
        with torch.no_grad():
            p = clf(perturbed(x, mask, blurred)).double().softmax(1)[0, row["target"]]
        assert steps[3]["p_target"] == pytest.approx(float(p), abs=0.01)
