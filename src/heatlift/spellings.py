"""Which functions of torch are which step: every spelling of every function that has a backward rule."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift import normalisations, products, reductions
from heatlift.steps import Pass, Step, elementwise, max_pool, power

ELEMENTWISE = (
    "relu relu6 leaky_relu elu selu celu silu gelu sigmoid tanh hardswish hardsigmoid hardtanh softplus "
    "prelu mish logsigmoid softsign softshrink hardshrink threshold clamp clamp_min clamp_max clip "
    "square sqrt rsqrt exp log abs erf reciprocal sin cos expm1 log1p"
).split()

ALIASES = {"axis": "dim", "keepdims": "keepdim", "mat2": "other", "ord": "order"}
"""Torch's names of arguments where steps have another: after numpy, of some functions, a builtin's."""


def taken(rules: Pass, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result of the step that a function is, or None where torch's own shall run."""
    step = STEPS[function]
    named = {ALIASES.get(name, name): value for name, value in kwargs.items()}
    if "input" in named:
        args = (named.pop("input"), *args)
    try:
        _signature(function).bind(rules, *args, **named)
    except TypeError:
        return None  # a form of call that the step does not know
    return step(rules, *args, **named)


@cache
def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(STEPS[function])


def _spelled(names: str, *places: Any) -> list[Any]:
    """The functions of these names, wherever there are any."""
    return [getattr(place, name) for name in names.split() for place in places if hasattr(place, name)]


def _elementwise() -> dict[Any, Step]:
    steps: dict[Any, Step] = {}
    for name in ELEMENTWISE:
        for place in (F, torch, Tensor, torch.special):
            pure = getattr(place, name, None)
            if pure is not None:
                steps[pure] = partial(elementwise, name, pure, False)
                writing = getattr(place, name + "_", None)
                if writing is not None:
                    steps[writing] = partial(elementwise, name, pure, True)
    steps |= dict.fromkeys((torch.pow, Tensor.pow), partial(power, False))
    steps[Tensor.pow_] = partial(power, True)
    return steps


def _pooling() -> dict[Any, Step]:
    steps: dict[Any, Step] = {}
    for name in (
        "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d".split()
    ):
        step = partial(max_pool, getattr(F, name + "_with_indices"))
        steps |= dict.fromkeys(_spelled(name, F, torch), step)
    return steps


def _products() -> dict[Any, Step]:
    steps: dict[Any, Step] = {torch.einsum: products.einsum, F.bilinear: products.bilinear}
    steps |= dict.fromkeys(
        _spelled("mul multiply __mul__", torch, Tensor), partial(products.multiplication, False, False)
    )
    steps |= dict.fromkeys(
        _spelled("mul_ multiply_ __imul__", Tensor), partial(products.multiplication, True, False)
    )
    steps[Tensor.__rmul__] = partial(products.multiplication, False, True)
    steps |= dict.fromkeys(
        _spelled("div divide true_divide __truediv__", torch, Tensor), partial(products.division, False)
    )
    steps |= dict.fromkeys(
        _spelled("div_ divide_ true_divide_ __itruediv__", Tensor), partial(products.division, True)
    )
    for name in "matmul bmm mm mv inner outer".split():
        steps |= dict.fromkeys(_spelled(name, torch, Tensor), partial(products.product, getattr(torch, name)))
    steps[Tensor.__matmul__] = partial(products.product, torch.matmul)
    for name in "baddbmm addbmm addmm addmv addcmul".split():
        step = partial(products.sum_with_product, getattr(torch, name))
        steps |= dict.fromkeys(_spelled(name, torch, Tensor), step)
    steps[F.scaled_dot_product_attention] = products.attention
    return steps


def _reductions() -> dict[Any, Step]:
    steps: dict[Any, Step] = {torch.linalg.vector_norm: reductions.vector_norm}
    for function in (torch.linalg.norm, torch.linalg.matrix_norm):
        steps[function] = partial(reductions.norm, function)
    for name in "var std var_mean std_mean".split():
        step = partial(reductions.variance, getattr(torch, name))
        steps |= dict.fromkeys(_spelled(name, torch, Tensor), step)
    for name in "max amax".split():
        step = partial(reductions.maximum, getattr(torch, name))
        steps |= dict.fromkeys(_spelled(name, torch, Tensor), step)
    steps |= dict.fromkeys(_spelled("logsumexp", torch, Tensor, torch.special), reductions.logsumexp)
    return steps


def _normalisations() -> dict[Any, Step]:
    steps: dict[Any, Step] = {}
    everywhere = (F, torch, Tensor, torch.special)
    steps |= dict.fromkeys(_spelled("softmax", *everywhere), partial(normalisations.softmax, False))
    steps |= dict.fromkeys(_spelled("log_softmax", *everywhere), partial(normalisations.softmax, True))
    steps |= dict.fromkeys(_spelled("layer_norm", F, torch), normalisations.layer_norm)
    steps |= dict.fromkeys(_spelled("group_norm", F, torch), normalisations.group_norm)
    steps |= dict.fromkeys(_spelled("rms_norm", F, torch), normalisations.rms_norm)
    steps[F.instance_norm] = normalisations.instance_norm
    return steps


STEPS: Mapping[Any, Step] = _elementwise() | _pooling() | _products() | _reductions() | _normalisations()
"""Every function that has a rule, in every spelling -> its step."""
