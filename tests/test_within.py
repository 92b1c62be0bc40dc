"""AUROC within groups, against scikit-learn's in each group and pairs counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from heatlift.ranking import Sample
from heatlift.within import WithinGroups


def pairs_by_hand(scores: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> float:
    """The share of pairs of one group in which the positive scores higher, a tie counting half."""
    won = [
        float(scores[i] > scores[j]) + 0.5 * float(scores[i] == scores[j])
        for i in np.flatnonzero(positive)
        for j in np.flatnonzero(~positive)
        if groups[i] == groups[j]
    ]
    return float(np.mean(won)) if won else float("nan")


@pytest.mark.parametrize("levels", [3, 10**9])
def test_equals_the_pairs_counted_one_by_one(levels: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores, groups = rng.integers(0, levels, 60) / 3 - 5, rng.integers(-2, 3, 60)
        positive = rng.random(60) < 0.6
        found = WithinGroups.of(scores, positive, groups).value()
        assert found == pytest.approx(pairs_by_hand(scores, positive, groups))


def test_one_group_is_the_plain_auroc() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=80), rng.random(80) < 0.7
    found = WithinGroups.of(scores, positive, np.full(80, 7))
    assert found.value() == pytest.approx(roc_auc_score(positive, scores))
    assert found.comparable == (int(positive.sum()), int((~positive).sum()))


def test_a_score_that_only_tells_the_groups_apart_is_worth_nothing() -> None:
    positive = np.r_[np.ones(90, bool), np.zeros(10, bool), np.ones(10, bool), np.zeros(90, bool)]
    groups = np.repeat([0, 1], 100)
    assert roc_auc_score(positive, -groups) == pytest.approx(0.9)
    assert WithinGroups.of(-groups, positive, groups).value() == 0.5


def test_groups_of_one_kind_take_no_part() -> None:
    found = WithinGroups.of([3, 1, 2, 9, 8], [True, False, True, False, False], [0, 0, 0, 1, 2])
    assert found.value() == 1.0
    assert found.comparable == (2, 1)
    nothing = WithinGroups.of([3, 1], [True, False], [0, 1])
    assert np.isnan(nothing.value())
    assert nothing.comparable == (0, 0)


def test_counts_equal_repeated_images() -> None:
    rng = np.random.default_rng(1)
    scores, groups, positive = rng.integers(0, 5, 40), rng.integers(0, 4, 40), rng.random(40) < 0.5
    counts = rng.integers(0, 3, (6, 40)).astype(np.int32)
    found = WithinGroups.of(scores, positive, groups).statistic()(
        Sample(counts[:, positive], counts[:, ~positive])
    )
    expected = [
        pairs_by_hand(np.repeat(scores, row), np.repeat(positive, row), np.repeat(groups, row))
        for row in counts
    ]
    assert found[0] == pytest.approx(expected, nan_ok=True)
