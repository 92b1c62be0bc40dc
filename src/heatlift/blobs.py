"""A control for masks: the same values in places that nothing was optimised for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.streams import digest, image_seed

COARSE = 7
"""Cells a side of the noise that decides the places: regions of about a seventh of the image."""


def blobs(images: Tensor, masks: Tensor, seed: int, purpose: str = "") -> Tensor:
    """Each mask's own values, put where smooth noise has the same rank: (n, 1, h, w) -> the same shape.

    So a blob takes away as much as its mask does, everywhere together and above any threshold.

    Args:
        images: (n, 3, h, w); each has a stream of its own.
        masks: (n, 1, h, w).
        seed: of all streams.
        purpose: keeps streams of one image apart.
    """
    height, width = images.shape[2:]
    found = torch.empty_like(masks)
    for i, image in enumerate(images):
        stream = torch.Generator().manual_seed(image_seed(seed, digest(image), f"blob/{purpose}"))
        coarse = torch.rand(1, 1, COARSE, COARSE, generator=stream)
        fine = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
        places = fine.flatten().argsort().to(masks.device)
        found[i].view(-1)[places] = masks[i].flatten().sort().values
    return found
