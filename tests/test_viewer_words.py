"""What the viewer says of a run as a whole: nothing that is true of other images than those in sight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heatlift.run.summary import write_summary
from heatlift.run.tables import read_table, write_part
from lift_runs import InventedLift, write_lift_run
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run
from viewers import served


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = {"controls": {"noise": {"title": "Gaussian noise", "shows": "-"}}}
    run = write_run(tmp_path_factory.mktemp("audit"), Invented(run=record))
    write_example(run, 0, ("saliency", "noise"))
    write_summary(run, 0)
    return run


def test_the_summary_s_figure_is_of_all_images(audit: Path) -> None:
    summary = json.loads((audit / "summary.json").read_text())
    value = summary["baselines"]["confidence"]["auroc"]["value"]
    with served(audit) as viewer:
        whole = viewer.get("/api/runs/0/distribution", column="confidence")
        assert whole["figure"].startswith(f"AUROC {value:.2f} [")
        where = json.dumps({"column": "correct", "in": ["wrong"]})
        assert viewer.get("/api/runs/0/distribution", column="confidence", where=where)["figure"] is None


def test_accuracy_is_not_told_of_a_selection(audit: Path, tmp_path: Path) -> None:
    lift = write_lift_run(tmp_path / "run", InventedLift(images=12))
    rows = [row for row in read_table(audit, "predictions").to_pylist() if row["correct"] is not None]
    with served(audit, lift) as viewer:
        facts = [
            {fact["name"]: fact["value"] for fact in run["facts"]} for run in viewer.get("/api/runs")["runs"]
        ]
    assert float(facts[0]["Accuracy"]) == pytest.approx(sum(r["correct"] for r in rows) / len(rows), abs=0.01)
    assert "Accuracy" not in facts[1]


def test_a_control_is_called_one(audit: Path) -> None:
    with served(audit) as viewer:
        where = json.dumps({"column": "kept", "in": ["yes"]})
        (row, *_) = viewer.get("/api/runs/0/images", where=where)["rows"]
        layers = viewer.get(f"/api/runs/0/images/{row['id']}")["layers"]
    words = {layer["title"]: layer["what"] for layer in layers}
    assert words["noise"].startswith("A control, which explains nothing (Gaussian noise)")
    assert words["saliency"].startswith("Red raises and blue lowers")


def test_an_image_of_which_one_mask_failed_is_no_success(tmp_path: Path) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(images=4, failed=0, kept=0, stepped=0))
    rows = read_table(run, "undesirable").to_pylist()
    name, last = rows[0]["image"], rows[0]["factor"]
    for row in rows:
        last = row["factor"] if row["image"] == name else last
    for row in rows:
        if (row["image"], row["factor"]) == (name, last):
            row["status"] = "logits are not finite"
    write_part(run, "undesirable", 0, rows)
    with served(run) as viewer:
        told = {row["name"]: row["status"] for row in viewer.rows()}
    assert told.pop(name) == "logits are not finite"
    assert set(told.values()) == {"ok"}
