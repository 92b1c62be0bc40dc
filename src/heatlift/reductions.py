"""Steps that bring dimensions down to one number each: vector norms, variances, maxima, sums of exponentials.

A reduction over the first dimension mixes images: there one reference can't stand for a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from heatlift import multipliers
from heatlift.steps import Pass, compound


def vector_norm(
    rules: Pass,
    x: Tensor,
    order: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Any:
    """A vector's Euclidean length; other norms have no rule."""
    if order != 2 or not _plain(dtype, x):
        return None
    return _reduced(
        rules,
        "vector_norm",
        lambda t: torch.linalg.vector_norm(t, 2, dim, keepdim),
        multipliers.vector_norm,
        x,
        _dims(dim, x),
    )


def norm(
    function: Callable[..., Tensor],
    rules: Pass,
    x: Tensor,
    order: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Any:
    """The other functions of `torch.linalg`, where they come to the length of a vector."""
    if function is torch.linalg.matrix_norm:
        order, dim = ("fro" if order is None else order), (-2, -1) if dim is None else dim
    of_vectors = isinstance(dim, int) or (isinstance(dim, tuple | list) and len(dim) == 1) or x.ndim == 1
    if order not in (None, "fro", 2) or (order == 2 and not of_vectors) or not _plain(dtype, x):
        return None
    return _reduced(
        rules,
        "vector_norm",
        lambda t: function(t, order, dim, keepdim),
        multipliers.vector_norm,
        x,
        _dims(dim, x),
    )


def variance(function: Callable[..., Any], rules: Pass, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Variance or standard deviation, alone or with the mean."""
    if args and isinstance(args[0], bool):
        dim, unbiased = None, args[0]
    else:
        dim = args[0] if args else kwargs.get("dim")
        unbiased = args[1] if len(args) > 1 else kwargs.get("unbiased", True)
    correction = kwargs.get("correction")
    if correction is None:
        correction = int(unbiased)
    dims = _dims(dim, x)
    found = partial(
        multipliers.variance if "var" in function.__name__ else multipliers.deviation,
        dims=dims,
        correction=correction,
    )

    def with_mean(to_spread: Tensor, to_mean: Tensor, x: Tensor, x0: Tensor) -> Tensor:
        count = x.numel() // to_mean.numel()
        return found(to_spread, x, x0) + multipliers.restored(to_mean, x, dims) / count

    return compound(
        rules,
        function.__name__,
        lambda t: function(t, *args, **kwargs),
        with_mean if "mean" in function.__name__ else found,
        x,
        whole=0 in dims,
    )


def maximum(
    function: Callable[..., Any],
    rules: Pass,
    x: Tensor,
    dim: Any = None,
    keepdim: bool = False,
) -> Any:
    """The maximum over one dimension (``max``, with its place), several (``amax``) or all."""
    if isinstance(dim, Tensor):
        return None  # the larger of two tensors
    if not rules.recording and _beside_a_constant(x):
        rules.reference("max", x)
        return None  # with 0 for the constant a ReLU
    if function is torch.amax or dim is None:
        largest = (
            torch.max
            if function is torch.max
            else partial(torch.amax, dim=() if dim is None else dim, keepdim=keepdim)
        )
        return _reduced(rules, "max", largest, partial(multipliers.largest, first=False), x, _dims(dim, x))

    def of_values(gradient: Tensor, _: Tensor, x: Tensor, x0: Tensor, dims: tuple[int, ...]) -> Tensor:
        return multipliers.largest(gradient, x, x0, dims, first=True)

    found = _reduced(rules, "max", lambda t: torch.max(t, dim, keepdim), of_values, x, _dims(dim, x))
    return None if found is None else torch.return_types.max(found)


def logsumexp(rules: Pass, x: Tensor, dim: Any, keepdim: bool = False) -> Any:
    """The logarithm of a sum of exponentials."""
    return _reduced(
        rules,
        "logsumexp",
        lambda t: torch.logsumexp(t, dim, keepdim),
        multipliers.logsumexp,
        x,
        _dims(dim, x),
    )


def _reduced(
    rules: Pass,
    name: str,
    function: Callable[[Tensor], Any],
    backward: Callable[..., Tensor],
    x: Tensor,
    dims: tuple[int, ...],
) -> Any:
    return compound(rules, name, function, partial(backward, dims=dims), x, whole=0 in dims)


def _beside_a_constant(x: Tensor) -> bool:
    """Whether a tensor was put together from others of which not all depend on the image."""
    node = x.grad_fn
    if node is None or not node.name().startswith(("Stack", "Cat", "ConstantPad")):
        return False
    return node.name().startswith("ConstantPad") or any(part is None for part, _ in node.next_functions)


def _dims(dim: Any, x: Tensor) -> tuple[int, ...]:
    """The dimensions that a reduction names, counted from the first; none named means all."""
    named = (dim,) if isinstance(dim, int) else tuple(dim or range(x.ndim))
    return tuple(d % x.ndim for d in named)


def _plain(dtype: torch.dtype | None, x: Tensor) -> bool:
    return dtype in (None, x.dtype) and x.ndim > 0
