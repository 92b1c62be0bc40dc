"""Two networks on the same images: differences and their intervals, from one number per image and network.

Everything here takes numpy arrays whose columns are the same images in the same order, and knows nothing of
tables. Resampling draws images, so both networks always see the same ones: every interval is paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from heatlift.improvement import McNemar, mcnemar
from heatlift.ranking import FloatArray, Indices
from heatlift.run.columns import Codes, Mask
from heatlift.statistics import Figure, alike, bootstrap_means, mean, percentiles, share

FEWEST_RANKED = 4
"""Heatmaps below which two orders of them are not compared."""


@dataclass(frozen=True)
class Accuracies:
    """Two networks' accuracy on the same images.

    Attributes:
        first, other: each one's accuracy, with Wilson's interval.
        difference: other minus first.
        turned: how many images only the one or only the other got right, with McNemar's p.
    """

    first: Figure
    other: Figure
    difference: Figure
    turned: McNemar


@dataclass(frozen=True)
class Ranks:
    """How alike two networks order the same heatmaps by their means: 1 the same order, -1 the reverse.

    Attributes:
        spearman, kendall: Spearman's rho and Kendall's tau-b; n is the number of images.
        heatmaps: how many were ordered.
    """

    spearman: Figure
    kendall: Figure
    heatmaps: int


def compare_accuracy(first: Mask, other: Mask, resamples: int = 1000, seed: int = 0) -> Accuracies:
    """Which of two networks is right more often; ``first`` and ``other`` (n,): right on each image."""
    n = len(first)
    gained = other.astype(np.float64) - first.astype(np.float64)
    return Accuracies(
        share(int(first.sum()), n),
        share(int(other.sum()), n),
        mean(gained, resamples=resamples, seed=seed),
        mcnemar(first, other),
    )


def compare_means(
    first: Sequence[FloatArray], other: Sequence[FloatArray], resamples: int = 1000, seed: int = 0
) -> list[Figure]:
    """Mean of ``other`` minus ``first``, for each pair of columns (n,) over the images where neither is NaN.

    Columns that cover the same images are resampled together.
    """
    changes = [there - here for here, there in zip(first, other, strict=True)]
    found: dict[int, Figure] = {}
    for usable, places in alike([np.isfinite(change) for change in changes]):
        columns = np.stack([changes[place][usable] for place in places])
        if columns.shape[1] < 2:
            found |= dict.fromkeys(places, Figure.unknown(columns.shape[1]))
            continue
        draws = bootstrap_means(columns, resamples, seed)
        found |= {
            place: mean(column, drawn) for place, column, drawn in zip(places, columns, draws, strict=True)
        }
    return [found[place] for place in range(len(changes))]


def compare_ranks(
    first: Sequence[FloatArray], other: Sequence[FloatArray], resamples: int = 1000, seed: int = 0
) -> Ranks:
    """Do two networks order heatmaps alike? A column (n,) for each heatmap, NaN where it has no figure.

    The order is that of the columns' means over the images on which every heatmap of both has a figure.
    Unknown for fewer than four heatmaps, fewer than two images, or where one network has all means alike.
    The interval resamples images, which blurs both orders: it leans towards 0.
    """
    kept = [(a, b) for a, b in zip(first, other, strict=True) if np.isfinite(a + b).any()]
    heatmaps = len(kept)
    usable = np.isfinite(sum(a + b for a, b in kept)) if kept else np.zeros(0, dtype=bool)
    n = int(usable.sum())
    if heatmaps < FEWEST_RANKED or n < 2:
        return Ranks(Figure.unknown(n), Figure.unknown(n), heatmaps)
    columns = np.stack([values[usable] for side in zip(*kept, strict=True) for values in side])
    draws = bootstrap_means(columns, resamples, seed)
    means = columns.mean(axis=1, keepdims=True)
    both = means[:heatmaps], means[heatmaps:]
    drawn = draws[:heatmaps], draws[heatmaps:]
    return Ranks(
        _figure(spearman(*both)[0], spearman(*drawn), n),
        _figure(kendall(*both)[0], kendall(*drawn), n),
        heatmaps,
    )


def spearman(first: FloatArray, other: FloatArray) -> FloatArray:
    """Spearman's rank correlation of each pair of columns: two (m, r) to (r,); NaN where one is constant."""
    ranks = [rankdata(values, axis=0) for values in (first, other)]
    here, there = (rank - rank.mean(axis=0) for rank in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            (here * there).sum(axis=0) / np.sqrt((here**2).sum(axis=0) * (there**2).sum(axis=0))
        )


def kendall(first: FloatArray, other: FloatArray) -> FloatArray:
    """Kendall's tau-b of each pair of columns: two (m, r) to (r,); NaN where one is constant."""
    agree, here, there = (np.zeros(first.shape[1]) for _ in range(3))
    for row in range(1, len(first)):
        left = np.sign(first[row] - first[:row])
        right = np.sign(other[row] - other[:row])
        agree += (left * right).sum(axis=0)
        here += np.abs(left).sum(axis=0)
        there += np.abs(right).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agree / np.sqrt(here * there))


def most_disputed(predicted: Codes, confidence: FloatArray, usable: Mask, most: int = 12) -> Indices:
    """The images on which networks contradict each other most, strongest first; all arrays are (runs, n).

    Two networks contradict each other as strongly as the less confident of them is; an image counts with
    its strongest contradiction to the first network, and is left out without any.
    """
    against = np.where(
        (predicted[1:] != predicted[0]) & usable[1:] & usable[0],
        np.minimum(confidence[1:], confidence[0]),
        -np.inf,
    ).max(axis=0)
    order = np.argsort(-against, kind="stable")[:most]
    return np.asarray(order[np.isfinite(against[order])], dtype=np.intp)


def _figure(value: float, draws: FloatArray, n: int) -> Figure:
    known = draws[np.isfinite(draws)]
    return percentiles(value, known, n) if np.isfinite(value) and len(known) else Figure.unknown(n)
