"""The autograd functions that the backward rules are made of: forward as torch does it, backward by rule.

Under the ``rescale`` rule each passes back multipliers with which differences from the reference add up
exactly: see `heatlift.multipliers`. What is saved in half precision, as under autocast, is calculated with
in single precision on the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function

from heatlift.multipliers import slope

Rule: TypeAlias = Literal["plain", "guided", "deconvolution", "rescale"]

Multipliers: TypeAlias = "Callable[..., Tensor | tuple[Tensor | None, ...]]"
"""``(*gradients, *inputs, *reference)`` -> what is passed back to each input."""

HALF = (torch.float16, torch.bfloat16)


@dataclass
class Tape:
    """What the backward functions of one forward pass share: the rule of the moment."""

    rule: Rule = "plain"


@dataclass(frozen=True)
class Call:
    """One call of a non-linear function on the reference: its name, inputs, and outputs."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] = field(default=())


class Elementwise(Function):
    """A non-linearity of one input."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        function: Callable[[Tensor], Tensor],
        tape: Tape,
        relu: bool,
        in_place: bool,
        reference: Call | None,
    ) -> Tensor:
        ctx.tape, ctx.relu = tape, relu
        if x.dtype in HALF:
            # Half precision has too few digits for differences.
            y = function(x)
            with _without_autocast(x):
                derivative, exact = _derivative(function, wide(x))
                exact0 = None if reference is None else function(wide(reference.inputs[0]))
        else:
            derivative, y = _derivative(function, x)
            exact, exact0 = y, None if reference is None else reference.outputs[0]
        multiplier = None
        if reference is not None and exact0 is not None:
            multiplier = slope(wide(x), exact, derivative, relu, wide(reference.inputs[0]), exact0)
        ctx.save_for_backward(derivative, multiplier)
        if not in_place:
            return y
        ctx.mark_dirty(x)
        return x.copy_(y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        derivative, multiplier = ctx.saved_tensors
        rule = ctx.tape.rule
        if rule == "rescale":
            gradient = gradient * multiplier
        elif rule == "deconvolution" and ctx.relu:
            gradient = gradient.clamp(min=0)
        elif rule == "guided" and ctx.relu:
            gradient = gradient.clamp(min=0).mul_(derivative)
        else:
            gradient = gradient * derivative
        return gradient, None, None, None, None, None


class MaxPool(Function):
    """Max-pooling over the last ``dims`` dimensions, with windows that may overlap."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        pool: Callable[[Tensor], tuple[Tensor, Tensor]],
        dims: int,
        tape: Tape,
        reference: Call | None,
    ) -> Tensor:
        y, indices = pool(x)
        ctx.tape, ctx.shape, ctx.dims = tape, x.shape, dims
        if reference is None:
            ctx.save_for_backward(indices)
            return y
        (x0,), (y0, indices0) = reference.inputs, reference.outputs
        # A window's difference belongs to the image's largest cell where the maximum rose, and to the
        # reference's where it fell: there the input differs at least as much, so the ratio exists.
        cells = torch.where(y >= y0, indices, indices0)
        ctx.save_for_backward(indices, cells, wide(y) - wide(y0), wide(x) - wide(x0))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        if ctx.tape.rule != "rescale":
            return _scatter(gradient, ctx.saved_tensors[0], ctx.shape, ctx.dims), None, None, None, None
        _, cells, dy, dx = ctx.saved_tensors
        contributions = _scatter(gradient * dy, cells, ctx.shape, ctx.dims)
        return contributions.div_(dx).masked_fill_(dx == 0, 0.0), None, None, None, None


class Compound(Function):
    """Any other step, smooth or a maximum: ``function`` of one or several inputs, with its multipliers."""

    @staticmethod
    def forward(
        ctx: Any,
        function: Callable[..., Any],
        multipliers: Multipliers,
        tape: Tape,
        reference: Call | None,
        *inputs: Tensor,
    ) -> Any:
        ctx.tape, ctx.multipliers, ctx.count = tape, multipliers, len(inputs)
        ctx.save_for_backward(*inputs, *(reference.inputs if reference is not None else ()))
        return function(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        saved = [wide(t) for t in ctx.saved_tensors]
        inputs, reference = saved[: ctx.count], saved[ctx.count :]
        if ctx.tape.rule != "rescale":
            reference = inputs
        with _without_autocast(gradients[0]):
            found = ctx.multipliers(*map(wide, gradients), *inputs, *reference)
        return None, None, None, None, *(found if isinstance(found, tuple) else (found,))


def wide(x: Tensor) -> Tensor:
    """Half precision in single precision, and everything else as it is."""
    return x.float() if x.dtype in HALF else x


def _without_autocast(like: Tensor) -> AbstractContextManager[Any]:
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _scatter(values: Tensor, indices: Tensor, shape: torch.Size, dims: int) -> Tensor:
    """Add each window's value at the cell its index names, counted within the last ``dims`` dimensions."""
    flat = values.new_zeros(*shape[:-dims], shape[-dims:].numel())
    return flat.scatter_add_(-1, indices.flatten(-dims), values.flatten(-dims)).view(shape)


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The derivative at every element, and the function's values."""
    with torch.enable_grad():
        inner = x.detach().requires_grad_()
        y = function(inner)
        # A single number, expanded: a tensor of ones would have to be written and read.
        (derivative,) = torch.autograd.grad(
            y, inner, torch.ones((), dtype=y.dtype, device=y.device).expand_as(y)
        )
    return derivative, y.detach()
