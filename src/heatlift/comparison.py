"""Whether one score tells correct from wrong better than another, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from heatlift.ranking import FloatArray, Ranking
from heatlift.statistics import Figure, bootstrap, percentiles


@dataclass(frozen=True)
class Comparison:
    """A score's AUROC beside a baseline's, on the same images and the same resamples.

    Attributes:
        score: AUROC of the score as it stands, high meaning "probably correct".
        baseline: AUROC of the baseline.
        difference: score minus baseline.
        difference_reversed: the same with the score read backwards, (1 - score) - baseline.
        p: two-sided; small where the score, in its better direction, beats both the baseline and chance.
            From the normal law with the bootstrap's standard deviations, since percentiles of 1000
            resamples do not reach the tails that a correction for many looks needs.
    """

    score: Figure
    baseline: Figure
    difference: Figure
    difference_reversed: Figure
    p: float

    @property
    def backward(self) -> bool:
        """The score runs the wrong way: its whole interval lies below 0.5."""
        return self.score.below(0.5)

    @property
    def read(self) -> Figure:
        """AUROC of the score in the direction in which it is read."""
        score = self.score
        if score.value is None or score.low is None or score.high is None or not self.backward:
            return score
        return Figure(1 - score.value, 1 - score.high, 1 - score.low, score.n)

    @property
    def gain(self) -> Figure:
        """What the score, in that direction, has over the baseline."""
        return self.difference_reversed if self.backward else self.difference

    @property
    def tells_more(self) -> bool:
        """In that direction, the intervals of the score lie above chance and above the baseline."""
        return self.read.above(0.5) and self.gain.above(0)


def compare(
    score: float, score_draws: FloatArray, baseline: float, baseline_draws: FloatArray, n: int
) -> Comparison:
    """Compare two AUROCs from their bootstrap draws, which must come from the same resamples."""
    forward, backward = score_draws - baseline_draws, 1 - score_draws - baseline_draws
    chance, spread = score - 0.5, float(score_draws.std())
    p_forward = max(_upper_tail(score - baseline, float(forward.std())), _upper_tail(chance, spread))
    p_backward = max(_upper_tail(1 - score - baseline, float(backward.std())), _upper_tail(-chance, spread))
    return Comparison(
        percentiles(score, score_draws, n),
        percentiles(baseline, baseline_draws, n),
        percentiles(score - baseline, forward, n),
        percentiles(1 - score - baseline, backward, n),
        min(1.0, 2 * min(p_forward, p_backward)),
    )


def _upper_tail(value: float, deviation: float) -> float:
    """How probable a value as high would be if the truth were 0; certain where nothing varies."""
    if deviation == 0:
        return 0.0 if value > 0 else 1.0
    return float(norm.sf(value / deviation))


def compare_aurocs(
    scores: FloatArray, baseline: FloatArray, positive: Any, resamples: int = 1000, seed: int = 0
) -> Comparison | None:
    """The paired bootstrap of two scores' AUROCs; None where a class has fewer than two images.

    Raises:
        HeatliftError: a score is NaN.
    """
    rankings = [Ranking.of(scores, positive), Ranking.of(baseline, positive)]
    n_positive, n_negative = rankings[0].n_positive, rankings[0].n_negative
    if min(n_positive, n_negative) < 2:
        return None
    values = [ranking.value("auroc") for ranking in rankings]
    statistics = [ranking.statistic("auroc") for ranking in rankings]
    draws = bootstrap(statistics, n_positive, n_negative, resamples, seed)
    return compare(values[0], draws[0], values[1], draws[1], n_positive + n_negative)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for having looked at all of them (Holm 1979, Scand. J. Statist. 6:65).

    >>> [round(q, 3) for q in holm([0.01, 0.04, 0.03, 0.005])]
    [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(q) for q in adjusted]
