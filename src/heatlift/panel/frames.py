"""Heatmaps as the browser gets them: whole levels of one byte, and what a level is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatlift.errors import HeatliftError

LEVELS = 127
"""On each side of what changes nothing: all that a signed byte has."""


@dataclass(frozen=True)
class Encoded:
    """One frame: ``neutral + levels * unit`` is the heatmap, within half a unit.

    Attributes:
        levels: (c, h, w); 0 is what changes nothing.
        unit: what one level is worth, above 0.
        largest: the largest distance from what changes nothing.
    """

    levels: NDArray[np.int8]
    unit: float
    largest: float


def encoded(heatmap: NDArray[Any], neutral: float) -> Encoded:
    """A heatmap in levels around the value that changes nothing.

    Args:
        heatmap: (c, h, w).
        neutral: 0 for one that is added, 1 for one that multiplies.

    Raises:
        HeatliftError: values that are not finite, or not (c, h, w).

    Example:
        >>> frame = encoded(np.array([[[1.0, 0.5, 1.25]]]), neutral=1)
        >>> frame.levels.tolist(), frame.largest
        ([[[0, -127, 64]]], 0.5)
    """
    if heatmap.ndim != 3 or not heatmap.size:
        raise HeatliftError(f"a heatmap of shape {heatmap.shape}: give one image's, (c, h, w)")
    signed = heatmap.astype(np.float64) - neutral
    largest = float(np.abs(signed).max())
    if not np.isfinite(largest):
        raise HeatliftError("a heatmap that is not finite cannot be shown: give one that is")
    unit = largest / LEVELS
    if unit < np.finfo(np.float64).tiny:  # too faint to divide by, or nothing at all
        return Encoded(np.zeros(signed.shape, np.int8), 1.0, largest)
    return Encoded(np.rint(signed / unit).astype(np.int8), unit, largest)
