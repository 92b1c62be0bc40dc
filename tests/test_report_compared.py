"""Several audits in one report: what is compared on the same images, what is refused, and the page itself."""

from __future__ import annotations

import json
import re
import shutil
import tracemalloc
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from heatlift.errors import HeatliftError
from heatlift.report import write_comparison
from heatlift.report.compared.limits import limits
from heatlift.report.compared.pages import build_compared_page
from heatlift.report.compared.runs import read_beside
from heatlift.report.compared.words import accuracy_words, order_words, verdict
from heatlift.run.compared import (
    compare_accuracy,
    compare_means,
    compare_ranks,
    kendall,
    most_disputed,
    spearman,
)
from heatlift.run.paired import read_paired
from heatlift.run.tables import read_table, write_part
from heatlift.wording import clean
from lift_runs import write_lift_run
from pages import EVIL, Elements
from runs import Invented, write_run

METHODS = ("saliency", "input_x_gradient", "deeplift")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Three networks on the same photographs; the second is better and has ten images more."""
    folder = tmp_path_factory.mktemp("runs")
    return (
        write_run(folder / "resnet", Invented(methods=METHODS, wrong=40)),
        write_run(folder / "dense", Invented(methods=METHODS, images=130, wrong=30, spread=2.0)),
        write_run(folder / "vgg", Invented(methods=METHODS, wrong=50)),
    )


def changed(run: Path, table: str, change: Any) -> Path:
    """The run with one table's rows changed."""
    rows = read_table(run, table).to_pylist()
    for row in rows:
        change(row)
    for part in (run / table).iterdir():
        part.unlink()
    write_part(run, table, 0, rows)
    return run


# Figures in pairs


def test_accuracies_are_those_of_the_same_images_and_mcnemar_counts_the_uneven_ones() -> None:
    draw = np.random.default_rng(0)
    first, other = draw.random(500) < 0.7, draw.random(500) < 0.8
    found = compare_accuracy(first, other)
    only_other, only_first = int((other & ~first).sum()), int((first & ~other).sum())
    assert found.difference.value == pytest.approx((only_other - only_first) / 500)
    assert (found.turned.turned_right, found.turned.turned_wrong) == (only_other, only_first)
    tail = stats.binom.cdf(min(only_other, only_first), only_other + only_first, 0.5)
    assert found.turned.p == pytest.approx(min(1.0, 2 * tail))
    # The paired interval is that of a mean of -1, 0 and 1.
    gained = other.astype(float) - first
    half = 1.96 * gained.std() / np.sqrt(500)
    assert found.difference.low == pytest.approx(gained.mean() - half, abs=0.006)
    assert found.difference.high == pytest.approx(gained.mean() + half, abs=0.006)


def test_pairs_count_where_both_are_known_and_agree_with_scipy_s_bootstrap() -> None:
    draw = np.random.default_rng(1)
    first, other = draw.normal(size=400), draw.normal(size=400) + 0.3
    first[:20], other[390:] = np.nan, np.nan
    whole = compare_means([first, first], [other, first])
    difference = (other - first)[20:390]
    assert whole[0].n == 370
    assert whole[0].value == pytest.approx(difference.mean())
    theirs = stats.bootstrap((difference,), np.mean, method="percentile", rng=np.random.default_rng(2))
    assert whole[0].low == pytest.approx(theirs.confidence_interval.low, abs=0.03)
    assert whole[0].high == pytest.approx(theirs.confidence_interval.high, abs=0.03)
    assert (whole[1].value, whole[1].low, whole[1].high, whole[1].n) == (0.0, 0.0, 0.0, 380)


