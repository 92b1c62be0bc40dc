"""What keeps a mask small, smooth and honest: total variation, sparsity, and Kang 2019's two factors."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-8
"""Keeps the gradient of a square root finite where a mask is constant."""

ROUNDING = 1e-4
"""Logits; how far they are apart is known to about 1e-6 in float32."""

Reduction: TypeAlias = Literal["mean", "sum"]
"""Over a mask's cells."""

Variation: TypeAlias = Literal["isotropic", "power"]


def total_variation(
    masks: Tensor, form: Variation = "isotropic", beta: float = 2.0, reduction: Reduction = "mean"
) -> Tensor:
    """How much each mask varies from cell to cell: (n, 1, h, w) -> (n,).

    Args:
        masks: (n, 1, h, w).
        form: ``isotropic`` is ``sqrt(dx^2 + dy^2)``, ``power`` ``|dx|^beta + |dy|^beta``; differences past
            the edge are 0.
        beta: of ``power``.
        reduction: over the cells.
    """
    down = F.pad(masks.diff(dim=2), (0, 0, 0, 1))
    right = F.pad(masks.diff(dim=3), (0, 1))
    if form == "isotropic":
        cells = (down.square() + right.square() + SMOOTH).sqrt()
    else:
        cells = down.abs() ** beta + right.abs() ** beta
    return _reduced(cells, reduction)


def sparsity(masks: Tensor, reduction: Reduction = "mean") -> Tensor:
    """How much of each image is away from ``M = 1``, L1: (n, 1, h, w) -> (n,)."""
    return _reduced((1 - masks).abs(), reduction)


def target_factor(before: Tensor, after: Tensor, classes: Tensor) -> Tensor:
    """F-TC: how far the mean logit of the other classes moves (Kang 2019, eq. 4), (n,).

    Keeping it where it is leaves only the target's own logit to raise the probability.

    Args:
        before: logits of the images, (n, C).
        after: logits of the perturbed images, (n, C).
        classes: the target, (n,).
    """
    delta = (after - before).scatter(1, classes.unsqueeze(1), 0)
    return _magnitude(delta.sum(dim=1) / (delta.shape[1] - 1))


def non_target_factor(before: Tensor, after: Tensor, classes: Tensor) -> Tensor:
    """F-NTC: how far the target's logit moves (Kang 2019, eq. 6), (n,).

    Keeping it where it is leaves only the other classes' logits to lower.

    Args:
        before: logits of the images, (n, C).
        after: logits of the perturbed images, (n, C).
        classes: the target, (n,).
    """
    return _magnitude((after - before).gather(1, classes.unsqueeze(1)).squeeze(1))


def centred(logits: Tensor) -> Tensor:
    """Logits (n, C) less their mean, as a constant added to all of them says nothing."""
    return logits - logits.mean(dim=1, keepdim=True)


def _magnitude(moved: Tensor) -> Tensor:
    """|moved|, rounded off where rounding alone would decide which way its slope of 1 points."""
    return torch.where(moved.abs() > ROUNDING, moved.abs(), moved.square() / ROUNDING)


def _reduced(cells: Tensor, reduction: Reduction) -> Tensor:
    return torch.sum(cells, dim=(1, 2, 3)) if reduction == "sum" else torch.mean(cells, dim=(1, 2, 3))
