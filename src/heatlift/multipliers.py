"""Multipliers with which differences from a reference add up (DeepLIFT, Shrikumar et al. 2017).

Each function takes what the layers above pass back, the inputs of a step, and the reference's inputs. What
it returns, times the inputs' differences, sums to the step's own difference times what came from above. With
the reference equal to the inputs it is the derivative.

A step of one number has the ratio of the differences. The others are taken apart into products:

- ``a b - a0 b0`` is both ``b (a - a0) + a0 (b - b0)`` and ``b0 (a - a0) + a (b - b0)``, hence every mixture
  of the two, with equal shares the derivative half-way;
- a quotient ``y = a / b`` is read as ``a = y b``, and a root ``s`` of ``v`` as ``s s = v``, which gives
  ``s - s0 = (v - v0) / (s + s0)``.

A mixture is free to choose. Where one of the two has large numbers that cancel out, the other must have the
larger share: else digits are lost, and with every layer more of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def slope(x: Tensor, y: Tensor, derivative: Tensor, exact: bool, x0: Tensor, y0: Tensor) -> Tensor:
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


def half_way(
    function: Callable[..., Tensor], wanted: tuple[bool, ...], gradient: Tensor, *tensors: Tensor
) -> tuple[Tensor | None, ...]:
    """A function of degree two at most, such as a product: its derivative half-way to the reference.

    ``tensors`` are the function's inputs followed by the reference's, and ``wanted`` says of which inputs
    the derivative is asked.
    """
    pairs = zip(tensors[: len(wanted)], tensors[len(wanted) :], strict=True)
    middle = [x.detach() if x is x0 else (x.detach() + x0) / 2 for x, x0 in pairs]
    with torch.enable_grad():
        leaves = [x.requires_grad_() for x, asked in zip(middle, wanted, strict=True) if asked]
        found = iter(torch.autograd.grad(function(*middle), leaves, gradient))
    return tuple(next(found) if asked else None for asked in wanted)


def product(gradient: Tensor, a: Tensor, b: Tensor, a0: Tensor, b0: Tensor) -> tuple[Tensor, Tensor]:
    """a b, element by element.

    Equal shares where the two changes work together. Where they work against each other, the larger share
    goes to the form in which they do so less.
    """
    if a is a0 and b is b0:
        return (gradient * b).sum_to_size(a.shape), (gradient * a).sum_to_size(b.shape)
    da, db = (a - a0).abs(), (b - b0).abs()
    size, size0 = b.abs() * da + a0.abs() * db, b0.abs() * da + a.abs() * db
    squares = size0.square()
    both = squares + size.square()
    share = torch.where(both > 0, squares / both, 0.5)
    to_a, to_b = gradient * torch.lerp(b0, b, share), gradient * torch.lerp(a, a0, share)
    return to_a.sum_to_size(a.shape), to_b.sum_to_size(b.shape)


def quotient(gradient: Tensor, a: Tensor, b: Tensor, a0: Tensor, b0: Tensor) -> tuple[Tensor, Tensor]:
    """y = a / b, the larger share to the form with the larger divisor.

    ``y - y0 = ((|b| + |b0|) (a - a0) - (|b0| y + |b| y0) (b - b0)) / (|b| b + |b0| b0)``.
    """
    largest = torch.maximum(b.abs(), b0.abs())
    c, c0 = b / largest, b0 / largest
    squares = (c.square() + c0.square()) * largest
    # Divisors of different signs: a product with 1 / b, whose slope is -1 / (b b0).
    alike = (b > 0) == (b0 > 0)
    to_a = torch.where(alike, (c + c0) / squares, (1 / b + 1 / b0) / 2)
    to_b = torch.where(alike, (c0 * (a / b) + c * (a0 / b0)) / squares, (a + a0) / 2 / b / b0)
    return (gradient * to_a).sum_to_size(a.shape), (-gradient * to_b).sum_to_size(b.shape)


def softmax(gradient: Tensor, x: Tensor, x0: Tensor, dim: int) -> Tensor:
    """exp(x - l) with l the logarithm of sum(exp(x)).

    Unlike those of exp(x) / sum(exp(x)), none of its steps leaves the range of numbers where image and
    reference differ much.
    """
    total = _total(x, (dim,))
    p = (x - total).exp()
    if x is x0:
        return p * (gradient - (gradient * p).sum(dim, keepdim=True))
    total0 = _total(x0, (dim,))
    p0 = (x0 - total0).exp()
    to_difference = gradient * slope(x - total, p, p, False, x0 - total0, p0)
    return to_difference - logsumexp(to_difference.sum(dim, keepdim=True), x, x0, (dim,))


def log_softmax(gradient: Tensor, x: Tensor, x0: Tensor, dim: int) -> Tensor:
    """x - l with l the logarithm of sum(exp(x))."""
    return gradient - logsumexp(gradient.sum(dim, keepdim=True), x, x0, (dim,))


def logsumexp(gradient: Tensor, x: Tensor, x0: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The logarithm of sum(exp(x)) over dimensions."""
    total = _total(x, dims)
    if x is x0:
        return restored(gradient, x, dims) * (x - total).exp()
    total0 = _total(x0, dims)
    shift = torch.maximum(total, total0)
    e, e0 = (x - shift).exp(), (x0 - shift).exp()
    s, s0 = e.sum(dims, keepdim=True), e0.sum(dims, keepdim=True)
    derivative = 1 / s.clamp(min=torch.finfo(s.dtype).tiny)
    to_sum = restored(gradient, x, dims) * slope(s, total, derivative, False, s0, total0)
    return to_sum * slope(x, e, e, False, x0, e0)


