"""summary.json from real tables: figures, counts, failures, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from heatlift.errors import HeatliftError
from heatlift.ranking import auroc
from heatlift.run.summary import summarise, write_summary
from heatlift.run.tables import write_part
from heatlift.statistics import median_gap

Row = dict[str, Any]


def prediction(image: str, label: int | None, predicted: int, confidence: float) -> Row:
    return {
        "image": image,
        "label": label,
        "predicted": predicted,
        "correct": None if label is None else label == predicted,
        "confidence": confidence,
        "max_logit": 3 * confidence,
        "margin": 2 * confidence - 1,
        "entropy": 1 - confidence,
        "energy": -confidence,
        "p_label": None if label is None else confidence,
        "status": "ok",
    }


def score(row: Row, method: str, co_label: float | None, co_predicted: float, **more: Any) -> Row:
    return {
        "image": row["image"],
        "method": method,
        "operation": "add",
        "control": method in ("zero", "noise"),
        "co_label": co_label,
        "co_predicted": co_predicted,
        "delta_p_label": None if co_label is None else co_label / 100,
        "delta_p_predicted": co_predicted / 100,
        "predicted_after": row["predicted"],
        "completeness": None,
        "status": "ok",
    } | more


def failed(row: Row, status: str, keys: tuple[str, ...]) -> Row:
    """The row as an audit writes it for an image that it could not use."""
    return {key: value if key in keys else None for key, value in row.items()} | {"status": status}


def failed_prediction(row: Row, status: str = "unreadable: truncated file") -> Row:
    return failed(row, status, ("image", "label"))


def failed_score(row: Row, status: str) -> Row:
    return failed(row, status, ("image", "method", "operation", "control"))


def tables(n: int = 200, seed: int = 0, labels: bool = True) -> tuple[list[Row], list[Row]]:
    """An audit of two methods and two controls in which a quarter of the images are wrong."""
    rng = np.random.default_rng(seed)
    predictions, scores = [], []
    for i in range(n):
        right = i % 4 != 0
        label = i % 7 if labels else None
        confidence = 1 / (1 + np.exp(-rng.normal(1.5 if right else 0)))
        row = prediction(f"{i:03d}.jpg", label, i % 7 if right else 8, confidence)
        predictions.append(row)
        for method in ("saliency", "deeplift", "zero", "noise"):
            co = 0.0 if method == "zero" else rng.normal(1 if right else 0)
            more = {"completeness": float(rng.random())} if method == "deeplift" else {}
            scores.append(score(row, method, co + 1e-9 * i if labels else None, co, **more))
    return predictions, scores


def write(run: Path, predictions: list[Row], scores: list[Row]) -> Path:
    """Two shards, the later one written first."""
    for shard in (1, 0):
        half = slice(None, 100) if shard == 0 else slice(100, None)
        images = {row["image"] for row in predictions[half]}
        write_part(run, "predictions", shard, predictions[half])
        write_part(run, "scores", shard, [row for row in scores if row["image"] in images])
    return run


def entry(summary: dict[str, Any], method: str, operation: str = "add") -> dict[str, Any]:
    (found,) = [e for e in summary["methods"] if (e["method"], e["operation"]) == (method, operation)]
    return found


def column(rows: list[Row], name: str, method: str | None = None) -> np.ndarray:
    return np.array([row[name] for row in rows if method is None or row["method"] == method])


def test_figures_are_those_of_the_tables(tmp_path: Path) -> None:
    predictions, scores = tables()
    summary = summarise(write(tmp_path, predictions, scores), resamples=200)
    correct = column(predictions, "correct").astype(bool)
    assert summary["counts"] == {
        "images": 200, "ok": 200, "failed": 0, "labelled": 200, "correct": 150, "wrong": 50, "failures": {},
    }  # fmt: skip
    assert summary["accuracy"]["value"] == 0.75
    assert [e["method"] for e in summary["methods"]] == ["saliency", "deeplift", "zero", "noise"]
    for method in ("saliency", "noise"):
        found = entry(summary, method)
        for name, key in (("co_label", "auroc_label"), ("co_predicted", "auroc_label_free")):
            expected = roc_auc_score(correct, column(scores, name, method))
            assert found[key]["value"] == pytest.approx(expected)
            assert found[key]["low"] < expected < found[key]["high"]
        co = column(scores, "co_label", method)
        assert found["median_correct"]["co_label"]["value"] == np.median(co[correct])
        assert found["median_wrong"]["co_label"]["n"] == 50
        assert found["gap"]["value"] == pytest.approx(np.median(co[correct]) - np.median(co[~correct]))
        assert found["co_predicted"]["value"] == np.median(column(scores, "co_predicted", method))
        rise = column(scores, "delta_p_label", method)
        assert found["delta_p_label"]["value"] == pytest.approx(rise.mean())
        assert found["raised_share"]["value"] == (rise > 0).mean()
        confidence = roc_auc_score(correct, column(predictions, "confidence"))
        assert found["auroc_difference"]["value"] == pytest.approx(
            found["auroc_label_free"]["value"] - confidence
        )
        assert found["completeness_median"] is found["completeness_worst"] is None
    # the zero control changes the first image's probability by exactly 0, which is no rise
    assert entry(summary, "zero")["raised_share"]["value"] == 199 / 200
    completeness = column(scores, "completeness", "deeplift").astype(float)
    assert entry(summary, "deeplift")["completeness_median"] == np.median(completeness)
    assert entry(summary, "deeplift")["completeness_worst"] == completeness.max()


def test_a_high_baseline_means_probably_correct(tmp_path: Path) -> None:
    """Entropy and energy fall as confidence rises: all five rank alike here, and above chance."""
    predictions, scores = tables()
    baselines = summarise(write(tmp_path, predictions, scores), resamples=100)["baselines"]
    assert set(baselines) == {"confidence", "max_logit", "margin", "entropy", "energy"}
    assert baselines["confidence"]["auroc"]["value"] > 0.75
    for baseline in baselines.values():
        for figure in ("auroc", "aurc", "augrc", "fpr95"):
            assert baseline[figure] == pytest.approx(baselines["confidence"][figure])
            assert baseline[figure]["low"] <= baseline[figure]["value"] <= baseline[figure]["high"]


def test_accuracy_afterwards_counts_the_label(tmp_path: Path) -> None:
    predictions, scores = tables()
    for row in scores[: 4 * 20]:
        row["predicted_after"] = 6
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    # of the first 20 images, only those labelled 6 stay or become right; the other 180 do not change
    right = sum(i % 7 == 6 for i in range(20)) + sum(i % 4 != 0 for i in range(20, 200))
    assert entry(summary, "saliency")["accuracy_after"]["value"] == right / 200
    assert entry(summary, "saliency")["accuracy_before"]["value"] == 0.75


def test_failed_rows_are_counted_and_enter_no_figure(tmp_path: Path) -> None:
    predictions, scores = tables()
    predictions[3] = failed_prediction(predictions[3])
    predictions[5] = failed_prediction(predictions[5], "unreadable: not an image")
    lost = {"003.jpg", "005.jpg"}
    scores = [failed_score(row, "unreadable") if row["image"] in lost else row for row in scores]
    at = next(i for i, row in enumerate(scores) if (row["image"], row["method"]) == ("008.jpg", "saliency"))
    scores[at] = failed_score(scores[at], "not finite")
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    assert summary["counts"]["failures"] == {"unreadable: truncated file": 1, "unreadable: not an image": 1}
    assert (summary["counts"]["ok"], summary["counts"]["failed"], summary["counts"]["labelled"]) == (
        198,
        2,
        198,
    )
    found = entry(summary, "saliency")
    assert (found["n"], found["n_failed"], found["n_correct"], found["n_wrong"]) == (197, 3, 148, 49)
    assert found["failures"] == {"unreadable": 2, "not finite": 1}
    assert entry(summary, "noise")["n"] == 198
    kept = [row for row in scores if row["method"] == "saliency" and row["status"] == "ok"]
    correct = {row["image"]: row["correct"] for row in predictions}
    truth = np.array([correct[row["image"]] for row in kept], dtype=bool)
    assert found["auroc_label"]["value"] == pytest.approx(roc_auc_score(truth, column(kept, "co_label")))
    # the difference compares on the images that saliency has, not on all
    confidence = {row["image"]: row["confidence"] for row in predictions}
    expected = auroc(column(kept, "co_predicted"), truth) - auroc(
        [confidence[row["image"]] for row in kept], truth
    )
    assert found["auroc_difference"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
@pytest.mark.parametrize("name", ["co_label", "co_predicted", "delta_p_label"])
def test_a_row_without_a_figure_is_failed_whatever_it_says(tmp_path: Path, name: str, value: Any) -> None:
    predictions, scores = tables()
    clean = summarise(write(tmp_path / "clean", predictions, scores), resamples=100)
    scores[0] = scores[0] | {name: value}
    summary = summarise(write(tmp_path / "holed", predictions, scores), resamples=100)
    assert entry(summary, "saliency")["failures"] == {f"{name} is not a finite number": 1}
    assert entry(summary, "saliency")["n"] == 199
    assert entry(summary, "noise") == entry(clean, "noise")
    json.dumps(summary, allow_nan=False)


def test_a_prediction_without_a_figure_fails_its_scores_too(tmp_path: Path) -> None:
    predictions, scores = tables()
    predictions[0]["entropy"] = np.nan
    predictions[1]["predicted"] = None
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    expected = {"entropy is not a finite number": 1, "predicted is missing": 1}
    assert summary["counts"]["failures"] == expected
    assert entry(summary, "saliency")["failures"] == {"its prediction failed": 2}


def test_without_labels_only_the_label_free_figures_are_there(tmp_path: Path) -> None:
    summary = summarise(write(tmp_path, *tables(labels=False)), resamples=100)
    assert summary["accuracy"] is None
    assert summary["verdict"].startswith("Without labels only label-free figures")
    assert (summary["counts"]["ok"], summary["counts"]["labelled"]) == (200, 0)
    assert summary["baselines"]["confidence"]["auroc"] == {"value": None, "low": None, "high": None, "n": 0}
    found = entry(summary, "saliency")
    assert found["n"] == 200
    assert found["co_predicted"]["value"] is not None
    figures = ["gap", "gap_label_free", "auroc_label", "auroc_label_free", "auroc_difference"]
    figures += ["accuracy_before", "accuracy_after", "delta_p_label", "raised_share"]
    for name in figures:
        assert found[name] == {"value": None, "low": None, "high": None, "n": 0}
    assert "no labels" in found["verdict"]
    json.dumps(summary, allow_nan=False)


def test_some_images_without_a_label(tmp_path: Path) -> None:
    predictions, scores = tables()
    bare = {"000.jpg", "001.jpg"}
    for row in predictions[:2]:
        row.update(label=None, correct=None, p_label=None)
    for row in scores:
        if row["image"] in bare:
            row.update(co_label=None, delta_p_label=None)
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    assert (summary["counts"]["labelled"], summary["counts"]["correct"]) == (198, 149)
    found = entry(summary, "saliency")
    assert (found["n"], found["n_failed"], found["auroc_label"]["n"]) == (200, 0, 198)
    assert found["co_predicted"]["n"] == 200


def test_a_constant_score_is_worth_exactly_nothing(tmp_path: Path) -> None:
    predictions, scores = tables()
    for row in scores:
        if row["method"] == "zero":
            row["co_label"] = 0.0
    found = entry(summarise(write(tmp_path, predictions, scores), resamples=100), "zero")
    for key in ("auroc_label", "auroc_label_free"):
        assert [found[key][part] for part in ("value", "low", "high")] == [0.5, 0.5, 0.5]
    assert [found["gap"][part] for part in ("value", "low", "high")] == [0.0, 0.0, 0.0]
    assert found["verdict"] == "control: CO is 0, as it must be for an unchanged image"


def test_no_wrong_image(tmp_path: Path) -> None:
    predictions, scores = tables()
    for row in predictions:
        row.update(predicted=row["label"], correct=True)
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    assert summary["verdict"].startswith("Too few errors to say (0)")
    assert summary["baselines"]["margin"]["fpr95"] == {"value": None, "low": None, "high": None, "n": 200}
    found = entry(summary, "saliency")
    assert found["gap"]["value"] is None
    assert found["median_correct"]["co_label"]["value"] is not None
    assert found["delta_p_label"]["n"] == 200


def test_no_usable_image(tmp_path: Path) -> None:
    predictions, scores = tables()
    predictions = [failed_prediction(row) for row in predictions]
    scores = [failed_score(row, "unreadable: truncated file") for row in scores]
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    assert summary["verdict"] == "Nothing to say: no image could be used."
    assert entry(summary, "saliency")["n_failed"] == 200
    assert entry(summary, "zero")["verdict"] == "control: nothing to say: no image could be used"
    json.dumps(summary, allow_nan=False)


def test_an_audit_without_methods(tmp_path: Path) -> None:
    predictions, _ = tables()
    summary = summarise(write(tmp_path, predictions, []), resamples=100)
    assert summary["methods"] == []
    assert summary["verdict"].startswith("No score could be compared")
    assert summary["baselines"]["confidence"]["auroc"]["value"] is not None


def twice(predictions: list[Row], scores: list[Row]) -> None:
    predictions.append(dict(predictions[7]))


def gone(predictions: list[Row], scores: list[Row]) -> None:
    for image in ("001.jpg", "002.jpg", "003.jpg", "004.jpg", "005.jpg"):
        scores.remove(next(r for r in scores if (r["image"], r["method"]) == (image, "noise")))


def again(predictions: list[Row], scores: list[Row]) -> None:
    scores.append(dict(next(r for r in scores if (r["image"], r["method"]) == ("009.jpg", "deeplift"))))


def unforeseen(predictions: list[Row], scores: list[Row]) -> None:
    del predictions[42]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (twice, r"predictions has more than one row for 007\.jpg:"),
        (gone, r"no row of noise/add for 001\.jpg, 002\.jpg, 003\.jpg and 2 more:"),
        (again, r"more than one row of deeplift/add for 009\.jpg:"),
        (unforeseen, r"scores has rows for 042\.jpg, which predictions lacks"),
    ],
)
def test_tables_that_do_not_have_one_row_per_image(
    tmp_path: Path, spoil: Callable[[list[Row], list[Row]], None], message: str
) -> None:
    predictions, scores = tables()
    spoil(predictions, scores)
    write_part(tmp_path, "predictions", 0, predictions)
    write_part(tmp_path, "scores", 0, scores)
    with pytest.raises(HeatliftError, match=message):
        summarise(tmp_path)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(HeatliftError, match="no predictions yet"):
        write_summary(tmp_path)


def test_operations_are_kept_apart(tmp_path: Path) -> None:
    predictions, scores = tables()
    scores += [row | {"operation": "multiply", "co_label": -row["co_label"]} for row in scores]
    summary = summarise(write(tmp_path, predictions, scores), resamples=100)
    added, multiplied = (entry(summary, "saliency", operation) for operation in ("add", "multiply"))
    assert multiplied["auroc_label"]["value"] == pytest.approx(1 - added["auroc_label"]["value"])
    assert len(summary["methods"]) == 8


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    predictions, scores = tables()
    first = summarise(write(tmp_path / "a", predictions, scores), resamples=100)
    rng = np.random.default_rng(0)
    mixed = [scores[i] for i in rng.permutation(len(scores))]
    write_part(tmp_path / "b", "predictions", 0, predictions)
    write_part(tmp_path / "b", "scores", 0, mixed)
    second = summarise(tmp_path / "b", resamples=100)
    assert {e["method"]: e for e in first["methods"]} == {e["method"]: e for e in second["methods"]}


def test_the_file_is_what_was_computed(tmp_path: Path) -> None:
    write(tmp_path, *tables())
    (tmp_path / "run.json").write_text(
        json.dumps({"timing": {"seconds": 4.0, "images_per_second": 50.0}}), encoding="utf-8"
    )
    summary = write_summary(tmp_path, seed=3, resamples=100)
    assert summary["run"] == {"seconds": 4.0, "images_per_second": 50.0}
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == summary
    assert summary == summarise(tmp_path, seed=3, resamples=100)
    assert not list(tmp_path.glob(".*"))


def test_intervals_use_the_seed_and_the_resamples(tmp_path: Path) -> None:
    predictions, scores = tables()
    write(tmp_path, predictions, scores)
    found = entry(summarise(tmp_path, seed=1, resamples=300), "saliency")
    co, correct = column(scores, "co_label", "saliency"), column(predictions, "correct").astype(bool)
    assert found["gap"] == median_gap(co[correct], co[~correct], 300, 1)[2].as_json()
    assert found["gap"] != entry(summarise(tmp_path, seed=2, resamples=300), "saliency")["gap"]
    expected = stats.binomtest(150, 200).proportion_ci(method="wilson")
    assert found["accuracy_before"]["low"] == pytest.approx(expected.low)
