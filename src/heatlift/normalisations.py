"""Steps that bring numbers to a common scale: softmax, and layer, group, instance and RMS norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift import multipliers
from heatlift.backward import wide
from heatlift.steps import Pass, compound


def softmax(log: bool, rules: Pass, x: Tensor, dim: int | None = None, *args: Any, **kwargs: Any) -> Any:
    """Softmax along a dimension, or its logarithm."""
    if dim is None:
        return None
    given = [v for v in (*args, kwargs.get("dtype")) if isinstance(v, torch.dtype)]
    dtype = given[0] if given else None

    def function(t: Tensor) -> Tensor:
        return t.log_softmax(dim, dtype=dtype) if log else t.softmax(dim, dtype=dtype)

    def backward(gradient: Tensor, x: Tensor, x0: Tensor) -> Tensor:
        fine = torch.promote_types(x.dtype, gradient.dtype)
        through = multipliers.log_softmax if log else multipliers.softmax
        return through(gradient, x.to(fine), x0.to(fine), dim)

    return compound(rules, "softmax", function, backward, x, whole=dim % max(1, x.ndim) == 0)


def layer_norm(
    rules: Pass,
    x: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *args: Any,
) -> Any:
    """Layer norm over the last dimensions."""

    def function(t: Tensor) -> Tensor:
        return F.layer_norm(t, normalized_shape, weight, bias, eps)

    rows = _last(x, normalized_shape)
    return _normalised(rules, "layer_norm", x, function, weight, bias, weight, rows, eps)


def rms_norm(
    rules: Pass,
    x: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    """RMS norm over the last dimensions: layer norm that leaves the mean where it is."""

    def function(t: Tensor) -> Tensor:
        return F.rms_norm(t, normalized_shape, weight, eps)

    rows = _last(x, normalized_shape)
    # What torch takes where nothing is said, in half precision as well.
    eps = torch.finfo(wide(x).dtype).eps if eps is None else eps
    return _normalised(rules, "rms_norm", x, function, weight, None, weight, rows, eps, centred=False)


def group_norm(
    rules: Pass,
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *args: Any,
) -> Any:
    """Group norm: each group of channels with all its places."""

    def function(t: Tensor) -> Tensor:
        return F.group_norm(t, num_groups, weight, bias, eps)

    rows = (x.shape[0], num_groups, -1)
    return _normalised(rules, "group_norm", x, function, weight, bias, _per_channel(weight, x), rows, eps)


def instance_norm(
    rules: Pass,
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Instance norm by the image's own statistics: each channel with all its places."""
    if not use_input_stats:
        return None  # linear, as batch norm is

    def function(t: Tensor) -> Tensor:
        return F.instance_norm(t, running_mean, running_var, weight, bias, True, momentum, eps)

    rows = (*x.shape[:2], -1)
    return _normalised(rules, "instance_norm", x, function, weight, bias, _per_channel(weight, x), rows, eps)


def _normalised(
    rules: Pass,
    name: str,
    x: Tensor,
    function: Callable[[Tensor], Tensor],
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    rows: tuple[int, ...],
    eps: float,
    centred: bool = True,
) -> Any:
    """A norm whose mean and variance are those of the last dimension, in the shape ``rows``.

    ``scale`` is the weight in a shape that fits the input's.
    """
    if not rules.recording and any(t is not None and t.requires_grad for t in (weight, bias)):
        rules.reference(name, x)
        return None  # the weights depend on the image as well: no rule

    def backward(gradient: Tensor, x: Tensor, x0: Tensor) -> Tensor:
        gradient = gradient if scale is None else gradient * wide(scale)
        reference = x0.reshape(len(x0), *rows[1:])
        found = multipliers.standardised(gradient.reshape(rows), x.reshape(rows), reference, eps, centred)
        return found.reshape(x.shape)

    return compound(rules, name, function, backward, x)


def _last(x: Tensor, normalized_shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*x.shape[: x.ndim - len(normalized_shape)], math.prod(normalized_shape))


def _per_channel(weight: Tensor | None, x: Tensor) -> Tensor | None:
    return None if weight is None else weight.view(1, -1, *[1] * (x.ndim - 2))
