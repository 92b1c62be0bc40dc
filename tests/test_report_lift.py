"""The report of a lift: what it counts and shows, what its slider has, and what it refuses."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.report import write_report
from heatlift.report.figures import draw
from heatlift.report.lift.examples import BUDGET, read_evolutions
from heatlift.report.lift.outcomes import read_outcomes
from heatlift.report.lift.pages import build_lift_page
from heatlift.report.plate import Cloud, Curves
from heatlift.run.evolutions import Evolutions, Recorder
from heatlift.run.lift import lift_configured, prepare_lift, run_lift
from heatlift.run.originals import original_path
from heatlift.run.tables import read_table
from heatlift.wording import clean
from lift_runs import InventedLift, keep, write_lift_run
from pages import EVIL, Elements
from pictures import class_folders


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real lift of 15 images, of which some reach the score, by a small network."""
    folder = tmp_path_factory.mktemp("lift")
    data = class_folders(folder / "photos")
    (data / "cow" / "text.jpg").write_text("no image")
    config = lift_configured(
        data=str(data),
        model="networks:small",
        verify_on="networks:small_with_a_norm",
        include="all",
        keep_steps=6,
        target_co=5.0,
        max_steps=30,
        similarity=1.0,
        batch_size=4,
        shard_size=6,
    )
    run_lift(prepare_lift(config, ["heatlift", "lift", "photos"]), folder / "run", lambda *_: None)
    return folder / "run"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_lift_run(tmp_path / "run")


def rows(run: Path, table: str = "lift") -> list[dict[str, Any]]:
    return read_table(run, table).to_pylist()


def usable(run: Path) -> list[dict[str, Any]]:
    return [row for row in rows(run) if row["status"] == "ok"]


def change(run: Path, name: str, **entries: Any) -> None:
    """Change entries of one of the run's JSON files."""
    path = run / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | entries), encoding="utf-8")


def picture(source: str) -> np.ndarray[Any, Any]:
    kind, data = source.split(",", 1)
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(float) / 255


# What it says


def test_a_page_has_every_part(made: Path) -> None:
    page = build_lift_page(made)
    summary = json.loads((made / "summary.json").read_text(encoding="utf-8"))
    assert page.title == "Lifting networks:small on photos"
    assert page.verdict == clean(summary["verdict"])
    facts = {fact.term: fact.text for fact in page.facts}
    figures = summary["figures"]["all"]
    assert facts["Images tried"] == "15"
    assert facts["Reached CO 5"] == f"{figures['reached']['value']:.2f}"
    assert facts["Probability"] == f"{figures['p_before']['value']:.2f} → {figures['p_after']['value']:.2f}"
    assert facts["On networks:small_with_a_norm"].endswith(f"{figures['p_verify_after']['value']:.2f}")
    assert [plate.identity for plate in page.lead] == ["curves", "agreement"]
    assert [(f.reason, f.images) for f in page.failures] == [
        ("unreadable: not an image that Pillow can read", "1")
    ]
    assert len(page.missed.rows) == summary["counts"]["not_reached"] > 0
    assert page.command == "heatlift lift photos"
    assert "Second network" in [section.title for section in page.settings]


def test_every_certificate_is_there_with_its_interval_and_n(made: Path) -> None:
    figures = json.loads((made / "summary.json").read_text(encoding="utf-8"))["figures"]
    table = build_lift_page(made).certificates
    assert [column.title for column in table.columns] == [
        "Figure",
        "All images",
        "Correct before",
        "Wrong before",
    ]
    assert len(table.rows) == len(figures["all"])
    for row, name in zip(table.rows, figures["all"], strict=True):
        for cell, group in zip(row.cells[1:], ("all", "correct", "wrong"), strict=True):
            assert cell.value == figures[group][name]["value"]
            assert cell.detail.endswith(f"n = {figures[group][name]['n']}")
            assert cell.detail.startswith("[")


def test_the_curves_are_the_scores_on_record(made: Path) -> None:
    (plate, _) = build_lift_page(made).lead
    assert isinstance(plate.content, Curves)
    wanted = []
    for row in usable(made):
        steps = sorted((e["step"], e["co"]) for e in rows(made, "evolutions") if e["image"] == row["image"])
        wanted.append((tuple(s for s, _ in steps), tuple(co for _, co in steps), row["reached"]))
    assert sorted((c.steps, c.scores, c.reached) for c in plate.content.curves) == sorted(wanted)
    assert plate.content.target == 5.0
    reached = sum(row["reached"] for row in usable(made))
    assert plate.title.startswith(f"{reached} of 15 images reached a CO score of 5;")


def test_many_images_are_drawn_in_part_and_that_is_said(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(images=200, kept=0, steps=300))
    (curves, agreement) = build_lift_page(run).lead
    assert len(curves.content.curves) == 60
    assert "60 of 198 images" in curves.caption
    assert max(len(curve.steps) for curve in curves.content.curves) <= 120
    last = {row["image"]: row["co"] for row in usable(run)}
    assert {curve.scores[-1] for curve in curves.content.curves} <= set(last.values())
    assert sum(len(dots) for dots in agreement.content.dots.values()) == 198


