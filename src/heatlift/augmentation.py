"""Augmentative explanation (AX): an image and its heatmap, combined (Tjoa 2022, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from heatlift.errors import HeatliftError, let_through
from heatlift.types import Operation

OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "multiply": torch.mul}
"""The operations of the paper by name: x + h and x * h."""


def rescale(heatmaps: Tensor) -> Tensor:
    """Divide each heatmap by its largest absolute value: (n, c, h, w) -> the same shape in [-1, 1].

    An all-zero heatmap stays zero. Tjoa 2022, section 3.

    Example:
        >>> import torch
        >>> rescale(torch.tensor([[[[1.0, -4.0]]], [[[0.0, 0.0]]]])).flatten()
        tensor([ 0.2500, -1.0000,  0.0000,  0.0000])
    """
    largest = heatmaps.abs().amax(dim=tuple(range(1, heatmaps.ndim)), keepdim=True)
    return heatmaps / torch.where(largest > 0, largest, torch.ones_like(largest))


def augment(images: Tensor, heatmaps: Tensor, operation: Operation = "add", scale: float = 1.0) -> Tensor:
    """Combine images and heatmaps: ``add`` gives x + s h, ``multiply`` (1 - s) x + s x h, s the scale.

    Both are (n, c, h, w) of the same space; nothing is rescaled and nothing is clipped.

    Args:
        images: what the heatmaps are applied to.
        heatmaps: of the images' shape, or broadcastable to it.
        operation: a name, or any callable ``(images, heatmaps) -> images``.
        scale: how far to go from the image (0) to what the operation gives (1), or beyond.

    Raises:
        HeatliftError: an unknown name, or shapes that do not fit.

    Example:
        >>> import torch
        >>> augment(torch.full((1, 1, 1, 2), 0.5), torch.full((1, 1, 1, 2), 0.5), "multiply").flatten()
        tensor([0.2500, 0.2500])
    """
    if isinstance(operation, str):
        if operation not in OPERATIONS:
            raise HeatliftError(
                f"unknown operation '{operation}': choose from {', '.join(OPERATIONS)}, or a callable"
            )
        operation = OPERATIONS[operation]
    try:
        augmented = operation(images, heatmaps)
    except RuntimeError as error:
        let_through(error)
        raise HeatliftError(
            f"images {tuple(images.shape)} and heatmaps {tuple(heatmaps.shape)} can't be combined: {error}"
        ) from error
    if augmented.shape != images.shape:
        raise HeatliftError(
            f"images {tuple(images.shape)} combined with heatmaps {tuple(heatmaps.shape)} became "
            f"{tuple(augmented.shape)}: the operation must keep the images' shape"
        )
    # At 1 what the operation gave, and an image that it did not change as it was, to the last bit.
    return augmented if scale == 1 else torch.lerp(images, augmented, scale)
