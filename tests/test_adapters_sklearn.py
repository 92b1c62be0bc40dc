"""The chance that a prediction is right: beside scikit-learn's own figures, and on planted truths."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm, rankdata
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import heatlift as hl
from heatlift import HeatliftError
from heatlift.adapters.audit_features import audit_features
from heatlift.adapters.calibration import calibration
from heatlift.adapters.sklearn import CorrectnessIndicator
from runs import Invented, write_run


def planted(n: int = 600, gain: float = 0.0, k: int = 1, seed: int = 0, sharp: float = 1.0) -> Any:
    """Logits of confidence and k scores, of which the first tells more by ``gain``; and what is right."""
    draw = np.random.default_rng(seed)
    logit, scores = draw.normal(1.0, 1.2, n), draw.normal(size=(n, k))
    correct = draw.random(n) < expit(logit + gain * scores.sum(axis=1, where=np.arange(k) == 0))
    return np.column_stack([sharp * logit, np.exp(scores)]), correct


def test_scikit_learn_s_checks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(CorrectnessIndicator(resamples=20), on_fail=None, on_skip=None)
    assert [(one["check_name"], one["exception"]) for one in found if one["status"] == "failed"] == []
    assert sum(one["status"] == "passed" for one in found) > 40


def test_weights_and_chances_are_those_of_scikit_learn_s_logistic_regression() -> None:
    features, correct = planted(gain=1.0, k=2)
    indicator = CorrectnessIndicator(resamples=20).fit(features, correct)
    logit = (features[:, 0] - features[:, 0].mean()) / features[:, 0].std()
    ranks = [norm.ppf((rankdata(column) - 0.5) / len(column)) for column in features[:, 1:].T]
    design = np.column_stack([logit, *ranks])
    # Our penalty of 0.01 on the squared weights is theirs of 1 / C.
    theirs = LogisticRegression(C=100, tol=1e-10, max_iter=1000).fit(design, correct)
    np.testing.assert_allclose(indicator.coef_, theirs.coef_, rtol=1e-4)
    np.testing.assert_allclose(indicator.intercept_, theirs.intercept_, rtol=1e-4)
    np.testing.assert_allclose(indicator.predict_proba(features), theirs.predict_proba(design), rtol=1e-4)
    assert (indicator.predict(features) == theirs.predict(design)).all()
    # What an image is said does not hang on its company.
    np.testing.assert_allclose(indicator.predict_proba(features[:1]), indicator.predict_proba(features)[:1])


def test_out_of_fold_figures_are_scikit_learn_s() -> None:
    features, correct = planted(gain=1.0)
    found = CorrectnessIndicator(resamples=50).fit(features, correct).assessment_
    given = found.calibration["as_given"]
    said = expit(features[:, 0])
    assert given.brier.value == pytest.approx(brier_score_loss(correct, said))
    right, mean = calibration_curve(correct, said, n_bins=10, strategy="quantile")
    assert [one.said for one in given.curve] == pytest.approx(list(mean))
    assert [one.right.value for one in given.curve] == pytest.approx(list(right))
    assert given.ece_plain == pytest.approx(np.abs(right - mean).mean())  # sixty images in each bin
    # A different split into folds, and so not the same to the last digit.
    for name, columns in (("indicator", [0, 1]), ("confidence", [0])):
        scaled = np.column_stack([features[:, 0], np.log(features[:, 1])])[:, columns]
        cv = cross_val_score(LogisticRegression(C=100), scaled, correct, cv=10, scoring="neg_brier_score")
        assert found.calibration[name].brier.value == pytest.approx(-cv.mean(), abs=0.003)
    assert found.added.auroc_before == pytest.approx(roc_auc_score(correct, features[:, 0]), abs=0.005)
    assert found.brier.value == pytest.approx(
        found.calibration["indicator"].brier.value - found.calibration["confidence"].brier.value
    )


def test_noise_adds_nothing_and_a_planted_score_adds() -> None:
    said = [
        CorrectnessIndicator(resamples=200).fit(*planted(400, 0.0, 3, seed)).assessment_.adds
        for seed in range(20)
    ]
    assert sum(said) <= 2  # 5% of them, at most
    for seed in range(2):
        indicator = CorrectnessIndicator(resamples=200).fit(*planted(400, 1.5, 3, seed))
        assert indicator.assessment_.adds
        assert indicator.verdict_.startswith("adds to confidence: AUROC +0.")
        assert indicator.assessment_.brier.below(0)
    nothing = CorrectnessIndicator(resamples=200).fit(*planted(400)).verdict_
    assert nothing.startswith("adds nothing to confidence here: AUROC ")
    assert "so use confidence alone; expected calibration error 0." in nothing


def test_a_score_that_mends_the_calibration_alone_adds_nothing() -> None:
    features, correct = planted(600, 0.0, 0, sharp=3.0)
    indicator = CorrectnessIndicator(resamples=50).fit(
        np.column_stack([features, features[:, 0] ** 3]), correct
    )
    assert not indicator.assessment_.adds
    alone = CorrectnessIndicator(resamples=50).fit(features, correct)
    assert alone.verdict_.startswith("confidence alone: expected calibration error 0.0")
    found = alone.assessment_.calibration
    # Three times too sure as it is given, and mended by two weights.
    assert found["as_given"].ece.above(0.05)
    assert found["confidence"].ece.below(0.1)
    assert found["confidence"].brier.value < found["as_given"].brier.value


@pytest.mark.parametrize("true", [1.0, 0.8, 0.5])
def test_the_calibration_error_s_interval_holds_the_truth(true: float) -> None:
    """True chances are those of the logit times a factor; at 1, where the truth is 0, too."""
    draw = np.random.default_rng(1)
    logits = draw.normal(1.0, 1.2, 400_000)
    lost = expit(true * logits) - expit(logits)
    place = np.searchsorted(np.quantile(logits, np.linspace(0, 1, 11)[1:-1]), logits)
    truth = np.mean([abs(lost[place == k].mean()) for k in range(10)])
    held, n = 0, 60
    for _ in range(n):
        some = draw.normal(1.0, 1.2, 300)
        ece = calibration(expit(some), draw.random(300) < expit(true * some)).ece
        held += ece.low <= truth <= ece.high
        assert ece.low <= ece.value <= ece.high
    assert held >= 52  # 57 expected; fewer than this once in 100 seeds


def test_a_random_state_is_whatever_scikit_learn_takes() -> None:
    features, correct = planted(100)
    for state in (None, np.random.RandomState(3)):
        assert CorrectnessIndicator(resamples=20, random_state=state).fit(features, correct).assessment_
    with pytest.raises(ValueError, match="0 bins"):
        CorrectnessIndicator(bins=0).fit(features, correct)


def test_of_classes_that_are_named_the_confidence_is_not_judged() -> None:
    """Sorted, "wrong" comes last, so that the chances are of being wrong, and the confidence isn't."""
    features, correct = planted(200)
    named = np.where(correct, "right", "wrong")
    indicator = CorrectnessIndicator(resamples=20).fit(features, named)
    assert indicator.classes_.tolist() == ["right", "wrong"]
    assert set(indicator.assessment_.calibration) == {"indicator", "confidence"}
    assert "as given" not in indicator.verdict_
    of_right = CorrectnessIndicator(resamples=20).fit(features, correct).predict_proba(features)[:, 1]
    assert indicator.predict_proba(features)[:, 0] == pytest.approx(of_right, abs=1e-6)