def test_dots_are_the_changes_of_both_networks(made: Path) -> None:
    (_, plate) = build_lift_page(made).lead
    assert isinstance(plate.content, Cloud)
    for kind, correct in (("correct", True), ("wrong", False)):
        assert set(plate.content.dots[kind]) == {
            (row["p_after"] - row["p_before"], row["p_verify_after"] - row["p_verify_before"])
            for row in usable(made)
            if (row["predicted_before"] == row["label"]) is correct
        }


@pytest.mark.parametrize(
    ("carried", "words"),
    [
        (0.0, "other-net does not share the gain: "),
        (0.8, "other-net gains, too: +0.1"),
        (0.25, "Whether other-net shares the gain stays open"),
    ],
)
def test_the_title_says_what_the_summary_found(tmp_path: Path, carried: float, words: str) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(carried=carried))
    if carried == 0.25:
        change(run, "summary", finding="unclear")
    assert build_lift_page(run).lead[1].title.startswith(words)


def test_without_a_second_network_the_gain_is_shown(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(verified=False))
    page = build_lift_page(run)
    assert [plate.identity for plate in page.lead] == ["curves", "gain"]
    dots = [dot for found in page.lead[1].content.dots.values() for dot in found]
    assert sorted(dots) == sorted((row["p_before"], row["p_after"]) for row in usable(run))
    assert not [fact for fact in page.facts if fact.term.startswith("On ")]
    assert "Second network" not in "".join(Elements(write_report(run).read_text(encoding="utf-8")).text)


def test_without_labels_nothing_speaks_of_correct_and_wrong(tmp_path: Path) -> None:
    page = build_lift_page(write_lift_run(tmp_path / "run", InventedLift(labelled=False)))
    assert set(page.lead[1].content.dots) == {"all"}
    assert [column.title for column in page.certificates.columns] == ["Figure", "All images"]
    assert {example.correct for example in page.examples} == {None}


def test_words_in_figures_are_names_not_markup(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    change(run, "run", verify=record["verify"] | {"name": "$x$<b>"})
    for plate in build_lift_page(run).lead:
        ElementTree.fromstring(draw(plate))
    assert "$x$&lt;b&gt;" in draw(build_lift_page(run).lead[1])


# The slider


def test_the_first_and_the_last_step_are_among_the_frames(made: Path) -> None:
    scores = {(row["image"], row["step"]): row["co"] for row in rows(made, "evolutions")}
    examples = build_lift_page(made).examples
    assert len(examples) == 4
    for example in examples:
        steps = Evolutions(made).steps(example.name)
        shown = [frame.step for frame in example.frames]
        assert shown == sorted(set(shown))
        assert len(shown) == min(24, len(steps))
        assert (shown[0], shown[-1]) == (steps[0], steps[-1])
        assert example.frames[example.start].step == steps[-1]
        for frame in example.frames:
            said = float(frame.score.replace("−", "-"))
            assert said == pytest.approx(scores[example.name, frame.step], rel=0.06, abs=0.01)


@pytest.mark.parametrize("method", ["gax", "spotlight"])
def test_frames_show_what_the_heatmap_makes_of_the_image(tmp_path: Path, method: str) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(method=method, kept=1, noise=0.0))
    (name,) = Evolutions(run).images()
    # A left half that is lowered and a right half that is raised, on a smooth photograph.
    neutral = 0.0 if method == "gax" else 1.0
    half = np.repeat([-0.25, 0.25], 32)
    heatmap = np.broadcast_to(neutral + half, (3, 64, 64)).astype(np.float32)
    recorder = Recorder(neutral + 1)
    recorder.add(heatmap, 0)
    Evolutions(run).write(name, heatmap, recorder, method)
    photograph = np.tile(np.linspace(60, 220, 64), (64, 1)).astype(np.uint8)
    Image.fromarray(np.stack([photograph] * 3, axis=-1)).save(original_path(run, name))
    (example,) = build_lift_page(run).examples
    (frame,) = example.frames
    x = photograph[:, :, None] / 255
    wanted = np.clip(x + half[None, :, None] if method == "gax" else x * (1 + half[None, :, None]), 0, 1)
    assert np.abs(picture(frame.augmented) - wanted).mean() < 0.02
    assert np.abs(picture(example.source) - x).mean() < 0.02
    red, _, blue = (picture(frame.heatmap)[:, :, channel] for channel in range(3))
    assert (blue > red)[:, 2:30].all()
    assert (red > blue)[:, 34:62].all()
    assert float(frame.largest) == pytest.approx(0.25, abs=0.01)
    assert float(frame.limit) == pytest.approx(0.25, abs=0.015)


