"""What takes a masked pixel's place: a blur, the mean colour, or a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from heatlift.errors import HeatliftError

ReferenceName: TypeAlias = Literal["blur", "mean", "local_mean"]

Reference: TypeAlias = ReferenceName | Callable[[Tensor], Tensor]
"""``images -> images`` of the same shape, (n, 3, h, w) in [0, 1]."""


def reference_images(images: Tensor, reference: Reference, kernel: int, sigma: float) -> Tensor:
    """What takes the place of each pixel that is masked: (n, 3, h, w) -> the same shape.

    Args:
        images: (n, 3, h, w) in [0, 1].
        reference: ``blur`` is Gaussian, ``local_mean`` the mean of a square, both with reflected edges;
            ``mean`` the image's mean colour; or any function of the images.
        kernel: side of the blur's or the square's window in pixels, odd.
        sigma: standard deviation of the blur, in pixels.

    Raises:
        HeatliftError: an image that is too small for the window, or a function that gives no such images.
    """
    if callable(reference):
        found = reference(images.detach().clone())
        fits = isinstance(found, Tensor) and found.shape == images.shape
        if not fits or not bool(((found >= 0) & (found <= 1)).all()):
            raise HeatliftError(f"the reference must give images in [0, 1] of shape {tuple(images.shape)}")
        return found.detach().to(images)
    if reference == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    if min(images.shape[2:]) <= kernel // 2:
        raise HeatliftError(
            f"images of {images.shape[3]} x {images.shape[2]} pixels are too small for a window of {kernel}"
        )
    if reference == "blur":
        blurred: Tensor = gaussian_blur(images, [kernel, kernel], [sigma, sigma])
        return blurred
    edge = kernel // 2
    return F.avg_pool2d(F.pad(images, (edge,) * 4, mode="reflect"), kernel, stride=1)


def perturbed(images: Tensor, masks: Tensor, references: Tensor) -> Tensor:
    """``Q = x M' + g(x) (1 - M')``: images and references (n, 3, h, w), masks (n, 1, h, w)."""
    return torch.lerp(references, images, masks)
