"""Two audits of the same images, compared: the gap and the AUROC of one less those of the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heatlift.ranking import Ranking
from heatlift.run.columns import PairScores, read_predictions, read_scores
from heatlift.run.evidence import ENOUGH
from heatlift.statistics import Figure, percentiles

RESAMPLES = 1000

Values = NDArray[np.float64]


def scored(run: Path) -> Mapping[str, PairScores]:
    """An audit's scores by heatmap and operation, such as ``saliency/add``."""
    return {pair.name: pair for pair in read_scores(run, read_predictions(run))}


def differences(first: Path, second: Path, seed: int) -> dict[str, tuple[Figure, Figure]]:
    """By heatmap and operation: the gap and the AUROC with the label, of one audit less another's.

    Paired: each resample draws images that both audits have, within the four groups of those that the
    first and the second network got right or wrong, so that each network keeps its number of errors.
    """
    own, other = (read_predictions(run) for run in (first, second))
    places = {name: place for place, name in enumerate(other.images.to_pylist())}
    names = own.images.to_pylist()
    left = np.array([place for place, name in enumerate(names) if name in places], dtype=np.intp)
    right = np.array([places[names[place]] for place in left], dtype=np.intp)
    found = {}
    theirs = scored(second)
    for name, pair in scored(first).items():
        if name in theirs and not pair.control:
            both = pair.ok[left] & theirs[name].ok[right] & own.labelled[left] & other.labelled[right]
            found[name] = difference(
                (pair.co_label[left[both]], own.correct[left[both]]),
                (theirs[name].co_label[right[both]], other.correct[right[both]]),
                seed,
            )
    return found


def difference(
    first: tuple[Values, NDArray[np.bool_]], second: tuple[Values, NDArray[np.bool_]], seed: int
) -> tuple[Figure, Figure]:
    """The gap and the AUROC of the first network less those of the second.

    Unknown where either network got fewer than `ENOUGH` of the images right, or wrong.

    Args:
        first, second: of the same images, scores and whether they were predicted correctly.
        seed: of the resamples.
    """
    n = len(first[0])
    if any(min(correct.sum(), (~correct).sum()) < ENOUGH for _, correct in (first, second)):
        return Figure.unknown(n), Figure.unknown(n)
    group = first[1] * 2 + second[1]
    members = [np.flatnonzero(group == each) for each in range(4)]
    rng = np.random.default_rng(seed)
    draws = np.empty((2, RESAMPLES))
    for draw_ in range(RESAMPLES):
        rows = np.concatenate([rng.choice(part, len(part)) for part in members if len(part)])
        draws[:, draw_] = _less(first, second, rows)
    whole = _less(first, second, np.arange(n))
    return percentiles(whole[0], draws[0], n), percentiles(whole[1], draws[1], n)


def _less(
    first: tuple[Values, NDArray[np.bool_]], second: tuple[Values, NDArray[np.bool_]], rows: NDArray[np.intp]
) -> tuple[float, float]:
    """The first gap and AUROC less the second, over some images."""
    gaps, aurocs = [], []
    for values, correct in (first, second):
        scores, right = values[rows], correct[rows]
        gaps.append(float(np.median(scores[right]) - np.median(scores[~right])))
        aurocs.append(Ranking.of(scores, right).value("auroc"))
    return gaps[0] - gaps[1], aurocs[0] - aurocs[1]
