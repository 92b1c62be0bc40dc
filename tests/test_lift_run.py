"""`heatlift lift` from the command line to its tables, on real files and a small network."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import heatlift as hl
from heatlift.cli import run as command_line
from heatlift.images import decode
from heatlift.run.evolutions import Evolutions
from heatlift.run.lift import lift_configured, prepare_lift, run_lift
from heatlift.run.lift_summary import summarise_lift
from heatlift.run.originals import original_path
from heatlift.run.tables import LIFT, read_table
from pictures import class_folders


def quiet(done: int, total: int, step: str) -> None:
    """No display."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = class_folders(tmp_path_factory.mktemp("lift") / "data")
    (folder / "bee" / "torn.png").write_bytes(b"\x89PNG\r\n")
    return folder


def lifted(data: Path, out: Path, **settings: Any) -> dict[str, Any]:
    short = {"model": "networks:small", "max_steps": 6, "target_co": 1.5, "include": "all"}
    config = lift_configured(data=str(data), **(short | settings))
    return run_lift(prepare_lift(config), out, quiet)


def rows(run: Path, table: str = "lift") -> dict[str, dict[str, Any]]:
    return {row["image"]: row for row in read_table(run, table).to_pylist()}


def test_the_table_has_what_gax_finds(data: Path, tmp_path: Path) -> None:
    summary = lifted(data, tmp_path / "run", verify_on="networks:small_with_a_norm", keep_steps="all")
    found = rows(tmp_path / "run")
    assert len(found) == 16
    assert found["bee/torn.png"]["status"].startswith("unreadable")
    clf, other = hl.load("networks:small"), hl.load("networks:small_with_a_norm")
    for name in ("ant/0.png", "cow/3.png"):
        row = found[name]
        x = decode(data / name, clf.framing).unsqueeze(0).float() / 255
        expected = hl.GAX(target_co=1.5, max_steps=6)(clf, x, torch.tensor([row["label"]]))
        assert row["target"] == row["label"]
        assert row["steps"] == int(expected.steps)
        assert row["reached"] == bool(expected.reached)
        assert row["co"] == pytest.approx(float(expected.score), abs=1e-4)
        assert row["co_clipped"] == pytest.approx(float(expected.score_clipped), abs=1e-4)
        clipped = expected.augmented.clamp(0, 1)
        with torch.no_grad():
            before, after = other(x).softmax(1), other(clipped).softmax(1)
        assert row["p_verify_before"] == pytest.approx(float(before[0, row["label"]]), abs=1e-5)
        assert row["p_verify_after"] == pytest.approx(float(after[0, row["label"]]), abs=1e-4)
        assert row["change"] == pytest.approx(float((clipped - x).abs().mean()), abs=1e-5)
        steps = [r for r in read_table(tmp_path / "run", "evolutions").to_pylist() if r["image"] == name]
        assert [r["step"] for r in steps] == list(range(row["steps"] + 1))
        assert steps[-1]["co"] == pytest.approx(row["co"], abs=1e-3)
        kept = Evolutions(tmp_path / "run")
        assert kept.steps(name) == list(range(row["steps"] + 1))
        np.testing.assert_allclose(kept.final(name), expected.heatmaps[0].numpy(), atol=2e-3)
        np.testing.assert_allclose(kept.frame(name, row["steps"]), expected.heatmaps[0].numpy(), atol=0.01)
        with Image.open(original_path(tmp_path / "run", name)) as original:
            assert np.array_equal(np.asarray(original), decode(data / name, clf.framing).permute(1, 2, 0))
    ok = [row for row in found.values() if row["status"] == "ok"]
    assert summary["counts"]["ok"] == len(ok) == 15
    assert summary["counts"]["reached"] == sum(row["reached"] for row in ok)
    gains = [row["p_after"] - row["p_before"] for row in ok]
    assert summary["figures"]["all"]["p_gain"]["value"] == pytest.approx(np.mean(gains))
    assert summary["figures"]["all"]["p_verify_gain"]["n"] == 15
    assert summary["finding"] in ("shared", "adversarial", "unclear")
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary


def test_a_killed_run_goes_on_and_ends_the_same(data: Path, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    lifted(data, whole, shard_size=4, keep_steps="all")
    lifted(data, torn, shard_size=4, keep_steps="all")
    kept = {name: Evolutions(torn).final(name) for name in Evolutions(torn).images()}
    for folder in sorted((torn / "maps.zarr").glob("[0-9a-f]*"))[:5]:
        shutil.rmtree(folder)
    (torn / "summary.json").unlink()
    for part in (*(torn / "lift").glob("*"), *(torn / "evolutions").glob("*-000000*")):
        part.unlink()
    lifted(data, torn, shard_size=4, keep_steps="all")
    assert {name: Evolutions(torn).final(name).tolist() for name in Evolutions(torn).images()} == {
        name: heatmap.tolist() for name, heatmap in kept.items()
    }
    for table in ("lift", "evolutions"):
        assert read_table(torn, table).equals(read_table(whole, table))
    with pytest.raises(hl.HeatliftError, match=r"holds another lift \(config\.max steps: was 6, is 7\)"):
        lifted(data, torn, shard_size=4, keep_steps="all", max_steps=7)


def test_steps_are_kept_of_a_sample_or_not_at_all(data: Path, tmp_path: Path) -> None:
    lifted(data, tmp_path / "some", keep_steps=3)
    kept = Evolutions(tmp_path / "some").images()
    assert 2 <= len(kept) <= 3  # a torn one may be among them
    lifted(data, tmp_path / "none", keep_steps="none")
    assert Evolutions(tmp_path / "none").images() == []
    assert not (tmp_path / "none" / "originals").exists()
    assert rows(tmp_path / "some") == rows(tmp_path / "none")


def test_images_that_are_left_out_do_not_use_up_those_that_are_kept(data: Path, tmp_path: Path) -> None:
    for include in ("correct", "wrong"):
        lifted(data, tmp_path / include, include=include, keep_steps=2)
        assert len(Evolutions(tmp_path / include).images()) == 2


def test_several_networks_are_convinced_at_once(data: Path, tmp_path: Path) -> None:
    settings = {"method": "spotlight", "steps": 5, "resolution": 4, "shift": 2}
    others = ("networks:small_with_a_norm",)
    summary = lifted(data, tmp_path / "run", also=others, **settings)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [about["spec"] for about in record["also"]] == list(others)
    assert summary["run"]["also"] == record["also"]
    found = rows(tmp_path / "run")
    clf, other = hl.load("networks:small"), hl.load("networks:small_with_a_norm")
    row = found["ant/0.png"]
    x = decode(data / "ant" / "0.png", clf.framing).unsqueeze(0).float() / 255
    method = hl.Spotlight(steps=5, resolution=4, shift=2)
    expected = method(clf, x, torch.tensor([row["label"]]), others=[other])
    alone = method(clf, x, torch.tensor([row["label"]]))
    assert row["co"] == pytest.approx(float(expected.score), abs=1e-4)
    assert abs(row["co"] - float(alone.score)) > 1e-3


def test_networks_that_can_t_take_part_are_refused(data: Path, tmp_path: Path) -> None:
    other, spot = "networks:small_with_a_norm", {"method": "spotlight"}
    for settings, words in (
        ({"also": (other,)}, "--also is for --method spotlight"),
        (
            spot | {"also": (other,), "also_weights": ("default", "default")},
            "--also-weights is given 2 times",
        ),
        (spot | {"also": (other,), "verify_on": other}, "is a network that takes part"),
        ({"verify_on": "networks:small"}, "is a network that takes part"),
        (spot | {"also": ("demo",)}, "they must be the same"),
    ):
        with pytest.raises(hl.HeatliftError, match=words):
            lifted(data, tmp_path / "run", **settings)


def test_a_batch_size_is_found_and_kept(data: Path, tmp_path: Path) -> None:
    lifted(data, tmp_path / "run", batch_size="auto", limit=4, max_steps=1)
    found = json.loads((tmp_path / "run" / "run.json").read_text())["batch_size"]
    assert 1 <= found <= 64


def test_images_are_chosen_by_what_is_predicted(data: Path, tmp_path: Path) -> None:
    everything = lifted(data, tmp_path / "all")
    for include in ("correct", "wrong"):
        summary = lifted(data, tmp_path / include, include=include)
        assert summary["counts"]["ok"] == everything["counts"][f"{include}_before"] > 0
        other = {"correct": "wrong", "wrong": "correct"}[include]
        assert summary["counts"]["failures"][f"left out: predicted {other}ly"] > 0


def test_images_without_labels_are_raised_to_what_is_predicted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flat").mkdir()
    for i, file in enumerate(sorted(data.glob("*/[0-2].png"))):
        shutil.copy(file, tmp_path / "flat" / f"{i}.png")
    arguments = f"lift {tmp_path / 'flat'} --model networks:small --out {tmp_path / 'run'} --max-steps 4"
    assert command_line(arguments.split()) == 0
    assert "no labels: there the class that is predicted is raised" in capsys.readouterr().out
    for row in rows(tmp_path / "run").values():
        assert row["status"] == "ok"
        assert row["label"] is None
        assert row["target"] == row["predicted_before"]


def test_spotlights(data: Path, tmp_path: Path) -> None:
    settings = {"method": "spotlight", "steps": 8, "target": 2, "resolution": 4}
    summary = lifted(data, tmp_path / "run", **settings)
    ok = [row for row in rows(tmp_path / "run").values() if row["status"] == "ok"]
    assert {row["operation"] for row in ok} == {"multiply"}
    assert {row["target"] for row in ok} == {2}
    assert all(row["co"] == row["co_clipped"] for row in ok)
    assert all(row["reached"] == (row["predicted_after"] == 2) for row in ok)
    assert summary["figures"]["all"]["p_gain"]["value"] > 0
    assert summary["finding"] == "not checked"
    assert "--verify-on" in summary["verdict"]


def test_a_network_that_breaks_off_loses_only_the_images_it_breaks_on(data: Path, tmp_path: Path) -> None:

    folder = class_folders(tmp_path / "data", each=3)
    Image.new("RGB", (40, 40)).save(folder / "ant" / "black.png")
    model = "networks:returns_nan_for_dark_images"
    summary = lifted(folder, tmp_path / "run", model=model, keep_steps="all")
    found = rows(tmp_path / "run")
    assert found["ant/black.png"]["status"] == "the network returned NaN or infinite logits"
    assert found["ant/black.png"]["co"] is None
    assert summary["counts"]["images"] == 10
    # A heatmap makes no other image so dark.
    assert summary["counts"]["ok"] == 9


def test_what_the_second_network_can_t_say_is_absent(data: Path, tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "data", each=4)
    Image.new("RGB", (40, 40)).save(folder / "ant" / "black.png")
    other = "networks:returns_nan_for_dark_images"
    own = "networks:small_with_a_norm"
    summary = lifted(folder, tmp_path / "run", model=own, verify_on=other, max_steps=1)
    found = rows(tmp_path / "run")
    assert found["ant/black.png"]["status"] == "ok"
    assert found["ant/black.png"]["p_verify_before"] is None
    counted = sum(row["p_verify_after"] is not None for row in found.values())
    assert 0 < counted < 13
    assert summary["counts"]["verified"] == summary["figures"]["all"]["p_verify_gain"]["n"] == counted


def test_progress_is_told_within_a_shard(data: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    settings = {"method": "spotlight", "steps": 5, "resolution": 4, "include": "all"}
    config = lift_configured(data=str(data), model="networks:small", **settings)
    run_lift(prepare_lift(config), tmp_path / "run", lambda *told: heard.append(told))
    lifting = [done for done, total, step in heard if step == "lifting"]
    assert {total for _, total, _ in heard} == {16}
    assert lifting == sorted(lifting)
    assert len(set(lifting)) >= 5
    assert lifting[-1] == 16


def invented(tmp_path: Path, gains: list[float], own: float, n: int = 40) -> dict[str, Any]:
    """A run with a table of known figures."""
    from heatlift.run.record import write_json
    from heatlift.run.tables import FORMAT, write_part

    config = {"method": "gax", "target_co": 12.0}
    record = {"format": FORMAT, "kind": "lift", "config": config, "verify": {"name": "B"}}
    write_json(tmp_path / "run.json", record)
    table = [
        dict.fromkeys(LIFT.names)
        | {
            "image": str(i),
            "label": 0,
            "target": 0,
            "steps": 3,
            "reached": True,
            "co": 12.5,
            "co_clipped": 9.0,
        }
        | {
            "co": 12.5,
            "co_clipped": 9.0,
            "change": 0.01,
            "p_before": 0.5,
            "p_after": 0.5 + own,
            "predicted_before": 0,
            "predicted_after": 0,
        }
        | {"p_verify_before": 0.5, "p_verify_after": 0.5 + gains[i % len(gains)], "status": "ok"}
        for i in range(n)
    ]
    write_part(tmp_path, "lift", 0, table)
    return summarise_lift(tmp_path)


@pytest.mark.parametrize(
    ("gains", "own", "n", "finding", "words"),
    [
        ([0.38, 0.36], 0.4, 40, "shared", "Most of the gain carries over, 92% of it"),
        ([0.15, 0.1], 0.4, 40, "shared", "A part of the gain carries over, 31% of it"),
        ([0.05, 0.04], 0.4, 40, "shared", "Little of the gain carries over, 11% of it"),
        ([-0.2, -0.1, -0.3], 0.4, 40, "adversarial", "adversarial pattern"),
        ([0.001, 0.002], 0.4, 40, "adversarial", "adversarial pattern"),
        ([0.4, -0.3], 0.4, 40, "unclear", "stays open"),
        ([0.2, 0.1, 0.15], 0.4, 5, "unclear", "too few images to conclude anything"),
        ([-0.4, -0.3], -0.3, 40, "unclear", "too little to ask"),
        ([0.2, 0.1], -0.3, 40, "unclear", "too little to ask"),
        ([0.0, 0.00001], 0.0001, 40, "unclear", "too little to ask"),
    ],
)
def test_what_is_shared_is_told_from_what_is_not(
    tmp_path: Path, gains: list[float], own: float, n: int, finding: str, words: str
) -> None:
    summary = invented(tmp_path, gains, own, n)
    assert summary["finding"] == finding
    assert words in summary["verdict"]
    assert "100%" in summary["verdict"]


def test_the_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = f"lift {data} --model networks:small --out {tmp_path / 'run'} --target-co 1 --max-steps 4"
    assert command_line(arguments.split()) == 0
    printed = capsys.readouterr().out
    assert "reach a CO score of 1" in printed
    assert "unreadable" in printed
    assert "left out: predicted wrongly" in printed
    assert re.search(r"images: \d+ tried, \d+ reached, \d+ not tried \(", printed)
    assert "too few images to conclude anything" in printed
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--target 7", "--target: no class '7': give a number from 0 to 2; or predicted, or label"),
        ("--target best", "--target: no class 'best': give a number from 0 to 2"),
        ("--verify-on demo", "has 1000 classes, networks:small 3: they must be the same"),
        ("--verify-on nowhere", "unknown model 'nowhere'"),
        ("--keep-steps few", "--keep-steps 'few': give a number of images, all or none"),
        ("--method lime", "--method 'lime': choose from gax, spotlight"),
        ("--lr 0", "--lr 0"),
        ("--target-co inf", "--target-co inf: input should be a finite number"),
        ("--strength 100", "--strength 100.0: input should be less than or equal to 1"),
        ("--max-steps 0", "--max-steps 0"),
    ],
)
def test_bad_input_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    arguments = f"lift {data} --model networks:small --out {tmp_path / 'run'} {options}"
    assert command_line(arguments.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("heatlift: ")
    assert said.count("\n") == 1
    assert message in said
    assert not (tmp_path / "run").exists()


def test_every_step_of_kept_images_says_what_the_network_says(data: Path, tmp_path: Path) -> None:
    lifted(data, tmp_path / "run", keep_steps=3)
    clf, kept = hl.load("networks:small"), Evolutions(tmp_path / "run").images()
    table = read_table(tmp_path / "run", "evolutions").to_pylist()
    found = rows(tmp_path / "run")
    for name in kept:
        steps = [row for row in table if row["image"] == name]
        x = decode(data / name, clf.framing).unsqueeze(0).float() / 255
        with torch.no_grad():
            start = clf(x + torch.tanh(x)).double().softmax(1)[0]  # where GAX begins
        assert steps[0]["p_target"] == pytest.approx(float(start[found[name]["target"]]), abs=1e-5)
        assert steps[0]["p_label"] == pytest.approx(float(start[found[name]["label"]]), abs=1e-5)
        assert steps[0]["top"] == start.argsort(descending=True)[:5].tolist()
        assert steps[0]["p_top"] == pytest.approx(sorted(start.tolist(), reverse=True)[:5], abs=1e-5)
        assert steps[-1]["p_target"] == pytest.approx(found[name]["p_after"], abs=1e-4)
        assert all(row["factor"] is None for row in steps)
    others = [row for row in table if row["image"] not in kept]
    assert others
    assert all(row[key] is None for row in others for key in ("p_target", "p_label", "top", "p_top"))


def test_every_readable_image_has_a_small_picture(data: Path, tmp_path: Path) -> None:
    lifted(data, tmp_path / "run", include="wrong")
    pictures = {
        row["image"]: row["thumbnail"] for row in read_table(tmp_path / "run", "thumbnails").to_pylist()
    }
    found = rows(tmp_path / "run")
    assert pictures.keys() == found.keys()
    clf = hl.load("networks:small")
    for name, picture in pictures.items():
        if found[name]["status"].startswith("unreadable"):
            assert picture is None
            continue
        with Image.open(io.BytesIO(picture)) as opened:
            assert opened.format == "WEBP"
            assert max(opened.size) <= 96
            pixels = Image.fromarray(decode(data / name, clf.framing).permute(1, 2, 0).numpy())
            expected = np.asarray(pixels.resize(opened.size, Image.Resampling.BOX), float)
            assert np.abs(np.asarray(opened.convert("RGB")) - expected).mean() < 12
