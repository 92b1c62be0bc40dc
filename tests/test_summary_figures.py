"""What summary.json has of every score and every change, against scipy, scikit-learn and plain counting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

from heatlift.run.curves import BEST_POSSIBLE
from heatlift.run.summary import summarise
from heatlift.run.tables import read_table, write_part
from heatlift.score import log_confidence_at
from heatlift.temperature import TEMPERATURES

CLASSES = 4


def audit(run: Path, n: int = 300, indicator: bool = False) -> dict[str, np.ndarray]:
    """An audit of a network of four classes with two scales; gives the columns of its tables."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (n, CLASSES)))
    p = logits.softmax(1).numpy()
    predicted = p.argmax(1)
    label = np.array([rng.choice(CLASSES, p=row) for row in p])
    correct, names = label == predicted, [f"{i:03d}.jpg" for i in range(n)]
    at = log_confidence_at(logits, TEMPERATURES).numpy()
    predictions = [
        {
            "image": names[i],
            "label": int(label[i]),
            "predicted": int(predicted[i]),
            "correct": bool(correct[i]),
            "confidence": p[i].max(),
            "max_logit": float(logits[i].max()),
            "margin": float(np.diff(np.sort(p[i]))[-1]),
            "entropy": float(stats.entropy(p[i])),
            "energy": -float(logits[i].logsumexp(0)),
            "p_label": p[i, label[i]],
            "log_confidence_at": at[i].tolist(),
            "status": "ok",
        }
        for i in range(n)
    ]
    columns: dict[str, Any] = {
        "correct": correct,
        "predicted": predicted,
        "label": label,
        "confidence": p.max(1),
        "nll": -np.log(p[range(n), label]),
    }
    scores = []
    for method, scale in (("saliency", 1.0), ("saliency", 0.3), ("noise", 1.0)):
        co = rng.integers(-5, 6, n) / 2 + (method == "saliency") * correct
        change, after = rng.normal(0.01, 0.1, n), np.where(rng.random(n) < 0.2, label, predicted)
        columns |= {
            f"{method} {scale}": co,
            f"{method} {scale} change": change,
            f"{method} {scale} after": after,
        }
        scores += [
            {
                "image": names[i],
                "method": method,
                "operation": "add",
                "scale": scale,
                "control": method == "noise",
                "co_label": co[i] - 2.0 * (not correct[i]),
                "co_predicted": co[i],
                "delta_p_label": change[i],
                "delta_p_predicted": change[i],
                "predicted_after": int(after[i]),
                "status": "ok",
            }
            for i in range(n)
        ]
    told = rng.normal(2.0 * correct)
    columns["told"] = told
    rows = [
        {"image": names[i], "indicator": "mine:told", "value": told[i], "status": "ok"}
        if i
        else {"image": names[0], "indicator": "mine:told", "value": None, "status": "not finite"}
        for i in range(n)
    ]
    write_part(run, "predictions", 0, predictions)
    write_part(run, "scores", 0, scores)
    write_part(run, "indicators", 0, rows if indicator else [])
    return columns


def test_every_ranked_figure_is_that_of_the_columns(tmp_path: Path) -> None:
    columns = audit(tmp_path)
    summary = summarise(tmp_path, resamples=200)
    correct, predicted = columns["correct"], columns["predicted"]
    assert [entry["scale"] for entry in summary["methods"]] == [1.0, 0.3, 1.0]
    for entry, name in zip(summary["methods"], ("saliency 1.0", "saliency 0.3", "noise 1.0"), strict=True):
        score = columns[name]
        label = score - 2.0 * ~correct
        for key, values in (("ks", score), ("ks_label", label)):
            expected = stats.ks_2samp(values[correct], values[~correct])
            assert entry[key]["value"] == pytest.approx(expected.statistic)
            assert entry[f"{key}_p"] == pytest.approx(expected.pvalue)
            assert entry[key]["low"] is entry[key]["high"] is None
        pairs = [
            (score[i] > score[j]) + (score[i] == score[j]) / 2
            for i in np.flatnonzero(correct)
            for j in np.flatnonzero(~correct & (predicted == predicted[i]))
        ]
        assert entry["within"]["value"] == pytest.approx(np.mean(pairs))
        assert entry["within"]["low"] < np.mean(pairs) < entry["within"]["high"]


