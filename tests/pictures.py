"""Small data folders for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, side: int = 40) -> Image.Image:
    """A smooth random photograph."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def class_folders(folder: Path, each: int = 5, classes: tuple[str, ...] = ("ant", "bee", "cow")) -> Path:
    """A folder of class folders with readable images."""
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            picture(100 * c + i).save(folder / name / f"{i}.png")
    return folder
