"""One image of a run as the viewer tells and shows it, against what the run's files have."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heatlift.panel import encoded
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path
from heatlift.run.tables import write_part
from heatlift.wording import number
from lift_runs import InventedLift, write_lift_run
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run
from viewers import Answer, Served, rows_of, served, write_reference, write_thumbnails

CLASSES = ("cat", "dog", "owl")
FACTORS = ("target", "non_target", "none")


def levels(answer: Answer, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    return np.frombuffer(answer.body, np.int8).reshape(shape)


def decoded(answer: Answer) -> np.ndarray[Any, Any]:
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    return np.asarray(Image.open(BytesIO(answer.body)))


def place(viewer: Served, name: str) -> str:
    return f"/api/runs/0/images/{viewer.id(name)}"


@pytest.mark.parametrize("method", ["gax", "spotlight"])
def test_a_lifted_image(tmp_path: Path, method: str) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(images=12, method=method))
    rows = {row["image"]: row for row in rows_of(run, "lift")}
    pictures = write_thumbnails(run, list(rows))
    steps = rows_of(run, "evolutions")
    for row in steps:
        row |= {"p_target": 0.25, "p_label": None, "top": [2, 0, 9], "p_top": [0.5, 0.25, 0.125]}
    write_part(run, "evolutions", 0, steps)
    evolutions = Evolutions(run)
    neutral = 0.0 if method == "gax" else 1.0
    with served(run) as viewer:
        for name in evolutions.images():
            at, row = place(viewer, name), rows[name]
            found = viewer.get(at)
            assert (found["name"], found["title"]) == (name, CLASSES[row["label"]])
            assert (found["size"], found["original"], found["thumbnail"]) == ([24, 24], True, True)
            assert found["correct"] == (row["predicted_before"] == row["label"])
            assert (found["problems"], found["reference"], found["elsewhere"]) == ([], False, {})
            (layer,) = found["layers"]
            assert layer["operation"] == ("add" if method == "gax" else "multiply")
            assert (layer["kind"], layer["channels"], layer["neutral"]) == ("signed", 3, neutral)
            assert layer["steps"] == evolutions.steps(name)
            assert layer["steps"][layer["own"]] == row["steps"]
            assert layer["target"] == CLASSES[row["target"]]
            mine = [each for each in steps if each["image"] == name]
            assert layer["figures"]["step"] == [each["step"] for each in mine]
            assert layer["figures"]["co"] == [each["co"] for each in mine]
            assert layer["figures"]["p_target"] == [0.25] * len(mine)
            assert layer["figures"]["p_label"] is None
            assert layer["figures"]["top"] == [[["owl", 0.5], ["cat", 0.25], ["class 9", 0.125]]] * len(mine)
            second = layer["second"]
            assert second["name"] == "other-net"
            assert second["p_before"] == number(row["p_verify_before"])
            assert second["p_after"] == number(row["p_verify_after"])
            p_label = row["p_after"] if row["label"] == row["target"] else None
            assert layer["result"] == {"co": row["co"], "p_target": row["p_after"], "p_label": p_label}
            assert layer["figures"]["view"] == (method == "spotlight")
            for frame in (*range(0, len(layer["steps"]) - 1, 7), layer["own"]):
                answer = viewer.ask(f"{at}/layers/0/frames/{frame}")
                result = frame == layer["own"]  # it is kept exactly, and not as the film has it
                shown = evolutions.final(name) if result else evolutions.frame(name, layer["steps"][frame])
                wanted = encoded(shown, neutral)
                assert np.array_equal(levels(answer, (3, 24, 24)), wanted.levels)
                assert float(answer.headers["X-Unit"]) == wanted.unit
                assert float(answer.headers["X-Largest"]) == wanted.largest
            kept = np.asarray(Image.open(original_path(run, name)))
            assert np.array_equal(decoded(viewer.ask(f"{at}/original")), kept)
            assert viewer.ask(f"{at}/reference").status == 404
            thumbnail = viewer.ask(f"{at}/thumbnail")
            assert thumbnail.headers["Content-Type"] == "image/webp"
            assert thumbnail.body == pictures[list(rows).index(name)]
        plain = viewer.get(place(viewer, "owl/11.png"))
        assert (plain["status"], plain["layers"], plain["original"]) == (
            "unreadable: truncated file",
            [],
            False,
        )
        figures = viewer.get(place(viewer, "owl/1.png"))["tables"][0]["rows"]
        assert ["CO score", number(rows["owl/1.png"]["co"])] in [row[:2] for row in figures]


def test_an_image_with_masks(tmp_path: Path) -> None:
    run = write_undesirable_run(tmp_path / "run", InventedMasks(images=6, kept=3, stepped=1))
    reference = write_reference(run, "owl/0.png")
    figures = [
        {"image": "owl/0.png", "factor": factor, "step": step, "p_target": step / 32 + place / 128}
        for place, factor in enumerate(FACTORS)
        for step in range(21)
    ]
    write_part(run, "evolutions", 0, figures)
    evolutions = Evolutions(run)
    rows = rows_of(run, "undesirable")
    with served(run) as viewer:
        at = place(viewer, "owl/0.png")
        found = viewer.get(at)
        assert [layer["title"].rpartition(", ")[2] for layer in found["layers"]] == [
            "F-TC",
            "F-NTC",
            "no factor",
        ]
        for k, (factor, layer) in enumerate(zip(FACTORS, found["layers"], strict=True)):
            assert (layer["kind"], layer["operation"], layer["channels"]) == ("taken", "blur", 1)
            assert layer["figures"]["p_target"] == [step / 32 + k / 128 for step in range(21)]
            assert layer["figures"]["co"] is None
            for frame in (0, 9, 20):
                mask = f"{factor}/owl/0.png"
                wanted = encoded(
                    evolutions.final(mask) if frame == 20 else evolutions.frame(mask, frame), 0.0
                )
                answer = viewer.ask(f"{at}/layers/{k}/frames/{frame}")
                assert np.array_equal(levels(answer, (1, 24, 24)), wanted.levels)
        assert np.array_equal(decoded(viewer.ask(f"{at}/reference")), reference)
        (table,) = found["tables"]
        phi = {row["factor"]: number(row["phi"]) for row in rows if row["image"] == "owl/0.png"}
        assert table["columns"] == ["Figure", "F-TC", "F-NTC", "no factor", "Meaning"]
        assert table["rows"][0][:-1] == ["phi", phi["target"], phi["non_target"], phi["none"]]
        older = viewer.get(place(viewer, "owl/1.png"))
        assert [layer["steps"] for layer in older["layers"]] == [[None]] * 3
        assert {layer["operation"] for layer in older["layers"]} == {None}
        answer = viewer.ask(f"{place(viewer, 'owl/1.png')}/layers/2/frames/0")
        wanted = encoded(evolutions.final("none/owl/1.png"), 0.0)
        assert np.array_equal(levels(answer, (1, 24, 24)), wanted.levels)


def test_an_audited_image(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", Invented(images=30, wrong=9))
    methods = ("saliency", "noise")
    example = np.load(write_example(run, 4, methods))
    with served(run) as viewer:
        at = place(viewer, "owl/4.png")
        found = viewer.get(at)
        assert [layer["title"] for layer in found["layers"]] == list(methods)
        assert found["size"] == [224, 224]
        for k, layer in enumerate(found["layers"]):
            assert (layer["operation"], layer["steps"], layer["figures"]) == (None, [None], None)
            heatmap = example["heatmaps"][k].astype(np.float32) * np.float32(2)
            answer = viewer.ask(f"{at}/layers/{k}/frames/0")
            assert np.array_equal(levels(answer, (3, 224, 224)), encoded(heatmap, 0.0).levels)
            assert float(answer.headers["X-Largest"]) == np.abs(heatmap).max()
        assert np.array_equal(decoded(viewer.ask(f"{at}/original")), example["image"])
        assert viewer.ask(f"{at}/layers/2/frames/0").status == 404
        assert viewer.ask(f"{at}/layers/0/frames/1").status == 404
        scores = [row for row in rows_of(run, "scores") if row["image"] == "owl/4.png"]
        table = next(table for table in found["tables"] if table["title"] == "What each heatmap does")
        expected = [
            [f"{row['method']}/{row['operation']}", number(row["co_predicted"]), number(row["co_label"])]
            for row in scores
        ]
        assert [row[:3] for row in table["rows"]] == expected
        assert len(expected) == 8


@pytest.mark.parametrize(("form", "frames"), [("png", 1), ("gif", 16), ("webp", 16)])
def test_downloads_can_be_opened_elsewhere(tmp_path: Path, form: str, frames: int) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(images=4, kept=1, steps=15, missed=4))
    with served(run) as viewer:
        at = place(viewer, "owl/0.png")
        answer = viewer.ask(f"{at}/layers/0/download", format=form, frame=3, channel="red")
        assert answer.headers["Content-Type"] == f"image/{form}"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="heatlift-0-0-0.{form}"'
        with Image.open(BytesIO(answer.body)) as picture:
            assert (picture.format or "").lower() == form
            assert getattr(picture, "n_frames", 1) == frames
        for wrong in ({"format": "exe"}, {"channel": "x"}, {"format": "png", "frame": 16}, {"frame": "x"}):
            assert viewer.ask(f"{at}/layers/0/download", **wrong).status == 404


def test_the_same_image_in_other_runs(tmp_path: Path) -> None:
    lift = write_lift_run(tmp_path / "lift", InventedLift(images=5))
    audit = write_run(tmp_path / "audit", Invented(images=50, image_name="owl/{}.png"), summarised=False)
    other = write_lift_run(tmp_path / "other", InventedLift(images=5, image_name="elsewhere/{}.png"))
    with served(lift, audit, other) as viewer:
        assert viewer.get("/api/runs/0/images/0.3")["elsewhere"] == {"1": "0.3"}
        assert viewer.get("/api/runs/1/images/0.3")["elsewhere"] == {"0": "0.3"}
        assert viewer.get("/api/runs/1/images/0.3")["run"] == 1
        assert viewer.get("/api/runs/1/images/0.20")["elsewhere"] == {}
        assert viewer.get("/api/runs/2/images/0.3")["elsewhere"] == {}
