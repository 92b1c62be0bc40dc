"""Views of an image: shifted by some pixels and mirrored or not, drawn from a stream of the image's own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.streams import digest, image_seed


def drawn_views(
    images: Tensor,
    count: tuple[int, int],
    shift: int,
    mirror: bool,
    seed: int,
    purpose: str = "views",
    alternating: bool = False,
) -> Tensor:
    """Shift down, shift right, mirrored or not, for every image, step and view: (n, steps, views, 3).

    Args:
        images: (n, 3, h, w).
        count: steps, and views of each.
        shift: the largest shift, in pixels.
        mirror: whether views may be mirrored.
        seed: of all streams.
        purpose: keeps streams of one image apart.
        alternating: whether every other view is mirrored, instead of each by chance.
    """
    drawn = []
    for image in images:
        stream = torch.Generator().manual_seed(image_seed(seed, digest(image), purpose))
        shifts = torch.randint(-shift, shift + 1, (*count, 2), generator=stream)
        mirrored = torch.randint(0, 2 if mirror else 1, (*count, 1), generator=stream)
        if mirror and alternating:
            turn = torch.arange(mirrored.numel()).view_as(mirrored)
            mirrored = (mirrored[0, 0, 0] + turn) % 2
        drawn.append(torch.cat([shifts, mirrored], dim=-1))
    return torch.stack(drawn).to(images.device)


def viewed(images: Tensor, views: Tensor, margin: int) -> Tensor:
    """Images shifted and mirrored, their edges carried on: (n, c, h, w) -> the same shape.

    Args:
        images: (n, c, h, w).
        views: shift down and right in pixels, and 1 for mirrored, (n, 3) integers.
        margin: the largest shift.
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (margin,) * 4, mode="replicate") if margin else images
    seen = []
    for image, (down, right, mirrored) in zip(padded, views.tolist(), strict=True):
        top, left = margin - down, margin - right
        part = image[:, top : top + height, left : left + width]
        seen.append(part.flip(2) if mirrored else part)
    return torch.stack(seen)