def vector_norm(gradient: Tensor, x: Tensor, x0: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The square root of sum(x^2) over dimensions."""
    n, n0 = (torch.linalg.vector_norm(t, dim=dims, keepdim=True) for t in (x, x0))
    return restored(gradient, x, dims) * _ratio(x + x0, n + n0)


def variance(gradient: Tensor, x: Tensor, x0: Tensor, dims: tuple[int, ...], correction: float) -> Tensor:
    """sum((x - mean)^2) / (count - correction) over dimensions."""
    u, u0 = (t - t.mean(dims, keepdim=True) for t in (x, x0))
    count = math.prod(x.shape[dim] for dim in dims)
    return restored(gradient, x, dims) * (u + u0) / (count - correction)


def deviation(gradient: Tensor, x: Tensor, x0: Tensor, dims: tuple[int, ...], correction: float) -> Tensor:
    """The square root of the variance."""
    s, s0 = (t.std(dims, correction=correction, keepdim=True) for t in (x, x0))
    return variance(_ratio(restored(gradient, x, dims), s + s0), x, x0, dims, correction)


def standardised(gradient: Tensor, x: Tensor, x0: Tensor, eps: float, centred: bool) -> Tensor:
    """u / sqrt(mean(u^2) + eps) along the last dimension, with u = x less its mean, or x itself.

    The quotient u / s with its own shares, and s the root of the variance.
    """
    u, u0 = (t - t.mean(-1, keepdim=True) if centred else t for t in (x, x0))
    s, s0 = ((t.square().mean(-1, keepdim=True) + eps).sqrt() for t in (u, u0))
    to_root = (gradient * (u * (s0 / s) + u0 * (s / s0))).mean(-1, keepdim=True)
    to_u = ((s + s0) * gradient - to_root * (u + u0) / (s + s0)) / (s.square() + s0.square())
    return to_u - to_u.mean(-1, keepdim=True) if centred else to_u


def largest(gradient: Tensor, x: Tensor, x0: Tensor, dims: tuple[int, ...], first: bool) -> Tensor:
    """The maximum over dimensions, owed to the ``first`` of its cells or to all of them alike.

    The difference belongs to the image's largest cell where the maximum rose, and to the reference's where
    it fell: there the input differs at least as much, so the ratio exists.
    """
    gradient = restored(gradient, x, dims)
    y, y0 = x.amax(dims, keepdim=True), x0.amax(dims, keepdim=True)
    cells, cells0 = _largest_cells(x, y, dims, first), _largest_cells(x0, y0, dims, first)
    contributions = gradient * (y - y0) * torch.where(y >= y0, cells, cells0)
    dx = x - x0
    return torch.where(dx != 0, contributions / torch.where(dx != 0, dx, 1.0), gradient * cells)


def attention(gradient: Tensor, *tensors: Tensor, scale: float, causal: bool) -> tuple[Tensor | None, ...]:
    """softmax(q k' scale + mask) v; keys and values may have fewer heads than queries.

    ``tensors`` are query, key, value and, where there is one, the mask, followed by the reference's.
    """
    half = len(tensors) // 2
    q, k, v, *masks = tensors[:half]
    q0, k0, v0, *masks0 = tensors[half:]
    key_shape, value_shape = k.shape, v.shape
    k, v, k0, v0 = (_for_each_head(t, q) for t in (k, v, k0, v0))
    s = s0 = _similarities(q, k, masks, scale, causal)
    p = p0 = (s - _total(s, (-1,))).exp()
    if q is not q0:
        s0 = _similarities(q0, k0, masks0, scale, causal)
        p0 = (s0 - _total(s0, (-1,))).exp()
    to_v = ((p + p0) / 2).mT @ gradient
    to_s = softmax(gradient @ ((v + v0) / 2).mT, s, s0, -1)
    to_q, to_k = to_s @ (k + k0) * (scale / 2), to_s.mT @ (q + q0) * (scale / 2)
    to_masks = (to_s.sum_to_size(mask.shape) if mask.is_floating_point() else None for mask in masks)
    return to_q.sum_to_size(q.shape), _of_each(to_k, key_shape), _of_each(to_v, value_shape), *to_masks


def restored(gradient: Tensor, x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """A reduced tensor with the dimensions, of size one, over which x was reduced."""
    if gradient.ndim == x.ndim:
        return gradient
    for dim in sorted(d % x.ndim for d in dims):
        gradient = gradient.unsqueeze(dim)
    return gradient


def _total(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The logarithm of sum(exp(x)), and 0 in its place where everything is masked, with -inf."""
    total = x.logsumexp(dims, keepdim=True)
    return total.masked_fill(total == -torch.inf, 0)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b != 0, a / torch.where(b != 0, b, 1.0), 0.0)


def _largest_cells(x: Tensor, y: Tensor, dims: tuple[int, ...], first: bool) -> Tensor:
    """Shares, which add up to 1, of the cells that have the maximum."""
    if first:
        (dim,) = dims
        return torch.zeros_like(x).scatter_(dim, x.max(dim, keepdim=True).indices, 1.0)
    cells = (x == y).to(x.dtype)
    return cells / cells.sum(dims, keepdim=True)


def _similarities(query: Tensor, key: Tensor, masks: list[Tensor], scale: float, causal: bool) -> Tensor:
    scores: Tensor = query @ key.mT * scale
    if causal:
        masks = [torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()]
    for mask in masks:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores


def _for_each_head(shared: Tensor, query: Tensor) -> Tensor:
    """Keys or values of which one serves several of the query's heads, once for each of these."""
    if query.ndim < 4 or shared.shape[-3] in (1, query.shape[-3]):
        return shared
    return shared.repeat_interleave(query.shape[-3] // shared.shape[-3], dim=-3)


def _of_each(gradient: Tensor, shape: torch.Size) -> Tensor:
    """The way back of `_for_each_head`, and of broadcasting."""
    if len(shape) > 3 and shape[-3] not in (1, gradient.shape[-3]):
        gradient = gradient.unflatten(-3, (shape[-3], -1)).sum(-3)
    return gradient.sum_to_size(shape)
