"""What a score adds: the regressions against scikit-learn and statsmodels, and data of known truth."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import chi2, kstest, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from heatlift.added_value import Known, indicators_of, log_odds, normal_scores
from heatlift.logistic import PENALTY


def planted(seed: int, n: int, slope: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log odds of being correct from a confidence, and ``slope`` times a score that is apart from it."""
    rng = np.random.default_rng(seed)
    confidence, score = rng.normal(1.5, 1, n), rng.normal(size=n)
    correct = rng.random(n) < 1 / (1 + np.exp(-confidence - slope * score))
    return confidence, score, correct


def test_no_image_is_judged_by_a_model_that_saw_it() -> None:
    confidence, score, correct = planted(0, 120, 0.5)
    known = Known.of(confidence[:, None], correct)
    judged = np.concatenate([judge for _, judge in known.folds])
    assert sorted(judged) == list(range(120))
    standard = (confidence - confidence.mean()) / confidence.std()
    features = np.column_stack([standard, normal_scores(score)])
    for fit, judge in known.folds:
        assert not set(fit) & set(judge)
        plain = LogisticRegression(C=1 / PENALTY, tol=1e-10, max_iter=1000).fit(features[fit], correct[fit])
        expected = plain.decision_function(features[judge])
        assert known.beside(score).after[judge] == pytest.approx(expected, abs=1e-4)


def test_p_is_that_of_the_likelihood_ratio() -> None:
    confidence, score, correct = planted(1, 300, 0.3)
    known = Known.of(confidence[:, None], correct)
    rank = norm.ppf((np.argsort(np.argsort(confidence)) + 0.5) / 300)
    bending = np.column_stack([confidence, rank, rank**2, rank**3])
    likelihood = [
        sm.Logit(correct, sm.add_constant(features)).fit(disp=0).llf
        for features in (bending, np.column_stack([bending, normal_scores(score)]))
    ]
    expected = chi2.sf(2 * (likelihood[1] - likelihood[0]), 1)
    assert known.beside(score).p == pytest.approx(expected, rel=0.02)


def test_p_is_uniform_where_nothing_is_added() -> None:
    found = []
    for seed in range(150):
        confidence, score, correct = planted(seed, 200, 0.0)
        found.append(Known.of(confidence[:, None], correct).beside(score).p)
    assert kstest(found, "uniform").pvalue > 0.01


def test_what_is_added_shows_in_the_ranking() -> None:
    confidence, score, correct = planted(2, 2000, 1.0)
    told = Known.of(confidence[:, None], correct).beside(score)
    truth = roc_auc_score(correct, confidence + score) - roc_auc_score(correct, confidence)
    found = roc_auc_score(correct, told.after) - roc_auc_score(correct, told.before)
    assert truth > 0.04
    assert found == pytest.approx(truth, abs=0.005)
    assert told.p < 1e-12


def test_a_score_that_repeats_what_is_known_adds_nothing() -> None:
    confidence, _, correct = planted(3, 500, 0.0)
    told = Known.of(confidence[:, None], correct).beside(np.exp(confidence))
    assert abs(roc_auc_score(correct, told.after) - roc_auc_score(correct, told.before)) < 0.01
    assert told.p > 0.01


def test_a_class_that_is_always_right_is_no_trouble() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 300)
    correct = (classes == 1) | (rng.random(300) < 0.7)
    features = np.column_stack([rng.normal(size=300), indicators_of(classes)])
    told = Known.of(features, correct).beside(rng.normal(size=300))
    assert np.isfinite(told.after).all()
    assert np.isfinite(told.before).all()
    assert 0 <= told.p <= 1


def test_log_odds_of_next_to_certain() -> None:
    p = np.array([0.5, 0.9, 0.1])
    assert log_odds(np.log(p)) == pytest.approx(np.log(p / (1 - p)))
    assert log_odds(np.array([-1e-12])) == pytest.approx(-np.log(1e-12))
    assert log_odds(np.array([0.0])) == 37.0


def test_ranks_as_normal_quantiles() -> None:
    values = np.array([3.0, -1.0, 1e9, 3.0])
    found = normal_scores(values)
    assert found[0] == found[3]
    assert found[1] < found[0] < found[2]
    assert normal_scores(np.full(5, 2.0)) == pytest.approx(np.zeros(5))
    assert found == pytest.approx(normal_scores(values**3))


def test_a_column_for_each_class_but_the_first() -> None:
    assert indicators_of([5, 2, 9, 2]).tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]