def test_accuracy_at_coverage(tmp_path: Path) -> None:
    columns = audit(tmp_path)
    summary = summarise(tmp_path, resamples=100)
    ordered = columns["correct"][np.argsort(-columns["confidence"])]
    for coverage, kept in (("0.5", 150), ("0.8", 240), ("0.9", 270)):
        found = summary["baselines"]["confidence"]["accuracy_at"][coverage]
        assert found["n"] == kept
        assert found["value"] == pytest.approx(ordered[:kept].mean())
    risk = summary["curves"]["risk"]
    assert summary["curves"]["coverage"][24] == 0.5
    assert risk["confidence"][24] == pytest.approx(1 - ordered[:150].mean())
    accuracy = columns["correct"].mean()
    assert all(curve[-1] == pytest.approx(1 - accuracy) for curve in risk.values())
    assert risk[BEST_POSSIBLE][24] == max(0.0, 0.5 - accuracy) / 0.5
    assert {"saliency/add", "saliency/add x0.3", "noise/add"} < set(risk)


def test_changes_are_counted_over_all_correct_and_wrong_images(tmp_path: Path) -> None:
    columns = audit(tmp_path)
    entry = summarise(tmp_path, resamples=200)["methods"][0]
    change, after = columns["saliency 1.0 change"], columns["saliency 1.0 after"]
    correct, label = columns["correct"], columns["label"]
    for kind, rows in (("all", np.ones(300, bool)), ("correct", correct), ("wrong", ~correct)):
        found = entry["improvement"][kind]
        assert found["n"] == rows.sum()
        assert found["raised_share"]["value"] == pytest.approx((change[rows] > 0).mean())
        assert found["delta_p_label"]["value"] == pytest.approx(change[rows].mean())
        assert found["delta_p_label"]["low"] < change[rows].mean() < found["delta_p_label"]["high"]
    right, wrong = int((~correct & (after == label)).sum()), int((correct & (after != label)).sum())
    assert entry["mcnemar"] == {
        "turned_right": right,
        "turned_wrong": wrong,
        "p": pytest.approx(stats.binomtest(right, right + wrong).pvalue),
    }
    assert entry["accuracy_after"]["value"] == pytest.approx((after == label).mean())


def test_classes_one_by_one(tmp_path: Path) -> None:
    columns = audit(tmp_path)
    summary = summarise(tmp_path, resamples=100)
    assert summary["classes"] == {"n": CLASSES, "few": True}
    assert {entry["class"] for entry in summary["by_class"]} == set(range(CLASSES))
    wrong = [entry["n_wrong"] for entry in summary["by_class"]]
    assert wrong == sorted(wrong, reverse=True)
    for entry in summary["by_class"]:
        rows = columns["predicted"] == entry["class"]
        correct = columns["correct"][rows]
        assert (entry["n_correct"], entry["n_wrong"]) == (correct.sum(), (~correct).sum())
        assert entry["accuracy"]["value"] == pytest.approx(correct.mean())
        for found, score in (
            (entry["confidence"], columns["confidence"]),
            (entry["methods"]["saliency/add"], columns["saliency 1.0"]),
        ):
            assert found["value"] == pytest.approx(roc_auc_score(correct, score[rows]))
        assert set(entry["methods"]) == {"saliency/add", "saliency/add x0.3", "noise/add"}


def test_the_scaled_confidence_is_one_of_the_signals(tmp_path: Path) -> None:
    columns = audit(tmp_path)
    summary = summarise(tmp_path, resamples=100)
    found = summary["temperature"]
    # labels were drawn from the probabilities themselves
    assert 0.75 < found["value"] < 1.35
    assert found["nll_before"] == pytest.approx(columns["nll"].mean(), rel=1e-4)
    assert set(summary["baselines"]) == {
        "confidence", "temperature", "max_logit", "margin", "entropy", "energy"
    }  # fmt: skip


def test_what_is_added_beside_each_design(tmp_path: Path) -> None:
    columns = audit(tmp_path)
    summary = summarise(tmp_path, resamples=200)
    entry = summary["methods"][0]
    assert set(entry["added"]) == {"confidence", "signals", "predicted_class", "label"}
    plain = roc_auc_score(columns["correct"], columns["confidence"])
    for design, found in entry["added"].items():
        assert found["auroc"]["value"] == pytest.approx(found["auroc_after"] - found["auroc_before"])
        assert found["auroc"]["low"] <= found["auroc"]["value"] <= found["auroc"]["high"]
        # what is known beside the confidence can only help, but for the noise of ten folds
        assert found["auroc_before"] > plain - 0.03, design
    assert entry["added"]["confidence"]["auroc_before"] == pytest.approx(plain, abs=0.01)
    assert summary["methods"][2]["p_corrected"] is None
    assert entry["p_corrected"] >= entry["added"]["confidence"]["p"]


