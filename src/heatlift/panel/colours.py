"""The colours of heatmaps: blue, white and red around what changes nothing, white to brown for masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SATURATED = 99.0
"""The percentile of a heatmap's absolute values at which its colours end: a few extreme pixels do not hide
the others."""

LEVELS = 63
"""Colours of a map; odd, so that what changes nothing has one of its own."""

STOPS: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    # the ends of ColorBrewer's RdBu: lightness falls evenly on both sides
    "signed": (
        (5, 48, 97),
        (67, 147, 195),
        (209, 229, 240),
        (255, 255, 255),
        (253, 219, 199),
        (214, 96, 77),
        (103, 0, 31),
    ),
    # ColorBrewer's Oranges from white
    "taken": ((255, 255, 255), (254, 230, 206), (253, 174, 107), (230, 85, 13), (127, 39, 4)),
}
"""By the kind of a layer, from the lowest value to the highest."""


def palette(kind: str) -> NDArray[np.uint8]:
    """The colours of a kind of layer, (levels, 3)."""
    stops = STOPS[kind]
    places = np.linspace(0, len(stops) - 1, LEVELS)
    channels = [np.interp(places, range(len(stops)), channel) for channel in zip(*stops, strict=True)]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colours


def levels(values: NDArray[np.float64], kind: str, limit: float) -> NDArray[np.uint8]:
    """Places in the palette: of signed values up to the limit on both sides, of shares from 0 to the limit.

    >>> levels(np.array([-2.0, -1.0, 0.0, 1.0]), "signed", limit=1.0).tolist()
    [0, 0, 31, 62]
    """
    lowest = -limit if kind == "signed" else 0.0
    share = np.clip((values - lowest) / (limit - lowest), 0, 1)
    return np.rint(share * (LEVELS - 1)).astype(np.uint8)


def saturation(values: NDArray[np.float64], kind: str) -> float:
    """The limit at which the colours of these values end, above 0; shares of a whole end at 1."""
    if kind == "taken":
        return 1.0
    sizes = np.abs(values)
    return float(np.percentile(sizes, SATURATED)) or float(sizes.max()) or 1.0
