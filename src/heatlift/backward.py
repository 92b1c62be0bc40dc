"""The autograd functions that the backward rules are made of: forward as torch does it, backward by rule.

Under the ``rescale`` rule each passes back multipliers with which differences from the reference add up
exactly (DeepLIFT, Shrikumar et al. 2017). A step of one input takes the ratio of the differences. A step
of two inputs that is linear in each takes the derivative half-way between: ``a b - a0 b0`` is
``(b + b0) / 2 (a - a0) + (a + a0) / 2 (b - b0)``. Softmax, normalisation, division and attention are
such steps one after the other, written down in one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

Rule: TypeAlias = Literal["plain", "guided", "deconvolution", "rescale"]


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
        derivative, y = _derivative(function, x, relu)
        multiplier = None
        if reference is not None:
            multiplier = _slope(x, y, derivative, relu, reference.inputs[0], reference.outputs[0])
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
            gradient = gradient.clamp(min=0) * derivative
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
        ctx.save_for_backward(indices, torch.where(y >= y0, indices, indices0), y - y0, x - x0)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        if ctx.tape.rule != "rescale":
            return _scatter(gradient, ctx.saved_tensors[0], ctx.shape, ctx.dims), None, None, None, None
        _, cells, dy, dx = ctx.saved_tensors
        contributions = _scatter(gradient * dy, cells, ctx.shape, ctx.dims)
        multipliers = torch.where(dx != 0, contributions / torch.where(dx != 0, dx, 1.0), 0.0)
        return multipliers, None, None, None, None


class Bilinear(Function):
    """A step of two inputs that is linear in each: a product, a matrix product."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, function: Callable[..., Tensor], tape: Tape, reference: Call | None
    ) -> Tensor:
        ctx.tape, ctx.function = tape, function
        ctx.save_for_backward(a, b, *(reference.inputs if reference is not None else ()))
        return function(a, b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        a, b, *reference = ctx.saved_tensors
        if ctx.tape.rule == "rescale":
            a, b = (a + reference[0]) / 2, (b + reference[1]) / 2
        return *_vjp(ctx.function, (a, b), gradients[0]), None, None, None


class Division(Function):
    """a / b where both depend on the image: a product with 1 / b, whose own slope is -1 / (b b0)."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, tape: Tape, reference: Call | None) -> Tensor:
        ctx.tape = tape
        ctx.save_for_backward(a, b, *(reference.inputs if reference is not None else ()))
        return a / b

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        a, b, *reference = ctx.saved_tensors
        a0, b0 = reference if ctx.tape.rule == "rescale" else (a, b)
        to_a = gradient * (1 / b + 1 / b0) / 2
        to_b = -gradient * (a + a0) / 2 / (b * b0)
        return to_a.sum_to_size(a.shape), to_b.sum_to_size(b.shape), None, None


class Softmax(Function):
    """Softmax along one dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, tape: Tape, reference: Call | None) -> Tensor:
        ctx.tape, ctx.dim = tape, dim
        ctx.save_for_backward(x, *(reference.inputs if reference is not None else ()))
        return x.softmax(dim)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, *reference = ctx.saved_tensors
        x0 = reference[0] if ctx.tape.rule == "rescale" else x
        return softmax_multipliers(gradients[0], x, x0, ctx.dim), None, None, None