def test_an_indicator_is_put_to_the_same_test(tmp_path: Path) -> None:
    columns = audit(tmp_path, indicator=True)
    summary = summarise(tmp_path, resamples=200)
    (found,) = summary["indicators"]
    assert (found["indicator"], found["n"], found["n_failed"]) == ("mine:told", 299, 1)
    assert found["failures"] == {"not finite": 1}
    correct, told = columns["correct"][1:], columns["told"][1:]
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(correct, told))
    assert found["finding"] == "adds"
    assert found["verdict"].startswith("adds: AUROC +0.")
    assert "mine:told" in summary["verdict"]
    # all that is looked at is corrected for
    assert summarise(tmp_path, resamples=50)["methods"][0]["p_corrected"] is not None


def broken(run: Path, lost: int) -> dict[str, np.ndarray]:
    """The same audit where the first images could not be read, and saliency failed on some of the others."""
    columns = audit(run)
    predictions = read_table(run, "predictions").to_pylist()
    scores = read_table(run, "scores").to_pylist()
    names = [row["image"] for row in predictions]
    for row in predictions:
        if names.index(row["image"]) < lost:
            row.update({name: None for name in row if name not in ("image", "label")}, status="unreadable")
    for row in scores:
        failed = row["method"] == "saliency" and names.index(row["image"]) % 10 == 0
        if failed or names.index(row["image"]) < lost:
            keep = ("image", "method", "operation", "scale", "control")
            row.update({name: None for name in row if name not in keep}, status="lost")
    write_part(run, "predictions", 0, predictions)
    write_part(run, "scores", 0, scores)
    return columns


def test_images_that_failed_enter_no_curve_and_no_class(tmp_path: Path) -> None:
    columns = broken(tmp_path, 60)
    summary = summarise(tmp_path, resamples=100)
    correct, rest = columns["correct"][60:], np.arange(60, 300)
    curves = summary["curves"]
    for name in ("confidence", BEST_POSSIBLE, "noise/add"):
        assert curves["n"][name] == 240
        assert curves["risk"][name][-1] == pytest.approx(1 - correct.mean())
    assert curves["n"]["saliency/add"] == 216
    for entry in summary["by_class"]:
        rows = rest[columns["predicted"][rest] == entry["class"]]
        kept = rows[rows % 10 != 0]
        for name, column, used in (("saliency/add", "saliency 1.0", kept), ("noise/add", "noise 1.0", rows)):
            found = entry["methods"][name]
            assert found["n"] == len(used)
            assert found["value"] == pytest.approx(
                roc_auc_score(columns["correct"][used], columns[column][used])
            )
    changed = summary["methods"][0]["improvement"]
    assert changed["all"]["n"] == 216
    assert changed["correct"]["n"] + changed["wrong"]["n"] == 216


def test_without_labels_there_is_no_best_possible_and_no_temperature(tmp_path: Path) -> None:
    audit(tmp_path)
    predictions, scores = (read_table(tmp_path, name).to_pylist() for name in ("predictions", "scores"))
    for row in predictions:
        row.update(label=None, correct=None, p_label=None)
    for row in scores:
        row.update(co_label=None, delta_p_label=None)
    write_part(tmp_path, "predictions", 0, predictions)
    write_part(tmp_path, "scores", 0, scores)
    summary = summarise(tmp_path, resamples=50)
    assert summary["curves"]["risk"] == {}
    assert summary["temperature"] is None
    assert "temperature" not in summary["baselines"]


def test_no_temperature_is_made_up_where_none_can_be_fitted(tmp_path: Path) -> None:
    audit(tmp_path)
    predictions = read_table(tmp_path, "predictions").to_pylist()
    for row in predictions:
        row.update(label=row["predicted"], correct=True, p_label=row["confidence"])
    write_part(tmp_path, "predictions", 0, predictions)
    assert summarise(tmp_path, resamples=50)["temperature"] is None
