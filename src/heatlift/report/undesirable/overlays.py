"""What a mask takes away, as a picture to lie over the photograph: see-through, with an outline at 0.6."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heatlift.report.pictures import SIDE, Pixels, size, uri

THRESHOLD = 0.6
"""Pixels of which a mask takes more away count as undesirable (Kang 2019, section 4.4)."""

OPAQUE = 0.72
"""Of the colour where a mask takes all away: the photograph still shows."""

FILL = (208, 28, 139)
"""Magenta, the end of ColorBrewer's PiYG, which is safe for colour-blind eyes, and rare in photographs."""

DARK, LIGHT = (20, 20, 20), (255, 255, 255)

LEVELS = (24, 12, 6, 3)
"""Of see-through; the first with which pictures keep to their budget."""

Mask = NDArray[np.bool_]


def overlays(taken: Sequence[Pixels], budget: int) -> list[str]:
    """Each (1, h, w) in [0, 1] as PNG, with as many levels as keep to so many bytes in all."""
    for levels in LEVELS:
        found = [uri(overlay(one[0], levels), "PNG", optimize=True) for one in taken]
        if sum(map(size, found)) <= budget:
            break
    return found


def overlay(taken: Pixels, levels: int = LEVELS[0]) -> Image.Image:
    """(h, w) in [0, 1] -> a picture that covers more where more is taken away.

    The outline lies where the mask passes the threshold: dark within, light around, so that it stands out
    on any photograph.
    """
    height, width = taken.shape
    ratio = SIDE / max(width, height)
    shown = max(1, round(width * ratio)), max(1, round(height * ratio))
    raised = np.asarray(Image.fromarray(taken.astype(np.float32)).resize(shown, Image.Resampling.BILINEAR))
    places = np.rint(np.clip(raised, 0, 1) * (levels - 1)).astype(np.uint8)
    above = raised > THRESHOLD
    places[above & grown(~above)] = levels
    places[~above & grown(above)] = levels + 1
    picture = Image.fromarray(places)
    picture.putpalette([*FILL * levels, *DARK, *LIGHT])
    see_through = np.rint(np.linspace(0, OPAQUE * 255, levels)).astype(np.uint8)
    picture.info["transparency"] = bytes([*see_through.tolist(), 255, 255])
    return picture


def grown(inside: Mask) -> Mask:
    """What is inside, or has a neighbour above, below, left or right that is."""
    padded = np.pad(inside, 1)
    return padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