def test_too_few_errors_are_said() -> None:
    features, correct = planted(60)
    indicator = CorrectnessIndicator().fit(features, correct)
    assert indicator.assessment_ is None
    assert indicator.verdict_ == f"too few errors to say ({(~correct).sum()})"
    assert indicator.predict_proba(features).shape == (60, 2)


def test_fits_a_run_and_says_of_another_run_s_images(tmp_path: Path) -> None:
    like = Invented(images=160, wrong=50, indicators=("birds:good", "birds:noise"))
    first = write_run(tmp_path / "first", like)
    indicator = CorrectnessIndicator(resamples=100).fit(hl.read(first))
    assert indicator.scores_ == (
        "saliency/add", "saliency/multiply", "deeplift/add", "deeplift/multiply", "birds:good", "birds:noise",
    )  # fmt: skip
    assert indicator.n_left_out_ == 2
    assert indicator.verdict_.startswith("adds to confidence")  # by the indicator that knows

    table = hl.read(first).predictions.to_pylist()
    found = audit_features(first, ["deeplift/add"])
    scores = {
        row["image"]: row["co_predicted"]
        for row in hl.read(first).scores.to_pylist()
        if (row["method"], row["operation"]) == ("deeplift", "add")
    }
    for row, features, usable in zip(table, found.features, found.usable, strict=True):
        if row["status"] == "ok":
            confidence = row["confidence"]
            assert features == pytest.approx(
                [np.log(confidence / (1 - confidence)), scores[row["image"]]], rel=1e-4
            )
        else:
            assert not usable
    chosen = CorrectnessIndicator(scores=["deeplift/add"], resamples=50).fit(str(first))
    arrays = CorrectnessIndicator(resamples=50).fit(found.features[found.usable], found.correct[found.usable])
    assert chosen.verdict_ == arrays.verdict_

    other = write_run(tmp_path / "other", Invented(images=20, wrong=5, failed=3, labelled=False))
    chances = chosen.predict_proba(other)
    assert chances.shape == (20, 2)
    assert np.isnan(chances).all(axis=1).tolist() == [False] * 17 + [True] * 3
    with pytest.raises(HeatliftError, match="3 of 20 images lack a figure"):
        chosen.predict(other)
    with pytest.raises(HeatliftError, match="fitted on arrays, so it takes arrays"):
        arrays.predict_proba(other)
    with pytest.raises(HeatliftError, match="has no score 'birds:good'"):
        indicator.predict_proba(other)
    with pytest.raises(HeatliftError, match="the audit has no labels"):
        CorrectnessIndicator().fit(other)
    with pytest.raises(HeatliftError, match="has no score 'gradcam/add': it has saliency/add"):
        CorrectnessIndicator(scores=["gradcam/add"]).fit(first)


def test_an_older_run_has_its_confidence_itself(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", Invented(images=40, wrong=10, older=True))
    found = audit_features(first)
    confidence = [row["confidence"] for row in hl.read(first).predictions.to_pylist()][:38]
    np.testing.assert_allclose(expit(found.features[:38, 0]), confidence)
    assert np.isnan(found.features[38:]).all()


def test_predictions_that_are_all_right_can_t_be_learned_from() -> None:
    features, _ = planted(50)
    with pytest.raises(ValueError, match="of one class only"):
        CorrectnessIndicator().fit(features, np.ones(50, dtype=bool))