def test_a_pair_with_fewer_than_two_images_is_unknown() -> None:
    lonely = np.array([0.5, np.nan, np.nan])
    (found,) = compare_means([lonely], [np.zeros(3)])
    assert (found.value, found.n) == (None, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    draw = np.random.default_rng(3)
    first, other = draw.normal(size=(2, 3, 50))
    assert compare_means(list(first), list(other), seed=4) == compare_means(list(first), list(other), seed=4)
    assert compare_means(list(first), list(other), seed=4) != compare_means(list(first), list(other), seed=5)


@pytest.mark.parametrize("tied", [False, True])
def test_rank_correlations_are_scipy_s(tied: bool) -> None:
    draw = np.random.default_rng(6)
    first, other = draw.normal(size=(2, 9, 20))
    if tied:
        first, other = first.round(), other.round()
    for column in range(20):
        expected = stats.spearmanr(first[:, column], other[:, column]).statistic
        assert spearman(first, other)[column] == pytest.approx(expected)
        expected = stats.kendalltau(first[:, column], other[:, column]).statistic
        assert kendall(first, other)[column] == pytest.approx(expected)


def test_an_order_is_like_itself_and_unlike_its_reverse() -> None:
    draw = np.random.default_rng(7)
    heatmaps = [draw.normal(place, 0.1, 60) for place in range(6)]
    same = compare_ranks(heatmaps, heatmaps)
    assert (same.spearman.value, same.kendall.value, same.heatmaps) == (1.0, 1.0, 6)
    assert same.spearman.low == pytest.approx(1.0)
    reverse = compare_ranks(heatmaps, [-values for values in heatmaps])
    assert reverse.spearman.value == reverse.kendall.value == pytest.approx(-1.0)
    assert reverse.spearman.n == 60


def test_too_few_heatmaps_images_or_differences_give_no_order() -> None:
    draw = np.random.default_rng(8)
    three = list(draw.normal(size=(3, 50)))
    assert compare_ranks(three, three).spearman.value is None
    one_image = list(draw.normal(size=(5, 1)))
    assert compare_ranks(one_image, one_image).spearman.value is None
    constant = [np.ones(50)] * 5
    assert compare_ranks(constant, list(draw.normal(size=(5, 50)))).kendall.value is None
    assert compare_ranks([], []).heatmaps == 0


def test_a_heatmap_that_failed_everywhere_does_not_spoil_the_order_of_the_others() -> None:
    draw = np.random.default_rng(9)
    heatmaps = [draw.normal(place, 1, 60) for place in range(6)]
    found = compare_ranks([*heatmaps, np.full(60, np.nan)], [*heatmaps, heatmaps[0]])
    assert (found.heatmaps, found.spearman.value, found.spearman.n) == (6, 1.0, 60)


def test_the_most_disputed_images_are_those_of_an_exhaustive_search() -> None:
    draw = np.random.default_rng(10)
    predicted, confidence = draw.integers(0, 3, (3, 80)), draw.random((3, 80))
    usable = draw.random((3, 80)) < 0.9
    strength = {}
    for image in range(80):
        against = [
            min(confidence[0, image], confidence[run, image])
            for run in (1, 2)
            if predicted[run, image] != predicted[0, image] and usable[0, image] and usable[run, image]
        ]
        if against:
            strength[image] = max(against)
    expected = sorted(strength, key=lambda image: -strength[image])
    assert most_disputed(predicted, confidence, usable, 12).tolist() == expected[:12]
    assert most_disputed(predicted, confidence, usable, 80).tolist() == expected
    agreed = np.zeros((2, 80), dtype=np.int64)
    assert not len(most_disputed(agreed, confidence[:2], usable[:2]))


@pytest.mark.slow
def test_fifty_thousand_images_fit_into_little_memory() -> None:
    draw = np.random.default_rng(11)
    first, other = draw.normal(size=(2, 14, 50_000))
    tracemalloc.start()
    found = compare_means(list(first), list(other))
    ranks = compare_ranks(list(first), list(other))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == ranks.heatmaps == 14
    assert peak < 2e8


# Runs brought together


def test_images_are_matched_by_name_whatever_their_order(runs: tuple[Path, ...], tmp_path: Path) -> None:
    turned = tmp_path / "turned"
    shutil.copytree(runs[0], turned)
    for table in ("predictions", "scores"):
        (part,) = (turned / table).iterdir()
        whole = pq.read_table(part)
        pq.write_table(whole.take(np.arange(whole.num_rows)[::-1].copy()), part)
    straight, mixed = read_paired([runs[0], runs[1]]), read_paired([runs[0], turned])
    assert mixed.names == straight.names
    assert mixed.runs[0].predicted.tolist() == mixed.runs[1].predicted.tolist()
    for name, values in mixed.runs[0].changes.items():
        np.testing.assert_array_equal(values, mixed.runs[1].changes[name])


def test_figures_in_pairs_are_those_of_the_tables(runs: tuple[Path, ...]) -> None:
    beside = read_beside(runs[:2])
    assert len(beside.paired.names) == 120
    tables = [
        {
            (row["image"], row["method"], row["operation"]): row["delta_p_label"]
            for row in read_table(run, "scores").to_pylist()
            if row["status"] == "ok"
        }
        for run in runs[:2]
    ]
    for row in beside.heatmaps:
        method, operation = row.name.split("/")
        keys = [key for key in tables[0] if key[1:] == (method, operation) and key in tables[1]]
        assert row.differences[0].n == len(keys) == 118
        expected = np.mean([tables[1][key] - tables[0][key] for key in keys])
        assert row.differences[0].value == pytest.approx(expected)
    correct = [
        {row["image"]: row["correct"] for row in read_table(run, "predictions").to_pylist()}
        for run in runs[:2]
    ]
    both = [image for image in correct[0] if correct[0][image] is not None and correct[1][image] is not None]
    gained = np.mean([correct[1][image] for image in both]) - np.mean([correct[0][image] for image in both])
    assert beside.accuracies[0].difference.value == pytest.approx(gained)


def test_three_runs_are_compared_to_the_first(runs: tuple[Path, ...]) -> None:
    beside = read_beside(runs)
    assert [side.name for side in beside.sides] == ["resnet", "dense", "vgg"]
    assert len(beside.accuracies) == len(beside.ranks) == 2
    alone = read_beside([runs[0], runs[2]])
    assert beside.accuracies[1].difference.value == alone.accuracies[0].difference.value
    assert [row.differences[1] for row in beside.heatmaps] == [row.differences[0] for row in alone.heatmaps]


def test_a_run_beside_its_copy_shows_no_difference(runs: tuple[Path, ...], tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "copy")
    beside = read_beside([runs[0], tmp_path / "copy"])
    assert {row.differences[0].value for row in beside.heatmaps} == {0.0}
    assert beside.accuracies[0].turned.p == 1.0
    assert beside.ranks[0].spearman.value == pytest.approx(1.0)
    assert beside.same[0].value == 1.0
    assert "Neither resnet nor copy is clearly more accurate" in verdict(beside)
    page = build_compared_page([runs[0], tmp_path / "copy"])
    assert page.disputed is None
    assert {entry.term for entry in page.limits} == {"Failed in resnet", "Failed in copy"}


def test_equal_folder_names_are_told_apart_by_what_they_lie_in(
    runs: tuple[Path, ...], tmp_path: Path
) -> None:
    for place, run in zip(("a", "b"), runs[:2], strict=True):
        shutil.copytree(run, tmp_path / place / "audit")
    sides = read_beside([tmp_path / "a" / "audit", tmp_path / "b" / "audit"]).sides
    assert [side.name for side in sides] == ["a/audit", "b/audit"]


def test_long_names_stay_different_where_they_are_cut(runs: tuple[Path, ...], tmp_path: Path) -> None:
    names = [f"a-rather-long-name-{letter}{letter}-for-the-folder-of-a-run" for letter in "xy"]
    for name, run in zip(names, runs[:2], strict=True):
        shutil.copytree(run, tmp_path / name)
    sides = read_beside([tmp_path / name for name in names]).sides
    assert len({side.short for side in sides}) == 2
    assert max(len(side.short) for side in sides) <= 24


# What it says


def test_the_verdict_names_the_better_network_and_both_numbers(runs: tuple[Path, ...]) -> None:
    page = build_compared_page(runs[:2])
    assert page.verdict.startswith(
        "dense is more accurate than resnet on the 118 images that can be compared"
    )
    assert "accuracy 0.75 against 0.66, dense minus resnet +0.085" in page.verdict
    turned = build_compared_page((runs[1], runs[0]))
    assert turned.verdict.startswith("dense is more accurate than resnet")
    assert "accuracy 0.75 against 0.66, resnet minus dense −0.085" in turned.verdict
    assert [plate.identity for plate in page.lead] == ["accuracy", "changes-1"]


@pytest.mark.parametrize(("gap", "words"), [(9, "other is more"), (-9, "first is more"), (1, "Neither")])
def test_a_network_is_called_better_where_mcnemar_says_so(
    runs: tuple[Path, ...], gap: int, words: str
) -> None:
    first, other = np.zeros(100, dtype=bool), np.zeros(100, dtype=bool)
    (other if gap > 0 else first)[: abs(gap)] = True
    sides = [type("Side", (), {"name": name})() for name in ("first", "other")]
    assert accuracy_words(*sides, compare_accuracy(first, other)).startswith(words)


def test_an_order_is_called_alike_only_where_its_interval_says_so() -> None:
    draw = np.random.default_rng(12)
    sides = [type("Side", (), {"name": name})() for name in ("first", "other")]
    clear = [draw.normal(place, 0.1, 200) for place in range(8)]
    noise = [draw.normal(0, 1, 200) for _ in range(8)]
    assert order_words(*sides, compare_ranks(clear, clear)).startswith(
        "other orders the heatmaps as first does"
    )
    reverse = compare_ranks(clear, clear[::-1])
    assert order_words(*sides, reverse).startswith("other does not order")
    unrelated = compare_ranks(noise, [draw.normal(0, 1, 200) for _ in noise])
    assert "is unclear" in order_words(*sides, unrelated)
    assert "can’t be said" in order_words(*sides, compare_ranks(clear[:2], clear[:2]))


def test_the_most_disputed_images_are_named_with_both_predictions(runs: tuple[Path, ...]) -> None:
    table = build_compared_page(runs[:2]).disputed
    assert table is not None
    assert 1 <= len(table.rows) <= 12
    assert [column.title for column in table.columns] == ["Image", "Label", "resnet", "dense"]
    predictions = [
        {row["image"]: row for row in read_table(run, "predictions").to_pylist()} for run in runs[:2]
    ]
    classes = ("cat", "dog", "owl")
    for row in table.rows:
        image, label, *cells = row.cells
        found = [each[image.text] for each in predictions]
        assert label.text == classes[found[0]["label"]]
        assert [cell.text for cell in cells] == [classes[each["predicted"]] for each in found]
        assert [cell.mark for cell in cells] == ["correct" if each["correct"] else "wrong" for each in found]
        assert cells[0].text != cells[1].text
        assert cells[0].detail.endswith(f"{found[0]['confidence']:.2f}")


def test_it_says_what_is_not_comparable(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", Invented(methods=("saliency", "gradcam")))
    other = write_run(
        tmp_path / "other",
        Invented(
            methods=("saliency", "deeplift"),
            images=130,
            classes=("a", "b", "c"),
            run={"config": {"space": "pixel", "target": "label"}, "data": {"path": "elsewhere"}},
        ),
    )
    said = {entry.term: entry.text for entry in limits(read_beside([first, other]))}
    assert said["Setting space"].startswith("model in first; pixel in other")
    assert said["Setting target"].startswith("predicted in first; label in other")
    assert "Setting clip" not in said
    assert said["Heatmaps of first"] == "Not in every run: gradcam/add, gradcam/multiply."
    assert said["Images of other"].startswith("10 of 130")
    assert "elsewhere" in said["Folders of images"]
    assert "3 in first" in said["Names of classes"]
    page = build_compared_page([first, other])
    assert page.differing == "space and target"
    assert [row.cells[0].text for row in page.changes.rows][:2] == ["saliency/add", "saliency/multiply"]


def test_without_labels_predictions_are_compared(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, Invented(methods=METHODS, labelled=False, wrong=wrong))
        for name, wrong in (("a", 40), ("b", 10))
    ]
    page = build_compared_page(runs)
    assert "which network is more accurate stays open" in page.verdict
    assert page.aurocs is None
    assert [entry.term for entry in page.facts] == ["Images in every run", "Same prediction"]
    assert Elements(write_comparison(runs, tmp_path / "out.html").read_text(encoding="utf-8"))


def test_labels_in_one_run_only(tmp_path: Path, runs: tuple[Path, ...]) -> None:
    bare = write_run(tmp_path / "bare", Invented(methods=METHODS, labelled=False))
    page = build_compared_page([runs[0], bare])
    assert any(entry.term == "Without a label in bare" for entry in page.limits)
    assert write_comparison([runs[0], bare], tmp_path / "out.html").exists()


def test_older_summaries_have_no_findings_and_it_says_so(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, Invented(methods=METHODS, older=True)) for name in ("a", "b")]
    for run in runs:
        summary = json.loads((run / "summary.json").read_text())
        for entry in summary["methods"]:
            for key in ("finding", "added", "scale", "improvement", "mcnemar"):
                entry.pop(key, None)
        (run / "summary.json").write_text(json.dumps(summary))
    page = build_compared_page(runs)
    assert "is not in the summary of a and b" in page.verdict
    assert not [column for column in page.aurocs.columns if "Added" in column.title]


