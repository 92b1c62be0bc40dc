"""Small data folders for tests."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from heatlift.demo import PHOTOGRAPHS, variants


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


def photographs(n: int, size: int) -> Tensor:
    """Real photographs, (n, 3, size, size) in [0, 1]: clean ones first, then their degraded variants."""
    each = -(-n // len(PHOTOGRAPHS))
    named = [list(islice(variants(photograph), each)) for photograph in PHOTOGRAPHS]
    pictures = [picture for pairs in zip(*named, strict=True) for _, picture in pairs][:n]
    arrays = [np.asarray(p.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)) for p in pictures]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255