def test_a_best_step_on_record_is_where_the_slider_starts(run: Path) -> None:
    outcomes = read_outcomes(run)
    name = Evolutions(run).images()[0]
    last = Evolutions(run).steps(name)[-1]
    for best in (1, 2):
        changed = [replace(o, steps=best) for o in outcomes if o.image == name]
        (example,) = read_evolutions(run, changed, "add", None)
        assert example.frames[example.start].step == best
        assert (example.frames[0].step, example.frames[-1].step) == (0, last)


def test_noise_keeps_to_the_budget(tmp_path: Path) -> None:
    like = InventedLift(images=5, failed=0, missed=0, kept=0, side=300, noise=1.0, steps=26)
    run = write_lift_run(tmp_path / "run", like)
    keep(run, "owl/0.png", 26, like, np.random.default_rng(1))
    path = write_report(run)
    (example,) = build_lift_page(run).examples
    assert len(example.frames) <= 25
    sizes = [len(source) * 3 / 4 for f in example.frames for source in (f.heatmap, f.augmented)]
    assert sum(sizes) <= BUDGET
    assert 4 * BUDGET * 4 / 3 + path.stat().st_size - sum(sizes) * 4 / 3 < 5e6
    assert picture(example.frames[0].heatmap).shape == (224, 224, 3)


def test_no_kept_heatmaps_no_slider(run: Path) -> None:
    shutil.rmtree(run / "maps.zarr")
    assert build_lift_page(run).examples == ()
    page = Elements(write_report(run).read_text(encoding="utf-8"))
    assert page.tags()["input"] == page.tags()["img"] == 0
    assert "#steps" not in page.values("href")


# What it copes with, and what it refuses


def test_a_report_needs_no_torch() -> None:
    code = "import sys, heatlift.report; sys.exit(bool({'torch', 'timm', 'zarr'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("method", ["gax", "spotlight"])
@pytest.mark.parametrize(("images", "failed"), [(1, 0), (3, 3), (12, 0)])
def test_runs_of_any_size(tmp_path: Path, method: str, images: int, failed: int) -> None:
    like = InventedLift(images=images, failed=failed, missed=images // 2, method=method)
    page = write_report(write_lift_run(tmp_path / "run", like)).read_text(encoding="utf-8")
    Elements(page)
    assert len(re.findall("<svg", page)) == (0 if images == failed else 2)


def test_hostile_names_add_no_element_and_no_handler(tmp_path: Path) -> None:
    def page(words: str) -> Elements:
        like = InventedLift(
            classes=(words,) * 3,
            image_name=words + "{}",
            reason=words,
            run={"command": [words], "version": words},
        )
        run = write_lift_run(tmp_path / str(len(words)), like)
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        change(
            run,
            "run",
            config=record["config"] | {words: {words: [words]}},
            verify={"spec": words, "name": words},
            data={"path": words.replace("/", "|")},
        )
        change(run, "summary", verdict=words)
        return Elements(write_report(run).read_text(encoding="utf-8"))

    evil, plain = page(EVIL), page("word")
    different = (evil.tags() - plain.tags()) + (plain.tags() - evil.tags())
    assert set(different) <= {"wbr", "tspan"}
    assert evil.scripts == plain.scripts
    assert {name for _, attrs in evil.elements for name in attrs} == {
        name for _, attrs in plain.elements for name in attrs
    }
    assert clean(EVIL) in "".join(evil.text)


def test_a_run_of_another_kind(run: Path) -> None:
    change(run, "run", kind="other <b>\n")
    with pytest.raises(
        HeatliftError, match=r"'other <b>': this heatlift reports audit, lift and undesirable"
    ) as caught:
        write_report(run)
    assert "\n" not in str(caught.value)


def test_a_lift_without_a_summary(run: Path) -> None:
    (run / "summary.json").unlink()
    with pytest.raises(HeatliftError, match="start the same `heatlift lift` again"):
        write_report(run)


def test_an_original_that_is_gone_torn_or_of_another_size(run: Path) -> None:
    paths = [original_path(run, name) for name in Evolutions(run).images()]
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(HeatliftError, match=r"\.png is not readable"):
        write_report(run)
    for path in paths:
        Image.new("RGB", (25, 24)).save(path)
    with pytest.raises(HeatliftError, match=r"\.png is 25 x 24, its heatmaps 24 x 24"):
        write_report(run)
    for path in paths:
        path.unlink()
    with pytest.raises(HeatliftError, match=r"\.png is not readable"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_figures_that_are_not_known_are_left_out(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    figures = summary["figures"]["all"] | {
        "steps": None,
        "co": {"value": None, "low": None, "high": None, "n": 1},
    }
    change(run, "summary", figures={"all": figures, "correct": None, "wrong": None})
    page = build_lift_page(run)
    assert "Median steps" not in [fact.term for fact in page.facts]
    assert [row.cells[0].text for row in page.certificates.rows].count("CO score") == 0
    assert "took" not in page.lead[0].title
    assert write_report(run)