def gifted(run: Path, to: Path, **limits: float) -> Path:
    """A copy in which saliency and noise are found to add; beside what is named, their gain starts there."""
    shutil.copytree(run, to)
    summary = json.loads((to / "summary.json").read_text())
    for entry in summary["methods"]:
        entry["finding"] = "adds" if entry["method"] in ("saliency", "noise") else "nothing"
        if entry["operation"] == "add":
            lows = {"signals": 0.01, "predicted_class": 0.01} | limits
            for name, low in lows.items():
                entry["added"][name]["auroc"] = {"value": 0.02, "low": low, "high": 0.03, "n": 118}
        else:
            entry["added"] = {"confidence": entry["added"]["confidence"]}
    (to / "summary.json").write_text(json.dumps(summary))
    return to


def test_heatmaps_that_add_are_named_with_their_run_and_limits(
    runs: tuple[Path, ...], tmp_path: Path
) -> None:
    said = build_compared_page([runs[0], gifted(runs[1], tmp_path / "gifted")]).verdict
    open_ = " (whether it only tells classes apart was not tested)"
    assert f"correctness: saliency/add and saliency/multiply{open_} in gifted" in said
    assert "noise" not in said
    limited = gifted(runs[1], tmp_path / "limited", predicted_class=-0.01, signals=-0.01)
    said = build_compared_page([runs[0], limited]).verdict
    both = "(but not to the classifier’s other signals or the predicted class)"
    assert f"saliency/add {both} in limited" in said


