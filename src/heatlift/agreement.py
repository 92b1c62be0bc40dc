"""How far masks of one image agree from trial to trial (Kang 2019, figures 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from heatlift.errors import HeatliftError

TOP = 0.04
"""The share of the pixels that are compared as the most undesirable ones."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How far two masks of one image agree; None where that can't be said.

    Attributes:
        iou: intersection over union of the pixels above a threshold; None where both have none.
        iou_top: the same of the 4% of the pixels where the most is taken away, or of fewer where less is
            touched; None for a flat mask.
        correlation: Pearson's, of 1 - M'; None for a flat mask.
        spearman: the same of the ranks.
        ssim: structural similarity (Wang et al. 2004), Gaussian window of 1.5 pixels, range 1.
    """

    iou: float | None
    iou_top: float | None
    correlation: float | None
    spearman: float | None
    ssim: float


def agreement(first: Floats, second: Floats, threshold: float) -> Agreement:
    """Compare what two masks take away.

    Args:
        first, second: 1 - M', (h, w) in [0, 1].
        threshold: above which a pixel counts as undesirable.

    Raises:
        HeatliftError: masks of different shapes.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise HeatliftError(f"masks {first.shape} and {second.shape}: they must have one shape (h, w)")
    first, second = first.astype(np.float64), second.astype(np.float64)
    flat = np.ptp(first) == 0 or np.ptp(second) == 0
    top = None if flat else _iou(_top(first), _top(second))
    return Agreement(
        _iou(first > threshold, second > threshold),
        top,
        None if flat else _correlation(first, second),
        None if flat else _correlation(rankdata(first), rankdata(second)),
        _ssim(first, second),
    )


def _iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float | None:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else None


def _top(taken: Floats) -> NDArray[np.bool_]:
    """The largest 4%, of equal ones the first; none of those where the least is taken away."""
    count = max(1, round(TOP * taken.size))
    chosen = np.zeros(taken.size, bool)
    chosen[np.argsort(-taken.ravel(), kind="stable")[:count]] = True
    # In a sparse mask untouched pixels would fill it up, the same in any.
    touched: NDArray[np.bool_] = taken > taken.min()
    return chosen.reshape(taken.shape) & touched


def _correlation(first: Floats, second: Floats) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _ssim(first: Floats, second: Floats) -> float:
    def smooth(values: Floats) -> Floats:
        return np.asarray(gaussian_filter(values, 1.5, truncate=3.5))

    mean1, mean2 = smooth(first), smooth(second)
    var1, var2 = smooth(first**2) - mean1**2, smooth(second**2) - mean2**2
    both = smooth(first * second) - mean1 * mean2
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * mean1 * mean2 + c1) * (2 * both + c2) / ((mean1**2 + mean2**2 + c1) * (var1 + var2 + c2))
    # Where the window leaves the image it sees reflections.
    edge = 5
    inner = similar[edge:-edge, edge:-edge]
    return float((inner if inner.size else similar).mean())
