"""An audit from folder to folder, on a small network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

import heatlift as hl
from heatlift.data import Item
from heatlift.images import decode
from heatlift.registry import TJOA_2022, requested
from heatlift.run.audit import prepare, run
from heatlift.run.examples import write_examples
from heatlift.run.plan import configured, differences, shards
from heatlift.run.shard import ShardAudit
from heatlift.run.tables import parts, read_table
from heatlift.weights import weights_digest
from networks import small
from pictures import class_folders, picture


def quiet(done: int, total: int, step: str) -> None:
    """A progress display that shows nothing."""


def audit(folder: Path, data: Path, **settings: Any) -> Any:
    config = configured(data=str(data), model="networks:small", batch_size=4, shard_size=6, **settings)
    run(prepare(config, ["heatlift", "audit"]), folder, quiet)
    return hl.read(folder)


def rows(table: Any, **where: Any) -> list[dict[str, Any]]:
    for column, value in where.items():
        table = table.filter(pc.equal(table[column], value))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = class_folders(tmp_path_factory.mktemp("data") / "photos")
    (folder / "ant" / "empty.png").touch()
    (folder / "cow" / "text.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return audit(tmp_path_factory.mktemp("runs") / "run", data)


def test_every_image_has_its_rows_also_those_that_failed(finished: Any) -> None:
    assert finished.predictions.num_rows == 17
    assert len(set(finished.predictions["image"].to_pylist())) == 17
    failed = {row["image"]: row for row in finished.predictions.to_pylist() if row["status"] != "ok"}
    assert set(failed) == {"ant/empty.png", "cow/text.jpg"}
    assert "empty" in failed["ant/empty.png"]["status"]
    assert all(failed[name]["confidence"] is None for name in failed)
    assert failed["cow/text.jpg"]["label"] == 2
    assert finished.scores.num_rows == 17 * 10 * 2  # six methods, four controls, two operations
    assert len(rows(finished.scores, image="ant/empty.png")) == 20
    counts = finished.summary["counts"]
    assert (counts["images"], counts["ok"], counts["failed"]) == (17, 15, 2)
    assert all(m["n"] == 15 and m["n_failed"] == 2 for m in finished.summary["methods"])


def test_scores_equal_a_plain_loop_over_single_images(finished: Any, data: Path) -> None:
    clf = small()
    for path in sorted(data.glob("bee/*.png")):
        x = decode(path, clf.framing).unsqueeze(0).float() / 255
        label = torch.tensor([1])
        with torch.no_grad():
            before = clf(x).double()
        predicted = before.argmax(dim=1)
        name = f"bee/{path.name}"
        (prediction,) = rows(finished.predictions, image=name)
        assert prediction["predicted"] == int(predicted)
        assert prediction["correct"] == (int(predicted) == 1)
        assert prediction["confidence"] == pytest.approx(float(before.softmax(dim=1).max()), abs=1e-6)
        for method in TJOA_2022:
            h = hl.rescale(hl.attribute(clf, x, method))
            for operation in ("add", "multiply"):
                with torch.no_grad():
                    after = clf(hl.augment(clf.normalise(x), h, operation), space="model").double()  # type: ignore[arg-type]
                (row,) = rows(finished.scores, image=name, method=method, operation=operation)
                assert row["co_label"] == pytest.approx(float(hl.co_score(before, after, label)), abs=1e-4)
                assert row["co_predicted"] == pytest.approx(
                    float(hl.co_score(before, after, predicted)), abs=1e-4
                )
                delta = after.softmax(dim=1)[0, 1] - before.softmax(dim=1)[0, 1]
                assert row["delta_p_label"] == pytest.approx(float(delta), abs=1e-5)
                assert row["predicted_after"] == int(after.argmax())


def test_the_zero_control_scores_exactly_zero(finished: Any) -> None:
    scored = [r for r in rows(finished.scores, method="zero", operation="add") if r["status"] == "ok"]
    assert len(scored) == 15
    for row in scored:
        figures = (row["co_label"], row["co_predicted"], row["delta_p_label"], row["delta_p_predicted"])
        assert figures == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("space", ["model", "pixel"])
def test_the_shuffled_control_is_the_heatmap_of_the_image_before(
    data: Path, tmp_path: Path, space: str
) -> None:
    settings = {"methods": ("saliency",), "controls": ("shuffled",), "operations": ("add",), "space": space}
    found = audit(tmp_path / "run", data, **settings)
    clf = small()
    maps, inputs = {}, {}
    for path in data.glob("*/*.png"):
        if path.name != "empty.png":
            x = decode(path, clf.framing).unsqueeze(0).float() / 255
            name = f"{path.parent.name}/{path.name}"
            inputs[name] = clf.inputs(x, space)  # type: ignore[arg-type]
            maps[name] = hl.rescale(hl.attribute(clf, x, "saliency", space=space))  # type: ignore[arg-type]
    audited = prepare(configured(data=str(data), model="networks:small", **settings))
    for shard in shards(audited.items, 6):
        names = [item.name for item in shard if item.name in maps]
        for i, name in enumerate(names):
            lender = names[i - 1]  # the first one borrows from the last
            with torch.no_grad():
                before = clf(inputs[name], space).double()  # type: ignore[arg-type]
                after = clf(inputs[name] + maps[lender], space).double()  # type: ignore[arg-type]
            (row,) = rows(found.scores, image=name, method="shuffled")
            expected = hl.co_score(before, after, before.argmax(dim=1))
            assert row["co_predicted"] == pytest.approx(float(expected), abs=1e-4)


def test_started_again_it_does_only_what_is_missing_and_ends_the_same(
    finished: Any, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    audit(folder, data)
    kept = folder / "scores" / "part-000000.parquet"
    written = kept.stat().st_mtime_ns
    (folder / "scores" / "part-000001.parquet").unlink()
    (folder / "scores" / ".part-000002.parquet.partial").write_bytes(b"torn")
    again = audit(folder, data)
    assert kept.stat().st_mtime_ns == written
    assert parts(folder, "scores") == {0, 1, 2}
    assert again.scores.equals(finished.scores)
    assert again.predictions.equals(finished.predictions)
    assert {k: v for k, v in again.summary.items() if k != "run"} == {
        k: v for k, v in finished.summary.items() if k != "run"
    }


def test_another_configuration_or_network_or_data_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    audit(folder, data, methods=("saliency",))
    with pytest.raises(hl.HeatliftError, match=r"config\.seed: was 0, is 1"):
        audit(folder, data, methods=("saliency",), seed=1)
    with pytest.raises(hl.HeatliftError, match=r"config\.methods: was saliency, is deeplift"):
        audit(folder, data, methods=("deeplift",))
    picture(5).save(data / "ant" / "new.png")
    try:
        with pytest.raises(hl.HeatliftError, match=r"data.images: was 17, is 18"):
            audit(folder, data, methods=("saliency",))
    finally:
        (data / "ant" / "new.png").unlink()


def test_other_weights_or_versions_or_image_contents_are_refused_by_name(tmp_path: Path) -> None:
    data, folder, weights = class_folders(tmp_path / "photos", each=2), tmp_path / "run", tmp_path / "net.pt"
    torch.save(small().network.state_dict(), weights)
    settings = {"methods": ("saliency",), "controls": (), "weights": str(weights)}
    audit(folder, data, **settings)
    audit(folder, data / ".." / "photos", **settings)  # another way to write the same path
    picture(7).save(data / "ant" / "0.png")
    with pytest.raises(hl.HeatliftError, match=r"data\.digest: was"):
        audit(folder, data, **settings)
    picture(0).save(data / "ant" / "0.png")
    audit(folder, data, **settings)
    state = small().network.state_dict()
    torch.save(state | {"head.bias": state["head.bias"] + 1}, weights)
    with pytest.raises(hl.HeatliftError, match=r"model\.weights digest: was"):
        audit(folder, data, **settings)
    torch.save(state, weights)
    record = json.loads((folder / "run.json").read_text())
    record["packages"]["torch"] = "1.0"
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(hl.HeatliftError, match=r"packages\.torch: was 1\.0, is"):
        audit(folder, data, **settings)


def test_a_damaged_part_is_named_and_repaired_by_running_again(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    before = audit(folder, data, methods=("saliency",))
    part = folder / "scores" / "part-000001.parquet"
    for content in (b"", part.read_bytes()[:-100]):
        part.write_bytes(content)
        with pytest.raises(hl.HeatliftError, match=r"part-000001\.parquet is damaged.*delete it"):
            hl.read(folder)
    part.unlink()
    assert audit(folder, data, methods=("saliency",)).scores.equals(before.scores)


def test_an_image_without_any_usable_heatmap_is_no_example(data: Path, tmp_path: Path) -> None:
    found = audit(tmp_path / "run", data, methods=("saliency",), controls=(), limit=3)
    for file in (found.folder / "examples").iterdir():
        file.unlink()
    work = ShardAudit(
        small(), [requested(small(), "saliency")], configured(data=str(data), model="x", controls=())
    )
    items = prepare(configured(data=str(data), model="networks:small")).items
    work.heatmaps = lambda batch, previous: iter([])  # type: ignore[method-assign]
    write_examples(found.folder, work, items)
    assert not list((found.folder / "examples").iterdir())


def test_a_folder_that_is_no_run_is_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(hl.HeatliftError, match="not empty and not the folder of a run"):
        audit(tmp_path, data)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_limit_takes_a_sample_that_grows_with_it(data: Path) -> None:
    def names(limit: int | None) -> list[str]:
        config = configured(data=str(data), model="networks:small", limit=limit)
        return [item.name for item in prepare(config).items]

    assert names(8) == names(None)[:8]
    assert len({name.split("/")[0] for name in names(8)}) > 1


def test_without_labels_only_label_free_figures_are_there(tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(5):
        picture(i).save(flat / f"{i}.png")
    found = audit(tmp_path / "run", flat, methods=("saliency", "guided_backprop"))
    assert found.predictions["label"].null_count == 5
    assert found.scores["co_label"].null_count == found.scores.num_rows
    assert found.scores["delta_p_label"].null_count == found.scores.num_rows
    assert found.scores["co_predicted"].null_count == 0
    with pytest.raises(hl.HeatliftError, match="--target label: some images"):
        audit(tmp_path / "other", flat, target="label")


def test_a_method_that_does_not_apply_is_left_out_with_its_reason(data: Path, tmp_path: Path) -> None:
    config = configured(
        data=str(data),
        model="networks:small_with_a_norm",
        methods=("saliency", "deeplift"),
        controls=(),
        limit=2,
    )
    run(prepare(config), tmp_path / "run", quiet)
    found = hl.read(tmp_path / "run")
    assert "LinalgVectorNorm" in found.record["refused"]["deeplift"]
    assert set(found.scores["method"].to_pylist()) == {"saliency"}
    layerless = configured(data=str(data), model="networks:no_convolution", controls=(), limit=2)
    assert "runs no convolution" in prepare(layerless).refused["layer_gradcam"]
    only = configured(**(config.model_dump() | {"methods": ("deeplift",)}))
    with pytest.raises(hl.HeatliftError, match="none of the methods applies: deeplift does not apply"):
        prepare(only)


def test_logits_that_are_not_finite_become_failed_rows(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "photos", each=2)
    picture(0).point(lambda v: 0).save(data / "ant" / "black.png")
    config = configured(
        data=str(data),
        model="networks:returns_nan_for_dark_images",
        methods=("saliency",),
        controls=("zero",),
    )
    run(prepare(config), tmp_path / "run", quiet)
    found = hl.read(tmp_path / "run")
    (black,) = rows(found.predictions, image="ant/black.png")
    assert "NaN" in black["status"]
    assert black["confidence"] is None
    assert all(
        "NaN" in row["status"] and row["co_label"] is None
        for row in rows(found.scores, image="ant/black.png")
    )
    assert found.summary["counts"]["failed"] == 1
    json.dumps(found.summary, allow_nan=False)


def test_clipping_keeps_an_augmented_image_an_image(data: Path, tmp_path: Path) -> None:
    clf = small()
    settings = {"methods": ("saliency",), "controls": ("image",), "operations": ("add",), "limit": 4}
    for space in ("model", "pixel"):
        found = audit(tmp_path / space, data, space=space, clip=True, **settings)
        for row in rows(found.scores, method="image", status="ok"):
            x = decode(data / row["image"], clf.framing).unsqueeze(0).float() / 255
            h = hl.rescale(clf.inputs(x, space))  # type: ignore[arg-type]
            augmented = clf.inputs(x, space) + h  # type: ignore[arg-type]
            pixels = augmented if space == "pixel" else clf.denormalise(augmented)
            with torch.no_grad():
                before, after = clf(x).double(), clf(pixels.clamp(0, 1)).double()
            expected = hl.co_score(before, after, before.argmax(dim=1))
            assert row["co_predicted"] == pytest.approx(float(expected), abs=1e-4)


def test_examples_hold_the_most_and_least_confident_images(finished: Any) -> None:
    files = sorted((finished.folder / "examples").glob("*.npz"))
    assert files
    for file in files:
        with np.load(file) as example:
            assert example["image"].shape == (32, 32, 3)
            assert example["heatmaps"].shape == (len(example["methods"]), 3, 32, 32)
            assert np.abs(example["heatmaps"].astype(np.float32)).max(axis=(1, 2, 3)) == pytest.approx(
                1, abs=1e-3
            )
            (row,) = rows(finished.predictions, image=str(example["name"]))
            assert row["confidence"] == float(example["confidence"])
    with np.load(files[0]) as first:
        wrong = [r for r in finished.predictions.to_pylist() if r["correct"] is False]
        assert str(first["name"]) == max(wrong, key=lambda r: r["confidence"])["image"]


def test_the_record_says_what_was_run(finished: Any) -> None:
    record = finished.record
    assert record["status"] == "finished"
    assert record["command"] == ["heatlift", "audit"]
    assert record["model"]["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert record["model"]["weights_digest"] == weights_digest(small().network)
    assert record["data"]["images"] == 17
    assert record["timing"]["images"] == 17
    assert record["timing"]["images_per_second"] > 0
    assert set(record["packages"]) >= {"python", "torch", "numpy"}


def test_shards_cover_everything_once_and_leave_nobody_alone() -> None:
    for n in range(1, 40):
        items = [Item(str(i), Path(str(i)), None) for i in range(n)]
        cut = shards(items, 6)
        assert [item for shard in cut for item in shard] == items
        assert max(map(len, cut)) <= 6
        assert n == 1 or min(map(len, cut)) >= 2


def test_differences_are_named() -> None:
    before = {"config": {"seed": 0, "methods": ["a"]}, "model": {"name": "x"}}
    now = {"config": {"seed": 1, "methods": ["a", "b"]}, "model": {"name": "x"}}
    assert differences(before, now) == ["config.seed: was 0, is 1", "config.methods: was a, is a, b"]
    assert differences(before, before) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ()}, "no method to audit"),
        ({"methods": ("saliency", "saliency")}, "saliency is given more than once"),
        ({"controls": ("random",)}, "unknown control 'random': choose from zero, noise"),
        ({"operations": ()}, "no operation"),
        ({"operations": ("blend",)}, "--operations 'blend'"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"limit": -3}, "--limit -3"),
        ({"target": "best"}, "choose predicted, label, runner-up"),
        ({"space": "fourier"}, "--space 'fourier'"),
        ({"colour": "red"}, "--colour"),
    ],
)
def test_impossible_settings_are_said_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(hl.HeatliftError, match=message) as caught:
        configured(data="x", model="demo", **settings)
    assert "\n" not in str(caught.value)


def test_read_says_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(hl.HeatliftError, match=r"not the folder of a run: it has no run\.json"):
        hl.read(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(hl.HeatliftError, match="can't be read"):
        hl.read(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(hl.HeatliftError, match="format 99"):
        hl.read(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 1}')
    with pytest.raises(hl.HeatliftError, match="no predictions yet"):
        hl.read(tmp_path)


def test_tables_read_back_with_their_schema(finished: Any) -> None:
    assert read_table(finished.folder, "scores", ["image", "status"]).column_names == ["image", "status"]
