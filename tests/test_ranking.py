"""AUROC, AURC, AUGRC and FPR95 against scikit-learn, enumeration and hand-worked examples."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score

from heatlift.errors import HeatliftError
from heatlift.ranking import FigureName, Ranking, Sample, augrc, aurc, auroc, fpr95


def risks_over_orders(scores: Any, correct: Any) -> tuple[float, float]:
    """AURC and AUGRC straight from their definitions, averaged over every order of tied images."""
    n = len(scores)
    areas, generalised = [], []
    for order in permutations(range(n)):
        ordered = [scores[i] for i in order]
        if any(first < second for first, second in pairwise(ordered)):
            continue
        errors = np.cumsum([not correct[i] for i in order])
        areas.append(np.mean(errors / np.arange(1, n + 1)))
        generalised.append(auc(np.arange(n + 1) / n, np.concatenate([[0], errors / n])))
    return float(np.mean(areas)), float(np.mean(generalised))


tables = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6)


@pytest.mark.parametrize("levels", [5, 40, 10**9])
def test_auroc_equals_scikit_learns(levels: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores, positive = rng.integers(0, levels, 200) / 7, rng.random(200) < 0.7
        assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_auroc_of_a_constant_is_exactly_one_half() -> None:
    assert auroc(np.zeros(70), np.arange(70) < 37) == 0.5


@given(tables)
@settings(deadline=None)
def test_risk_areas_equal_their_definitions(table: list[tuple[int, bool]]) -> None:
    scores, correct = zip(*table, strict=True)
    area, generalised = risks_over_orders(scores, correct)
    assert aurc(scores, correct) == pytest.approx(area, abs=1e-12)
    assert augrc(scores, correct) == pytest.approx(generalised, abs=1e-12)


def test_risk_areas_by_hand() -> None:
    # accepted in the order right, wrong, right, wrong: risks 0, 1/2, 1/3, 1/2
    scores, correct = [0.9, 0.8, 0.7, 0.6], [True, False, True, False]
    assert aurc(scores, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    # errors among all: 0, 0, 1/4, 1/4, 1/2 at coverages 0, 1/4, ..., 1; trapezoids
    assert augrc(scores, correct) == pytest.approx((0 + 1 / 8 + 1 / 4 + 3 / 8) / 4)


def test_augrc_follows_from_auroc_and_accuracy() -> None:
    """Traub et al. 2024: AUGRC = (1 - AUROC) a (1 - a) + (1 - a)^2 / 2."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores, correct = rng.integers(0, 15, 150), rng.random(150) < 0.8
        a = correct.mean()
        expected = (1 - roc_auc_score(correct, scores)) * a * (1 - a) + (1 - a) ** 2 / 2
        assert augrc(scores, correct) == pytest.approx(expected, abs=1e-12)


def test_fpr95_by_hand() -> None:
    # 20 correct images score 1 to 20; 95% of them are the 19 that score 2 or more
    scores = np.concatenate([np.arange(1, 21), [0.5, 1.5, 2.0, 30.0]])
    correct = np.arange(24) < 20
    assert fpr95(scores, correct) == 0.5
    # 19 correct: 0.95 * 19 = 18.05, so all 19 are needed and the threshold is 1
    assert fpr95(scores[1:], correct[1:]) == 0.5
    assert fpr95(np.r_[scores[1:20], 1.5, 2.5, 2.0], correct[1:23]) == pytest.approx(2 / 3)
    assert fpr95(np.zeros(10), np.arange(10) < 4) == 1.0


@given(tables)
@settings(deadline=None)
def test_fpr95_equals_a_search_of_all_thresholds(table: list[tuple[int, bool]]) -> None:
    scores, correct = (np.array(column) for column in zip(*table, strict=True))
    if correct.all() or not correct.any():
        assert fpr95(scores, correct) is None
        return
    accepted = [scores >= threshold for threshold in np.unique(scores)[::-1]]
    first = next(mask for mask in accepted if mask[correct].mean() >= 0.95)
    assert fpr95(scores, correct) == pytest.approx(first[~correct].mean())


@pytest.mark.parametrize("figure", ["auroc", "aurc", "augrc", "fpr95"])
def test_counts_equal_repeated_images(figure: FigureName) -> None:
    """A weighted sample's figure is that of the arrays in which each image is repeated."""
    plain = {"auroc": auroc, "aurc": aurc, "augrc": augrc, "fpr95": fpr95}[figure]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        correct = rng.permutation(np.arange(60) < 40)
        scores = rng.integers(0, 20, 60) / 3 if seed % 2 else rng.normal(size=60)
        positive = rng.multinomial(40, np.full(40, 1 / 40), 5).astype(np.int32)
        negative = rng.multinomial(20, np.full(20, 1 / 20), 5).astype(np.int32)
        drawn = Ranking.of(scores, correct).statistic(figure)(Sample(positive, negative))[0]
        for row in range(5):
            repeats = np.empty(60, dtype=int)
            repeats[correct], repeats[~correct] = positive[row], negative[row]
            expected = plain(np.repeat(scores, repeats), np.repeat(correct, repeats))
            assert drawn[row] == pytest.approx(expected, abs=1e-12)


def test_an_empty_class() -> None:
    assert auroc([1.0, 2.0], [True, True]) is None
    assert fpr95([1.0, 2.0], [False, False]) is None
    assert aurc([1.0, 2.0], [True, True]) == augrc([1.0, 2.0], [True, True]) == 0.0
    assert (aurc([1.0, 2.0], [False, False]), augrc([1.0, 2.0], [False, False])) == (1.0, 0.5)
    assert auroc([], []) is aurc([], []) is augrc([], []) is None


@pytest.mark.parametrize("figure", [auroc, aurc, augrc, fpr95])
def test_what_cannot_be_ranked_is_refused(figure: Any) -> None:
    with pytest.raises(HeatliftError, match="1 of 3 scores are NaN"):
        figure([0.1, np.nan, 0.2], [True, False, True])
    with pytest.raises(HeatliftError, match="give one of each per image"):
        figure([0.1, 0.3], [True, False, True])
