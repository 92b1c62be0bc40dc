"""Medians, means, shares and the bootstrap, against plain resampling, scipy and known truths."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from heatlift.errors import HeatliftError
from heatlift.ranking import Ranking, Sample
from heatlift.statistics import (
    Figure,
    auroc,
    bootstrap,
    bootstrap_means,
    bootstrap_medians,
    mean,
    median,
    median_gap,
    percentiles,
    share,
)


def labelled(n_correct: int, n_wrong: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores whose AUROC is Phi(shift / sqrt 2)."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(shift, 1, n_correct), rng.normal(0, 1, n_wrong)])
    return scores, np.arange(n_correct + n_wrong) < n_correct


def test_a_figure_becomes_json() -> None:
    assert Figure(0.5, 0.25, 0.75, 10).as_json() == {"value": 0.5, "low": 0.25, "high": 0.75, "n": 10}
    assert Figure.unknown(1).as_json() == {"value": None, "low": None, "high": None, "n": 1}


def test_where_an_interval_lies() -> None:
    figure = Figure(0.6, 0.5, 0.7, 10)
    assert figure.above(0.4)
    assert not figure.above(0.5)
    assert figure.below(0.8)
    assert not figure.excludes(0.7)
    assert not Figure.unknown(3).excludes(0.5)


@pytest.mark.parametrize("n", [2, 3, 10, 31, 300])
def test_medians_follow_the_law_of_plain_resampling(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.exponential(size=n)
    plain = np.median(values[rng.integers(0, n, (40_000, n))], axis=1)
    exact = bootstrap_medians(values, 40_000, np.random.default_rng(1))
    # Two samples of one discrete law; two-sample KS is conservative under ties.
    assert stats.ks_2samp(plain, exact).pvalue > 1e-3
    quantiles = [0.025, 0.25, 0.5, 0.75, 0.975]
    np.testing.assert_allclose(
        np.quantile(exact, quantiles), np.quantile(plain, quantiles), atol=0.15 / sqrt(n)
    )


def test_the_upper_middle_of_an_even_sample_is_drawn_with_the_lower() -> None:
    """Of two images, half of all resamples hold both and a quarter each one twice."""
    drawn = bootstrap_medians(np.array([0.0, 1.0]), 40_000, np.random.default_rng(0))
    assert (drawn == 0.5).mean() == pytest.approx(0.5, abs=0.015)
    assert (drawn == 0.0).mean() == pytest.approx(0.25, abs=0.015)
    assert (drawn == 1.0).mean() == pytest.approx(0.25, abs=0.015)


def test_a_gap_is_the_difference_of_medians() -> None:
    correct, wrong = np.array([3.0, 1.0, 2.0]), np.array([0.0, 10.0, -1.0, 0.5])
    of_correct, of_wrong, gap = median_gap(correct, wrong)
    assert (of_correct.value, of_correct.n) == (2.0, 3)
    assert (of_wrong.value, of_wrong.n) == (0.25, 4)
    assert (gap.value, gap.n) == (1.75, 7)
    assert gap.low is not None
    assert gap.low < 1.75


def test_gap_interval_equals_that_of_plain_resampling() -> None:
    rng = np.random.default_rng(0)
    correct, wrong = rng.normal(1, 2, 150), rng.normal(0, 1, 60)
    _, _, gap = median_gap(correct, wrong, resamples=20_000)
    plain = np.median(correct[rng.integers(0, 150, (20_000, 150))], axis=1) - np.median(
        wrong[rng.integers(0, 60, (20_000, 60))], axis=1
    )
    np.testing.assert_allclose([gap.low, gap.high], np.quantile(plain, [0.025, 0.975]), atol=0.04)


def test_one_image_makes_no_figure() -> None:
    assert median(np.array([1.0])) == Figure.unknown(1)
    assert mean(np.array([])) == Figure.unknown(0)
    of_correct, of_wrong, gap = median_gap(np.array([1.0, 2.0]), np.array([3.0]))
    assert of_correct.value == 1.5
    assert of_wrong == Figure.unknown(1)
    assert gap == Figure.unknown(3)


def test_nan_is_refused() -> None:
    values = np.array([1.0, np.nan, 2.0])
    for compute in (median, mean, lambda v: median_gap(v, v)):
        with pytest.raises(HeatliftError, match="1 of 3 values are NaN"):
            compute(values)


def test_shares_have_wilson_intervals() -> None:
    for hits, n in [(0, 10), (3, 10), (10, 10), (528, 600)]:
        expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
        figure = share(hits, n)
        assert figure.value == hits / n
        assert (figure.low, figure.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert share(0, 0) == Figure.unknown(0)


def test_mean_interval_is_the_central_limit_theorems() -> None:
    values = np.random.default_rng(3).exponential(size=2000)
    figure = mean(values, resamples=4000)
    half = 1.96 * values.std() / sqrt(2000)
    assert figure.value == pytest.approx(values.mean())
    assert figure.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert figure.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_columns_of_means_share_their_draws_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=50)
    drawn = bootstrap_means(np.stack([values, 2 * values + 1]), resamples=70, seed=5)
    np.testing.assert_allclose(drawn[1], 2 * drawn[0] + 1)
    monkeypatch.setattr("heatlift.statistics.BLOCK", 120)
    np.testing.assert_allclose(bootstrap_means(np.stack([values, values]), resamples=70, seed=5)[0], drawn[0])


def test_bootstrap_equals_scoring_the_resampled_images() -> None:
    """The weighted statistics are those of the arrays in which each image is repeated as often as drawn."""
    rng = np.random.default_rng(0)
    scores, correct = rng.integers(0, 12, 80) / 4, np.arange(80) < 50
    ranking = Ranking.of(scores, correct)
    seen: list[Sample] = []

    def watched(sample: Sample) -> np.ndarray:
        seen.append(sample)
        return ranking.statistic("auroc")(sample)

    drawn = bootstrap([watched], 50, 30, resamples=20, seed=1)[0]
    positive = np.concatenate([sample.positive for sample in seen])
    negative = np.concatenate([sample.negative for sample in seen])
    assert (positive.sum(axis=1) == 50).all()
    assert (negative.sum(axis=1) == 30).all()
    for row in range(20):
        repeats = np.concatenate([positive[row], negative[row]])
        expected = roc_auc_score(np.repeat(correct, repeats), np.repeat(scores, repeats))
        assert drawn[row] == pytest.approx(expected, abs=1e-12)


def test_bootstrap_has_the_spread_of_a_plain_one() -> None:
    scores, correct = labelled(120, 80, 1.0, seed=0)
    ranking = Ranking.of(scores, correct)
    drawn = bootstrap([ranking.statistic("auroc")], 120, 80, resamples=3000, seed=0)[0]
    rng = np.random.default_rng(1)
    plain = [
        roc_auc_score(
            correct, np.concatenate([rng.choice(scores[correct], 120), rng.choice(scores[~correct], 80)])
        )
        for _ in range(1500)
    ]
    assert drawn.std() == pytest.approx(np.std(plain), rel=0.08)
    np.testing.assert_allclose(
        np.quantile(drawn, [0.025, 0.975]), np.quantile(plain, [0.025, 0.975]), atol=0.01
    )


def test_the_seed_decides_the_draws_and_the_block_size_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, correct = labelled(30, 20, 1.0, seed=0)
    ranking = Ranking.of(scores, correct)

    def draws(seed: int) -> np.ndarray:
        return bootstrap([ranking.statistic("auroc")], 30, 20, resamples=50, seed=seed)[0]

    first = draws(0)
    assert (first != draws(1)).any()
    monkeypatch.setattr("heatlift.statistics.BLOCK", 150)
    np.testing.assert_array_equal(first, draws(0))


def test_auroc_intervals_cover() -> None:
    """Nominal 95% at n = 300, over 500 simulated audits."""
    truth = stats.norm.cdf(1 / sqrt(2))
    covered = 0
    for seed in range(500):
        scores, correct = labelled(220, 80, 1.0, seed)
        draws = bootstrap(
            [Ranking.of(scores, correct).statistic("auroc")], 220, 80, resamples=400, seed=seed
        )[0]
        value = auroc(scores, correct)
        assert value is not None
        figure = percentiles(value, draws, 300)
        covered += not figure.excludes(truth)
    assert 0.92 <= covered / 500 <= 0.98


def test_gap_intervals_cover() -> None:
    covered = 0
    for seed in range(1000):
        scores, correct = labelled(220, 80, 1.0, seed)
        _, _, gap = median_gap(scores[correct], scores[~correct], resamples=400, seed=seed)
        covered += not gap.excludes(1.0)
    assert 0.92 <= covered / 1000 <= 0.98