def test_where_all_that_adds_is_limited_it_says_so(runs: tuple[Path, ...], tmp_path: Path) -> None:
    run = gifted(runs[1], tmp_path / "limited", predicted_class=-0.01)
    summary = json.loads((run / "summary.json").read_text())
    for entry in summary["methods"]:
        if entry["operation"] == "multiply":
            entry["finding"] = "nothing"
    (run / "summary.json").write_text(json.dumps(summary))
    said = build_compared_page([runs[0], run]).verdict
    assert (
        "Some heatmaps add to what confidence tells about correctness, but none to all else that is known: "
        "saliency/add (but not to the predicted class) in limited."
    ) in said


def test_indicators_are_named_with_what_was_found(runs: tuple[Path, ...], tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", Invented(methods=METHODS, indicators=("my:good", "my:flat")))
    other = write_run(
        tmp_path / "other", Invented(methods=("gradcam",), controls=(), indicators=("my:flat",))
    )
    page = build_compared_page([one, other])
    summary = json.loads((one / "summary.json").read_text())
    assert page.indicators is not None
    assert [row.cells[0].text for row in page.indicators.rows] == ["my:good", "my:flat"]
    good = page.indicators.rows[0].cells
    assert good[1].value == summary["indicators"][0]["added"]["confidence"]["auroc"]["value"]
    assert [cell.text for cell in good[2:]] == ["adds", "–", "not tested"]
    assert page.aurocs is None
    assert "Of 2 indicators, these add to confidence: my:good" in page.verdict
    text = write_comparison([one, other], tmp_path / "out.html").read_text(encoding="utf-8")
    assert "What the indicators add to confidence" in text
    assert build_compared_page(runs[:2]).indicators is None
    flat = [write_run(tmp_path / name, Invented(indicators=("my:flat",))) for name in ("c", "d")]
    assert "Of 1 indicator, none was found to add to confidence" in build_compared_page(flat).verdict


def test_one_shared_image(runs: tuple[Path, ...], tmp_path: Path) -> None:
    other = changed(
        write_run(tmp_path / "other", Invented(methods=METHODS)),
        "predictions",
        lambda row: row.update(image=row["image"] if row["image"].endswith("/3.png") else "x" + row["image"]),
    )
    changed(
        other,
        "scores",
        lambda row: row.update(image=row["image"] if row["image"].endswith("/3.png") else "x" + row["image"]),
    )
    page = build_compared_page([runs[0], other])
    assert "minus resnet unknown" in page.verdict
    assert "+–" not in page.verdict
    assert page.title == "resnet (demo) and other (demo), audited on 1 shared image"
    assert (
        build_compared_page(runs[:2]).title == "resnet (demo) and dense (demo), audited on 120 shared images"
    )
    assert build_compared_page(runs[::2]).title == "resnet (demo) and vgg (demo), audited on the same images"


def test_one_run_in_which_every_image_failed(tmp_path: Path, runs: tuple[Path, ...]) -> None:
    dead = write_run(tmp_path / "dead", Invented(methods=METHODS, images=120, wrong=0, failed=120))
    page = build_compared_page([runs[0], dead])
    assert page.disputed is None
    assert write_comparison([runs[0], dead], tmp_path / "out.html").exists()


def test_runs_that_share_no_heatmap(tmp_path: Path, runs: tuple[Path, ...]) -> None:
    other = write_run(tmp_path / "other", Invented(methods=("gradcam",), controls=()))
    page = build_compared_page([runs[0], other])
    assert page.changes is None
    assert [plate.identity for plate in page.lead] == ["accuracy"]
    assert write_comparison([runs[0], other], tmp_path / "out.html").exists()


def test_scales_are_rows_of_their_own(tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / name, Invented(methods=("saliency",), controls=(), scales=(0.3, 1.0), wrong=wrong)
        )
        for name, wrong in (("a", 40), ("b", 50))
    ]
    page = build_compared_page(runs)
    names = [row.cells[0].text for row in page.changes.rows]
    assert sorted(names) == sorted(
        f"saliency/{operation}{scale}" for operation in ("add", "multiply") for scale in ("", " x0.3")
    )
    assert len(page.lead[1].content.rows) == 2  # full scale alone