class Normalisation(Function):
    """(x - mean) / sqrt(variance + eps) times a weight: layer and group norm.

    ``rows`` is the shape in which the mean and variance are those of the last dimension, and ``weight``
    fits the input's own shape.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        function: Callable[[Tensor], Tensor],
        weight: Tensor | None,
        rows: tuple[int, ...],
        eps: float,
        tape: Tape,
        reference: Call | None,
    ) -> Tensor:
        ctx.tape, ctx.rows, ctx.eps = tape, rows, eps
        ctx.save_for_backward(x, weight, *(reference.inputs if reference is not None else ()))
        return function(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, weight, *reference = ctx.saved_tensors
        gradient = gradients[0] if weight is None else gradients[0] * weight
        gradient = gradient.reshape(ctx.rows)
        u, r = _centred(x.reshape(ctx.rows), ctx.eps)
        u0, r0 = u, r
        if ctx.tape.rule == "rescale":
            u0, r0 = _centred(reference[0].reshape(len(reference[0]), *ctx.rows[1:]), ctx.eps)
        # u r with r = (variance + eps)^(-1/2), whose slope is -(r r0)^2 / (r + r0), and variance = mean(u^2).
        to_scale = (gradient * (u + u0) / 2).sum(-1, keepdim=True)
        to_variance = -to_scale * (r * r0).square() / (r + r0)
        to_u = gradient * (r + r0) / 2 + to_variance * (u + u0) / u.shape[-1]
        to_x = to_u - to_u.mean(-1, keepdim=True)
        return to_x.reshape(x.shape), None, None, None, None, None, None


class Attention(Function):
    """Scaled dot-product attention: softmax(q k' scale + mask) v."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scale: float,
        tape: Tape,
        reference: Call | None,
    ) -> Tensor:
        ctx.tape, ctx.scale = tape, scale
        ctx.save_for_backward(query, key, value, mask, *(reference.inputs if reference is not None else ()))
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        q, k, v, mask, *reference = ctx.saved_tensors
        q0, k0, v0 = reference if ctx.tape.rule == "rescale" else (q, k, v)

        def similarities(query: Tensor, key: Tensor) -> Tensor:
            scores: Tensor = query @ key.mT * ctx.scale
            return scores if mask is None else scores + mask

        s, s0 = similarities(q, k), similarities(q0, k0)
        to_v = ((s.softmax(-1) + s0.softmax(-1)) / 2).mT @ gradient
        to_s = softmax_multipliers(gradient @ ((v + v0) / 2).mT, s, s0, -1) * ctx.scale
        return to_s @ (k + k0) / 2, to_s.mT @ (q + q0) / 2, to_v, None, None, None, None


def softmax_multipliers(gradient: Tensor, x: Tensor, x0: Tensor, dim: int) -> Tensor:
    """Gradient through a softmax by the rescale rule; with ``x0 = x`` the plain one.

    The softmax is exp(x - l) with l the logarithm of sum(exp(x)): unlike those of exp(x) / sum(exp(x)),
    none of its steps leaves the range of numbers where image and reference differ much.
    """
    total, total0 = x.logsumexp(dim, keepdim=True), x0.logsumexp(dim, keepdim=True)
    p, p0 = (x - total).exp(), (x0 - total0).exp()
    to_difference = gradient * _slope(x - total, p, p, False, x0 - total0, p0)
    shift = torch.maximum(total, total0)
    e, e0 = (x - shift).exp(), (x0 - shift).exp()
    s, s0 = e.sum(dim, keepdim=True), e0.sum(dim, keepdim=True)
    to_sum = -to_difference.sum(dim, keepdim=True) * _slope(s, total, 1 / s, False, s0, total0)
    return to_difference + to_sum * _slope(x, e, e, False, x0, e0)


def _centred(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x less its mean, and one over its standard deviation, along the last dimension."""
    centred = x - x.mean(-1, keepdim=True)
    return centred, (centred.square().mean(-1, keepdim=True) + eps).rsqrt()


def _vjp(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    with torch.enable_grad():
        leaves = tuple(x.detach().requires_grad_() for x in inputs)
        return torch.autograd.grad(function(*leaves), leaves, gradient)


def _scatter(values: Tensor, indices: Tensor, shape: torch.Size, dims: int) -> Tensor:
    """Add each window's value at the cell its index names, counted within the last ``dims`` dimensions."""
    flat = values.new_zeros(*shape[:-dims], shape[-dims:].numel())
    return flat.scatter_add_(-1, indices.flatten(-dims), values.flatten(-dims)).view(shape)


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """The derivative at every element, and the function's values; a ReLU's derivative is kept as bool."""
    with torch.enable_grad():
        inner = x.detach().requires_grad_()
        y = function(inner)
        (derivative,) = torch.autograd.grad(y, inner, torch.ones_like(y))
    return (derivative > 0 if relu else derivative), y.detach()


def _slope(x: Tensor, y: Tensor, derivative: Tensor, exact: bool, x0: Tensor, y0: Tensor) -> Tensor:
    """(y - y0) / (x - x0); the derivative where the difference drowns in rounding.

    ``exact`` says that differences carry no rounding error of their own, as a ReLU's do not.
    """
    dx = x - x0
    resolvable = dx != 0
    if not exact:
        size = torch.maximum(x.abs(), x0.abs()).clamp(max=1)
        # Also False where both are infinite, as masked similarities are.
        resolvable = dx.abs() > 4 * torch.finfo(x.dtype).eps ** 0.5 * size
    return torch.where(resolvable, (y - y0).div_(dx), derivative.to(x.dtype))
