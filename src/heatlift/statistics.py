"""Figures with their counts and intervals: medians, shares, means, and how well a score ranks.

Everything here takes numpy arrays with one number per image and knows nothing of tables. Intervals are
95% percentile intervals of a seeded bootstrap over images, except those of shares, which are Wilson's.
Where two classes are compared, each is resampled on its own (stratified): the intervals then hold for
the observed numbers of correct and wrong images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import norm

from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray, Sample, augrc, aurc, auroc, fpr95

__all__ = [
    "Figure",
    "alike",
    "augrc",
    "aurc",
    "auroc",
    "bootstrap",
    "bootstrap_means",
    "bootstrap_medians",
    "fpr95",
    "mean",
    "median",
    "median_gap",
    "percentiles",
    "share",
]

LEVEL = 0.95
"""Of every interval."""

BLOCK = 400_000
"""Counts drawn at a time: a few megabytes, whatever the number of images and resamples."""

Statistic = Callable[[Sample], FloatArray]
"""From how often each image was drawn in r resamples to k figures of each: (k, r)."""


@dataclass(frozen=True)
class Figure:
    """A number, its 95% interval, and the number of images behind it; None where it can't be computed."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def unknown(cls, n: int) -> Figure:
        """What ``n`` images are too few to say."""
        return cls(None, None, None, n)

    def as_json(self) -> dict[str, float | int | None]:
        """``{value, low, high, n}``, null where it can't be computed."""
        return asdict(self)

    def above(self, bound: float) -> bool:
        """The whole interval lies above ``bound``."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """The whole interval lies below ``bound``."""
        return self.high is not None and self.high < bound

    def excludes(self, bound: float) -> bool:
        """The interval does not contain ``bound``."""
        return self.above(bound) or self.below(bound)


def percentiles(value: float, draws: FloatArray, n: int) -> Figure:
    """A figure whose interval holds the middle 95% of its bootstrap draws."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(float(value), float(low), float(high), n)


def bootstrap(
    statistics: Sequence[Statistic], n_positive: int, n_negative: int, resamples: int = 1000, seed: int = 0
) -> FloatArray:
    """Statistics of the same stratified resamples, one row for each figure: (figures, resamples).

    Every statistic sees the same draws, so the difference of two rows is a paired bootstrap. The draws
    depend on the seed and the two class sizes alone. Both classes need an image at least.
    """
    streams = np.random.default_rng(seed).spawn(2)
    rows = max(1, BLOCK // (n_positive + n_negative))
    blocks = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        sample = Sample(_draw(streams[0], size, n_positive), _draw(streams[1], size, n_negative))
        blocks.append(np.concatenate([statistic(sample) for statistic in statistics]))
    return np.concatenate(blocks, axis=1)


def _draw(rng: np.random.Generator, rows: int, n: int) -> Any:
    """How often each of ``n`` images is met in ``n`` draws, ``rows`` times: (rows, n) int32."""
    counts = np.empty((rows, n), dtype=np.int32)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
    return counts


def alike(masks: Sequence[Any]) -> list[tuple[Any, list[int]]]:
    """Each different mask (n,) once, with the places where it stands: those can share their draws."""
    places: dict[bytes, list[int]] = {}
    for place, mask in enumerate(masks):
        places.setdefault(mask.tobytes(), []).append(place)
    return [(masks[found[0]], found) for found in places.values()]


def bootstrap_means(values: FloatArray, resamples: int = 1000, seed: int = 0) -> FloatArray:
    """Means of resampled images, not stratified: (columns, n) to (columns, resamples), drawn alike."""
    columns, n = values.shape
    rng = np.random.default_rng(seed)
    rows = max(1, BLOCK // n)
    drawn = np.empty((columns, resamples))
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn[:, start:stop] = values @ _draw(rng, stop - start, n).T.astype(np.float64) / n
    return drawn


def bootstrap_medians(values: FloatArray, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Medians of resampled images, drawn from their exact law at the cost of one sort: (n,) to (resamples,).

    Drawing an image is evaluating the sorted values at ``floor(n U)``, U uniform, so the k-th smallest
    of n draws sits at the k-th order statistic of n uniforms, which is Beta(k, n + 1 - k). An even n
    needs the pair in the middle: given the lower one u, the upper one is the least of n - k uniforms
    on (u, 1). (The exact law: Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".)
    """
    n = len(values)
    ordered = np.sort(values)
    k = (n + 1) // 2
    at = rng.beta(k, n + 1 - k, resamples)
    lower = ordered[np.minimum((at * n).astype(np.intp), n - 1)]
    if n % 2:
        return lower
    at += (1 - at) * rng.beta(1, n - k, resamples)
    return (lower + ordered[np.minimum((at * n).astype(np.intp), n - 1)]) / 2


def _numbers(values: FloatArray) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    nans = int(np.isnan(values).sum())
    if nans:
        raise HeatliftError(f"{nans} of {values.size} values are NaN: count those images, leave them out")
    return values


def median(values: FloatArray, resamples: int = 1000, seed: int = 0) -> Figure:
    """The median of one number per image; unknown below two images.

    Raises:
        HeatliftError: a value is NaN.
    """
    values = _numbers(values)
    if len(values) < 2:
        return Figure.unknown(len(values))
    draws = bootstrap_medians(values, resamples, np.random.default_rng(seed))
    return percentiles(float(np.median(values)), draws, len(values))


def median_gap(
    correct: FloatArray, wrong: FloatArray, resamples: int = 1000, seed: int = 0
) -> tuple[Figure, Figure, Figure]:
    """The median over correct images, over wrong ones, and the gap: the first minus the second.

    The gap is what Tjoa 2022 reads as an indicator of correctness (figures 2 and 3). Unknown where a
    class has fewer than two images.

    Raises:
        HeatliftError: a value is NaN.
    """
    correct, wrong = _numbers(correct), _numbers(wrong)
    streams = np.random.default_rng(seed).spawn(2)
    medians, draws = [], []
    for values, rng in zip((correct, wrong), streams, strict=True):
        if len(values) >= 2:
            draws.append(bootstrap_medians(values, resamples, rng))
            medians.append(percentiles(float(np.median(values)), draws[-1], len(values)))
        else:
            medians.append(Figure.unknown(len(values)))
    n = len(correct) + len(wrong)
    if len(draws) < 2:
        return medians[0], medians[1], Figure.unknown(n)
    gap = percentiles(float(np.median(correct) - np.median(wrong)), draws[0] - draws[1], n)
    return medians[0], medians[1], gap


def mean(values: FloatArray, draws: FloatArray | None = None, resamples: int = 1000, seed: int = 0) -> Figure:
    """The mean of one number per image; unknown below two images. ``draws``: a row of `bootstrap_means`.

    Raises:
        HeatliftError: a value is NaN.
    """
    values = _numbers(values)
    if len(values) < 2:
        return Figure.unknown(len(values))
    if draws is None:
        draws = bootstrap_means(values[None], resamples, seed)[0]
    return percentiles(float(values.mean()), draws, len(values))


def share(hits: int, n: int) -> Figure:
    """A proportion with Wilson's score interval (Wilson 1927, JASA 22:209), which stays within [0, 1].

    >>> round(share(0, 10).high, 3)
    0.278
    """
    if n == 0:
        return Figure.unknown(0)
    z = float(norm.ppf((1 + LEVEL) / 2))
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at 0 and at n hits one end is the share itself; rounding must not push it past
    return Figure(p, 0.0 if hits == 0 else centre - half, 1.0 if hits == n else centre + half, n)
