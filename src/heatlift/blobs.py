"""A control for masks: regions of the same area that nothing was optimised for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.streams import digest, image_seed

COARSE = 7
"""Cells a side of the noise that blobs are cut from: regions of about a seventh of the image."""


def blobs(images: Tensor, areas: Tensor, seed: int, purpose: str = "") -> Tensor:
    """A random smooth region in each image, 1 inside: (n, 1, h, w).

    Args:
        images: (n, 3, h, w); each has a stream of its own.
        areas: the share of the pixels that each region covers, (n,) in [0, 1]: exact to a pixel.
        seed: of all streams.
        purpose: keeps streams of one image apart.
    """
    height, width = images.shape[2:]
    found = torch.zeros(len(images), 1, height, width)
    for i, (image, area) in enumerate(zip(images, areas.tolist(), strict=True)):
        stream = torch.Generator().manual_seed(image_seed(seed, digest(image), f"blob/{purpose}"))
        coarse = torch.rand(1, 1, COARSE, COARSE, generator=stream)
        fine = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
        inside = fine.flatten().topk(round(area * height * width)).indices
        found[i].view(-1)[inside] = 1
    return found