# What it refuses


def refused(runs: list[Path], out: Path) -> str:
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(HeatliftError) as caught:
        write_comparison(runs, out)
    assert sorted(out.parent.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_image_in_common(runs: tuple[Path, ...], tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", Invented(image_name="cat/{}.jpg"))
    said = refused([runs[0], other], tmp_path / "out.html")
    assert "no image in common" in said
    assert "cat/0.jpg" in said


def test_labels_that_differ(runs: tuple[Path, ...], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    labels = {
        row["image"]: (row["label"] + 1) % 3 for row in read_table(other, "predictions").to_pylist()[:5]
    }
    changed(other, "predictions", lambda row: row.update(label=labels.get(row["image"], row["label"])))
    said = refused([runs[1], runs[0], other], tmp_path / "out.html")
    assert "disagree on the labels of owl/0.png (" in said
    assert "and 2 more" in said


def test_runs_of_other_kinds(runs: tuple[Path, ...], tmp_path: Path) -> None:
    lift = write_lift_run(tmp_path / "lift")
    assert "lift is a run of kind 'lift': only audits" in refused([runs[0], lift], tmp_path / "out.html")


def test_a_run_given_twice(runs: tuple[Path, ...], tmp_path: Path) -> None:
    assert "given twice" in refused([runs[0], runs[0].parent / "." / "resnet"], tmp_path / "out.html")


def test_too_many_runs(tmp_path: Path) -> None:
    assert "at most 6" in refused([tmp_path / str(i) for i in range(7)], tmp_path / "out.html")


def test_a_run_without_a_summary_or_no_run_at_all(runs: tuple[Path, ...], tmp_path: Path) -> None:
    torn = write_run(tmp_path / "torn", summarised=False)
    assert "no summary yet" in refused([runs[0], torn], tmp_path / "out.html")
    assert "run.json" in refused([runs[0], tmp_path / "nothing"], tmp_path / "deep" / "out.html")


@pytest.mark.parametrize("place", ["report.html", "summary.json", "."])
def test_nothing_of_a_run_is_overwritten(runs: tuple[Path, ...], place: str) -> None:
    assert refused(list(runs[:2]), runs[1] / place)


# The page


def test_hostile_names_add_nothing_to_the_page(tmp_path: Path) -> None:
    pages = []
    for place, (words, image) in {"evil": (EVIL, EVIL + "{}"), "plain": ("word", "{}")}.items():
        folders = []
        for name, wrong in (("a", 40), ("b", 20)):
            like = Invented(
                methods=(clean(words), "deeplift"),
                classes=(words, words, words),
                image_name=image,
                wrong=wrong,
                run={"command": [words], "model": {"spec": words, "classes": [words] * 3}},
            )
            folders.append(write_run(tmp_path / place / name, like))
        page = write_comparison(folders, tmp_path / f"{place}.html").read_text(encoding="utf-8")
        pages.append(Elements(page))
    evil, plain = pages
    assert set((evil.tags() - plain.tags()) + (plain.tags() - evil.tags())) <= {"wbr"}
    assert len(evil.scripts) == 1
    assert not [name for _, attrs in evil.elements for name in attrs if name.startswith("on")]
    assert clean(EVIL) in "".join(evil.text)


@pytest.mark.parametrize("n", [2, 3])
def test_the_page_is_whole(runs: tuple[Path, ...], tmp_path: Path, n: int) -> None:
    page = write_comparison(runs[:n], tmp_path / "new" / "out.html").read_text(encoding="utf-8")
    found = Elements(page)
    identities = found.values("id")
    assert len(identities) == len(set(identities))
    links = [value[1:] for value in found.values("href")] + re.findall(r"url\(#([^)]*)\)", page)
    links += " ".join(found.values("aria-labelledby")).split()
    assert set(links) <= set(identities)
    assert not re.search(r"https?://|@import|<link|<iframe|#0a0b0", page)
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert found.tags()["svg"] == 1 + 2 * (n - 1)


def test_the_same_runs_give_the_same_bytes(runs: tuple[Path, ...], tmp_path: Path) -> None:
    first, second = (write_comparison(runs[:2], tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize("width", [390, 1400])
def test_in_a_browser_it_asks_for_nothing_and_fits(
    browser: Any, runs: tuple[Path, ...], tmp_path: Path, width: int
) -> None:
    path = write_comparison(runs, tmp_path / "out.html")
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth")
    head = page.locator("#figures thead button").nth(1)
    head.click()
    order = page.locator("#figures tbody tr td:nth-child(2)").evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.value))"
    )
    page.close()
    assert requests == [path.as_uri()]
    assert complaints == []
    assert wide <= width
    assert order == sorted(order, reverse=True)
    assert len(order) == len(list(combinations(range(5), 2)))  # five heatmaps and controls, two operations
