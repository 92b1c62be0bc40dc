"""What the viewer knows of a run's images, against plain loops over the run's tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heatlift.run.columns import pair_name
from heatlift.run.tables import write_part
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import Choice, Numbers
from lift_runs import InventedLift, keep, write_lift_run
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run
from viewers import edit_record, opened, put, rows_of, served, split, write_thumbnails

WRITERS: dict[str, Callable[[Path], Path]] = {
    "audit": lambda folder: write_run(folder, summarised=False),
    "lift": write_lift_run,
    "undesirable": write_undesirable_run,
}


def value(catalogue: Catalogue, key: str, name: str) -> float | None:
    column = catalogue.images.columns[key]
    assert isinstance(column, Numbers)
    found = float(column.values[catalogue.images.positions[name]])
    return None if math.isnan(found) else found


def word(catalogue: Catalogue, key: str, name: str) -> str | None:
    column = catalogue.images.columns[key]
    assert isinstance(column, Choice)
    return column.title(catalogue.images.positions[name])


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    like = Invented(scales=(0.3, 1.0), indicators=("one:good", "two"))
    return write_run(tmp_path_factory.mktemp("audit"), like, summarised=False)


def test_an_audits_columns_are_its_tables(audit: Path) -> None:
    found = opened(audit)
    predictions = rows_of(audit, "predictions")
    assert found.images.names.to_pylist() == [row["image"] for row in predictions]
    for row in predictions:
        for key in ("confidence", "max_logit", "margin", "entropy", "energy", "p_label"):
            assert value(found, key, row["image"]) == row[key]
        failed = row["status"] != "ok"
        right = None if failed else "correct" if row["label"] == row["predicted"] else "wrong"
        assert word(found, "correct", row["image"]) == right
        assert word(found, "outcome", row["image"]) == ("failed" if failed else "ok")
        assert word(found, "reason", row["image"]) == (row["status"] if failed else None)
        assert word(found, "label", row["image"]) == ("cat", "dog", "owl")[row["label"]]
    scores = rows_of(audit, "scores")
    for row in scores:
        pair = pair_name(row["method"], row["operation"], row["scale"])
        for key in ("co_label", "co_predicted", "delta_p_label", "delta_p_predicted"):
            assert value(found, f"{pair}:{key}", row["image"]) == row[key]
    groups = {column.heading.group for column in found.images.columns.values() if column.heading.method}
    assert len(groups) == 4 * 2 * 2
    for row in rows_of(audit, "indicators"):
        assert value(found, f"indicator:{row['indicator']}", row["image"]) == row["value"]


def test_what_becomes_of_a_prediction_and_what_helped_most(audit: Path) -> None:
    found = opened(audit)
    before = {row["image"]: row for row in rows_of(audit, "predictions")}
    best: dict[str, tuple[float, str]] = {}
    for row in rows_of(audit, "scores"):
        pair, name = pair_name(row["method"], row["operation"], row["scale"]), row["image"]
        if row["status"] != "ok":
            assert word(found, f"{pair}:became", name) is None
            continue
        was, now = (x == before[name]["label"] for x in (before[name]["predicted"], row["predicted_after"]))
        says = {
            (True, True): "stayed right",
            (True, False): "turned wrong",
            (False, True): "turned right",
            (False, False): "stayed wrong",
        }[was, now]
        assert word(found, f"{pair}:became", name) == says
        if not row["control"]:
            better = row["delta_p_label"] > best.get(name, (0.0, "nothing"))[0]
            best[name] = (row["delta_p_label"], pair) if better else best.get(name, (0.0, "nothing"))
    assert {word(found, "helped", name) for name in before} > {"nothing", None}
    for name in before:
        assert word(found, "helped", name) == best.get(name, (0, None))[1]


@pytest.mark.parametrize("turned", [True, False])
def test_every_way_a_prediction_can_go(tmp_path: Path, turned: bool) -> None:
    """All four ways, and without a label both."""
    run = write_run(tmp_path / "run", Invented(images=4, failed=0), summarised=False)
    truth = [0, 0, 0, None]
    said = [0, 1, 1, 2]
    after = [1, 0, 1, 0] if turned else [0, 2, 0, 2]
    rows = rows_of(run, "predictions")
    for row, label, predicted in zip(rows, truth, said, strict=True):
        row |= {"label": label, "predicted": predicted}
    scores = [row for row in rows_of(run, "scores") if (row["method"], row["operation"]) == ("zero", "add")]
    for row, now in zip(scores, after, strict=True):
        row["predicted_after"] = now
    write_part(run, "predictions", 0, rows)
    write_part(run, "scores", 0, scores)
    found = opened(run)
    words = [word(found, "zero/add:became", row["image"]) for row in rows]
    moved = ["turned wrong", "turned right", "stayed wrong", "unlabelled, another class"]
    assert words == (moved if turned else ["stayed right", "stayed wrong", "turned right",
                                           "unlabelled, the same class"])  # fmt: skip


@pytest.mark.parametrize("method", ["gax", "spotlight"])
def test_a_lifts_columns_are_its_table(tmp_path: Path, method: str) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(method=method))
    rows = rows_of(run, "lift")
    rows[-1]["status"] = "left out: correct already"
    write_part(run, "lift", 0, rows)
    found = opened(run)
    reached = {True: "yes", False: "no", None: None}
    for row in rows:
        name = row["image"]
        for key in ("co", "co_clipped", "steps", "change", "p_before", "p_after", "co_verify"):
            assert value(found, key, name) == row[key]
        for key, start, end in (
            ("p_gain", "p_before", "p_after"),
            ("p_verify_gain", "p_verify_before", "p_verify_after"),
        ):
            gain = None if row[start] is None else row[end] - row[start]
            assert value(found, key, name) == gain
        assert word(found, "reached", name) == reached[row["reached"]]
        assert found.multiplies(name) == (method == "spotlight")
    outcomes = [word(found, "outcome", row["image"]) for row in rows]
    assert outcomes == ["ok"] * 38 + ["failed", "left out"]
    kept = [name for name in found.images.names.to_pylist() if word(found, "kept", name) == "yes"]
    assert len(kept) == 5


def test_masks_columns_are_those_of_the_first_trial(tmp_path: Path) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(trials=3, factors=("target", "none")))
    found = opened(run)
    rows = rows_of(run, "undesirable")
    assert len(found.images) == 40
    assert len({row["phi"] for row in rows if row["image"] == "owl/1.png"}) == 6
    for row in rows:
        if row["trial"] != 0:
            continue
        factor, name = row["factor"], row["image"]
        for key in ("phi", "p_before", "p_after", "area", "taken", "max_magnitude", "phi_blob"):
            assert value(found, f"{factor}:{key}", name) == row[key]
        assert value(found, f"{factor}:p_gain", name) == row["p_after"] - row["p_before"]
        assert word(found, f"{factor}:predicted_after", name) == ("cat", "dog", "owl")[row["predicted_after"]]
    assert value(found, "target:phi", rows[-1]["image"]) is None
    assert word(found, "outcome", rows[-1]["image"]) == "failed"


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_data_without_labels(tmp_path: Path, kind: str) -> None:
    writers = {
        "audit": lambda: write_run(tmp_path, Invented(labelled=False), summarised=False),
        "lift": lambda: write_lift_run(tmp_path, InventedLift(labelled=False)),
        "undesirable": lambda: write_undesirable_run(tmp_path, InventedMasks(labelled=False)),
    }
    found = opened(writers[kind]())
    words = [word(found, "correct", name) for name in found.images.names.to_pylist()]
    assert set(words) == {"unlabelled", None}
    assert words.count(None) == 2
    assert {word(found, "label", name) for name in found.images.names.to_pylist()} == {None}


def test_runs_of_earlier_versions_lack_tables_and_columns(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(older=True))
    with served(run) as viewer:
        assert viewer.run()["problems"] == []
        assert {row["thumbnail"] for row in viewer.rows()} == {False}
        keys = [column["key"] for column in viewer.run()["columns"]]
    assert "saliency/add:co_label" in keys
    assert not [key for key in keys if key.startswith("indicator")]


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_parts_give_what_one_table_gives_in_whatever_order_they_come(tmp_path: Path, kind: str) -> None:
    whole = opened(WRITERS[kind](tmp_path / "whole"))
    run = WRITERS[kind](tmp_path / "parts")
    pieces = split(run, kind, 7)
    found = Catalogue(run)
    for number in (*range(3, len(pieces)), 1, 0, 2):
        put(run, number, pieces[number])
        found.read()
    assert found.problems == {}
    assert sorted(found.images.names.to_pylist()) == sorted(whole.images.names.to_pylist())
    assert set(found.images.columns) == set(whole.images.columns)
    for key, column in whole.images.columns.items():
        for name in whole.images.names.to_pylist():
            if isinstance(column, Numbers):
                assert value(found, key, name) == value(whole, key, name)
            else:
                assert word(found, key, name) == word(whole, key, name)
    for number, piece in enumerate(pieces):
        first = list(dict.fromkeys(row["image"] for row in next(iter(piece.values()))))
        for place, name in enumerate(first):
            assert found.images.id(found.images.positions[name]) == f"{number}.{place}"


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_run_is_watched_while_it_grows(tmp_path: Path, kind: str) -> None:
    run = WRITERS[kind](tmp_path / "run")
    pieces = split(run, kind, 10)
    edit_record(run, status="running")
    with served(run) as viewer:
        begun = viewer.run()
        assert (begun["status"], begun["done"], begun["columns"][0]["key"]) == ("running", 0, "name")
        assert viewer.ask("/").status == 200
        assert viewer.get("/api/runs/0/images", sort="co") == {"total": 0, "of": 0, "offset": 0, "rows": []}
        ids: dict[str, str] = {}
        for number in (1, 0, *range(2, len(pieces))):
            put(run, number, pieces[number])
            expected = len(ids) + len({row["image"] for row in next(iter(pieces[number].values()))})
            viewer.until(lambda found, n=expected: found["done"] == n)  # type: ignore[misc]
            now = {row["name"]: row["id"] for row in viewer.rows()}
            assert len(now) == expected
            assert ids.items() <= now.items()
            ids = now
        assert viewer.run()["status"] == "running"
        edit_record(run, status="finished")
        done = viewer.until(lambda found: found["status"] == "finished")
        assert done["problems"] == []


def test_heatmaps_and_small_pictures_appear_in_a_running_lift(tmp_path: Path) -> None:
    like = InventedLift(images=6, failed=0, kept=1, run={"status": "running"})
    run = write_lift_run(tmp_path / "run", like)
    with served(run) as viewer:
        assert viewer.run()["kept"] == 1
        keep(run, "owl/4.png", 3, like, np.random.default_rng(0))
        viewer.until(lambda found: found["kept"] == 2)
        wanted = json.dumps({"column": "kept", "in": ["yes"]})
        assert [row["name"] for row in viewer.rows(where=wanted)] == ["owl/0.png", "owl/4.png"]
        assert not viewer.rows()[2]["thumbnail"]
        pictures = write_thumbnails(run, [f"owl/{i}.png" for i in range(6)])
        assert viewer.rows()[2]["thumbnail"]
        assert viewer.ask("/api/runs/0/images/0.2/thumbnail").body == pictures[2]


def test_an_audits_examples_come_at_its_end(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(run={"status": "running"}))
    with served(run) as viewer:
        assert viewer.run()["kept"] == 0
        write_example(run, 3, ("saliency",))
        edit_record(run, status="finished")
        viewer.until(lambda found: found["kept"] == 1)
        (row,) = [row for row in viewer.rows() if row["kept"]]
        assert row["name"] == "owl/3.png"


def test_a_part_that_was_torn_is_read_once_it_is_whole(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(run={"status": "running"}))
    pieces = split(run, "lift", 10)
    for number, piece in enumerate(pieces):
        put(run, number, piece)
    path = run / "lift" / "part-000002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with served(run) as viewer:
        found = viewer.run()
        assert found["done"] == 30
        (problem,) = found["problems"]
        assert problem.startswith("lift/part-000002.parquet is damaged (")
        path.write_bytes(whole)
        found = viewer.until(lambda found: found["done"] == 40)
        assert found["problems"] == []


def test_an_image_in_two_parts_counts_once(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(images=9, failed=0))
    first, second, third = split(run, "lift", 3)
    again: dict[str, Any] = {**first["lift"][1], "co": 999.0}
    second = {**second, "lift": [again, *second["lift"]]}
    for number, piece in enumerate((first, second, third)):
        put(run, number, piece)
    with served(run) as viewer:
        rows = viewer.rows()
        assert len({row["name"] for row in rows}) == len(rows) == 9
        assert viewer.id("owl/1.png") == "0.1"
        assert viewer.id("owl/3.png") == "1.1"
        assert viewer.run()["problems"] == ["part 1: 1 of its images are in another part"]
    assert value(opened(run), "co", "owl/1.png") == first["lift"][1]["co"]
    assert value(opened(run), "co", "owl/4.png") == second["lift"][2]["co"]


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_run_is_told_as_a_whole(tmp_path: Path, kind: str) -> None:
    run = WRITERS[kind](tmp_path / "a run <b>")
    summary = {"verdict": "two\nlines"}
    (run / "summary.json").write_text(json.dumps(summary))
    with served(run) as viewer:
        told = viewer.run()
    assert told["kind"] == kind
    assert told["name"] == "a run <b>"
    assert told["verdict"] == "two lines"
    assert told["status"] == "finished"
    assert told["loading"] is None
    assert told["done"] == told["total"] == (120 if kind == "audit" else 40)
    assert told["pace"] == 10.0
    keys = {column["key"]: column for column in told["columns"]}
    assert told["sort"] in keys
    assert set(told["scores"]) <= {key for key, column in keys.items() if column["type"] == "number"}
    counts = {entry["value"]: entry["count"] for entry in keys["outcome"]["values"]}
    assert counts == {"ok": told["done"] - 2, "failed": 2}


def test_a_run_without_images(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run")
    write_part(run, "lift", 0, [])
    write_part(run, "evolutions", 0, [])
    with served(run) as viewer:
        assert viewer.ask("/").status == 200
        told = viewer.run()
        assert (told["done"], told["problems"], told["loading"]) == (0, [], None)
        assert viewer.rows(sort="co") == []
        nothing = viewer.get("/api/runs/0/distribution", column="co")
        assert (nothing["n"], nothing["edges"], nothing["groups"]) == (0, [], [])


def test_reading_ends_with_the_viewer(tmp_path: Path) -> None:
    found = Catalogue(write_lift_run(tmp_path / "run", InventedLift(run={"status": "running"})))
    found.watch()
    thread = found._thread
    assert thread is not None
    assert thread.is_alive()
    found.close()
    assert not thread.is_alive()
