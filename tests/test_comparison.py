"""Two scores on the same images: paired differences, p-values and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from heatlift.comparison import compare_aurocs, holm


def scored(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    correct = np.arange(n) < n * 3 // 4
    return rng.normal(1.0 * correct), correct, rng


def test_difference_and_its_interval_equal_those_of_a_plain_paired_bootstrap() -> None:
    confidence, correct, rng = scored(0, 200)
    score = confidence + rng.normal(0, 0.7, 200)
    found = compare_aurocs(score, confidence, correct, resamples=3000)
    assert found is not None
    assert found.score.value == pytest.approx(roc_auc_score(correct, score))
    assert found.baseline.value == pytest.approx(roc_auc_score(correct, confidence))
    assert found.difference.value == pytest.approx(found.score.value - found.baseline.value)
    plain = []
    for _ in range(600):
        rows = np.r_[rng.integers(0, 150, 150), rng.integers(150, 200, 50)]
        plain.append(roc_auc_score(correct, score[rows]) - roc_auc_score(correct, confidence[rows]))
    low, high = np.quantile(plain, [0.025, 0.975])
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high), abs=0.012)


def test_pairing_makes_the_interval_of_like_scores_narrow() -> None:
    confidence, correct, rng = scored(1)
    like = compare_aurocs(confidence + rng.normal(0, 0.1, 400), confidence, correct)
    assert like is not None
    assert like.difference.high - like.difference.low < 0.2 * (like.score.high - like.score.low)


def test_a_score_beside_itself_differs_by_nothing() -> None:
    confidence, correct, _ = scored(2)
    same = compare_aurocs(confidence, confidence, correct)
    assert same is not None
    assert (same.difference.value, same.difference.low, same.difference.high, same.p) == (0, 0, 0, 1)


def test_a_negated_score_is_read_backwards() -> None:
    _, correct, rng = scored(3)
    score, confidence = rng.normal(2.0 * correct), rng.normal(0.5 * correct)
    forward, negated = (compare_aurocs(sign * score, confidence, correct) for sign in (1, -1))
    assert forward is not None
    assert negated is not None
    assert (forward.backward, negated.backward) == (False, True)
    assert negated.read.value == pytest.approx(forward.read.value)
    assert (negated.gain.low, negated.gain.high) == pytest.approx((forward.gain.low, forward.gain.high))
    assert negated.difference.value == pytest.approx(1 - forward.score.value - forward.baseline.value)
    assert negated.p == pytest.approx(forward.p)
    assert negated.tells_more
    assert forward.tells_more


def test_beating_a_baseline_below_chance_is_not_telling_more() -> None:
    _, correct, rng = scored(4)
    found = compare_aurocs(rng.normal(size=400), -rng.normal(1.0 * correct), correct)
    assert found is not None
    assert found.difference.above(0)
    assert not found.tells_more
    assert found.p > 0.05


def test_p_is_rarely_small_where_both_are_equally_good() -> None:
    """Equal truth: p < 0.05 in about 5% of 300 audits (one direction in fact, so about 2.5%)."""
    small = 0
    for seed in range(300):
        _, correct, rng = scored(seed, 240)
        found = compare_aurocs(rng.normal(correct), rng.normal(correct), correct, resamples=200)
        assert found is not None
        small += found.p < 0.05
    assert small / 300 <= 0.06


def test_too_small_a_class_cannot_be_compared() -> None:
    scores = np.arange(10.0)
    assert compare_aurocs(scores, scores, scores > 0) is None


def test_holm_by_hand() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1; never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
