"""Small pictures of all images of a run, so that it can be looked through without its data."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

from heatlift.data import Item
from heatlift.run.rows import Rows

LONGEST = 96
"""Pixels of the longer side: 2 to 3 KB each, 130 MB for 50,000."""


def thumbnail_rows(items: Sequence[Item], images: Tensor) -> Rows:
    """Rows of the table ``thumbnails`` for images (n, 3, h, w) in [0, 1], as the network sees them."""
    levels = (images.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()
    return [
        {"image": item.name, "thumbnail": _webp(pixels)} for item, pixels in zip(items, levels, strict=True)
    ]


def no_thumbnail(item: Item) -> dict[str, object]:
    """The row of an image that has no pixels to show."""
    return {"image": item.name, "thumbnail": None}


def _webp(pixels: np.ndarray) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
    file = BytesIO()
    picture.save(file, "WEBP", quality=75, method=2)
    return file.getvalue()
