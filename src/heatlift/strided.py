"""The gradient of a strided convolution with respect to its input, as one plain convolution.

Libraries are slow at it where the input has few channels, as images have: several times slower than the
convolution itself. With stride s, the s x s cells of the input that lie between two places of the kernel
each see their own part of it, with s times fewer rows and columns. All of these parts together are the
kernel of a plain convolution, whose s x s times as many channels are the cells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

FEW = 4
"""Input channels that count as few: with 3 the plain convolution is faster, with 64 it is slower."""


class StridedConvolution(Function):
    """`torch.nn.functional.conv2d` of one stride and padding for rows and columns, undilated, ungrouped."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.padding = x.shape, stride, padding
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        (weight,) = ctx.saved_tensors
        found = input_gradient(gradient, weight.to(gradient.dtype), ctx.shape, ctx.stride, ctx.padding)
        return found, None, None, None, None


def input_gradient(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """The gradient (n, c, h, w) with respect to the input of a convolution.

    Args:
        gradient: with respect to its output, (n, o, h', w').
        weight: its kernel, (o, c, k, k).
        shape: its input's shape.
        stride: its stride.
        padding: zeros around its input.
    """
    outputs, channels, *sides = weight.shape
    rows, columns = (-(-side // stride) for side in sides)
    fill = (0, columns * stride - sides[1], 0, rows * stride - sides[0])
    parts = F.pad(weight, fill).view(outputs, channels, rows, stride, columns, stride)
    kernel = parts.permute(1, 3, 5, 0, 2, 4).reshape(-1, outputs, rows, columns).flip(2, 3)
    cells = F.conv2d(
        gradient, kernel.contiguous(memory_format=torch.channels_last), padding=(rows - 1, columns - 1)
    )
    height, width = shape[-2:]
    found = F.pixel_shuffle(cells, stride)[..., padding : padding + height, padding : padding + width]
    # What no place of the kernel reaches has no gradient.
    return F.pad(found, (0, width - found.shape[-1], 0, height - found.shape[-2]))


def applies(x: Tensor, args: tuple[Any, ...]) -> tuple[int, int] | None:
    """Stride and padding, where a call ``conv2d(x, weight, bias, *args)`` is of a kind that is faster so."""
    names = dict(zip(("stride", "padding", "dilation", "groups"), args, strict=False))
    plain = _one(names.get("dilation", 1)) == _one(names.get("groups", 1)) == 1
    stride, padding = _one(names.get("stride", 1)), _one(names.get("padding", 0))
    if not plain or stride in (None, 1) or padding is None or x.ndim != 4 or x.shape[1] > FEW:
        return None
    return (stride, padding) if x.requires_grad and torch.is_grad_enabled() else None


def _one(value: Any) -> int | None:
    """A number that holds for rows and columns."""
    values = set(value) if isinstance(value, tuple | list) else {value}
    (only, *more) = values
    return only if isinstance(only, int) and not more else None
