"""Where a run keeps the pixels of images whose heatmaps it keeps, as the network sees them."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from heatlift.run.whole import whole

if TYPE_CHECKING:
    from torch import Tensor  # reports read these paths and do without torch


def original_path(run: Path, image: str) -> Path:
    """The file of an image, by its name in the run: any name, also one that is no valid text."""
    return _picture_path(run / "originals", image)


def perturbed_path(run: Path, factor: str, image: str) -> Path:
    """The file of an image with its undesirable pixels blurred, as the mask with this factor has them."""
    return _picture_path(run / "perturbed", f"{factor}/{image}")


def reference_path(run: Path, image: str) -> Path:
    """The file of what takes the place of an image's pixels where a mask takes them away."""
    return _picture_path(run / "references", image)


def write_picture(path: Path, pixels: Tensor) -> None:
    """Write an image (3, h, w) in [0, 1] as PNG, whole or not at all."""
    levels = (pixels.permute(1, 2, 0) * 255).round().cpu().numpy().astype(np.uint8)
    with whole(path, "wb") as file:
        Image.fromarray(levels).save(file, "PNG")


def _picture_path(folder: Path, name: str) -> Path:
    return folder / f"{blake2b(name.encode(errors='surrogatepass'), digest_size=16).hexdigest()}.png"
