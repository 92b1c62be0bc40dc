"""Pictures that live inside the page: read as a run keeps them, made small, and written into a text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heatlift.errors import HeatliftError, first_line

SIDE = 224
"""The longer side of a picture that is looked at closely, in pixels."""

QUALITIES = (75, 60, 45, 30, 15, 0)
"""Of WebP; the first with which pictures keep to their budget."""

Pixels = NDArray[np.float32]


def read_pixels(path: Path) -> Pixels:
    """A PNG file of the run as (3, h, w) in [0, 1].

    Raises:
        HeatliftError: it is gone or damaged.
    """
    try:
        with Image.open(path, formats=("PNG",)) as file:
            pixels = np.asarray(file.convert("RGB"), dtype=np.float32)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise HeatliftError(
            f"{path} is not readable ({first_line(error)}): delete it and start the same run again"
        ) from error
    return np.asarray(pixels.transpose(2, 0, 1) / 255, np.float32)


def photograph(image: Pixels) -> Image.Image:
    """(3, h, w) in [0, 1] as a picture of the size of the page."""
    picture = Image.fromarray(np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8))
    return picture.resize(fit(*picture.size, SIDE), Image.Resampling.LANCZOS)


def box(heatmap: Pixels) -> NDArray[np.float64]:
    """Averaged down to what the page shows before it is coloured: colours do not average as values do."""
    height, width = heatmap.shape
    small = Image.fromarray(heatmap.astype(np.float32)).resize(fit(width, height, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def fit(width: int, height: int, side: int) -> tuple[int, int]:
    """At most ``side`` on the longer side, and never enlarged."""
    ratio = min(1.0, side / max(width, height))
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def encoded(pictures: Sequence[Image.Image], budget: int) -> list[str]:
    """All pictures as WebP at the best quality that keeps to so many bytes."""
    for quality in QUALITIES:
        found = [uri(picture, "WEBP", quality=quality, method=4) for picture in pictures]
        if sum(map(size, found)) <= budget:
            break
    return found


def uri(picture: Image.Image, kind: str, **options: int | bool | bytes) -> str:
    """The picture inside a text."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def size(source: str) -> int:
    """The bytes of a picture inside a text, without what writing them as a text adds.

    >>> size("data:image/png;base64,AAECAw==")
    4
    """
    text = source.partition(",")[2]
    return len(text) * 3 // 4 - text.count("=")
