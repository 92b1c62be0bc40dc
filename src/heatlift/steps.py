"""The non-linear functions of torch that have a backward rule, each with what is done when it is called.

`STEPS` maps every spelling of a function to a step ``(rules, *args, **kwargs)`` that gives the result, or
None where nothing is to be done and torch's own function shall run: the call is linear in the image, or
of a form that has no rule. `heatlift.graph` then finds it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.backward import (
    Attention,
    Bilinear,
    Call,
    Division,
    Elementwise,
    MaxPool,
    Normalisation,
    Softmax,
    Tape,
)


class Pass(Protocol):
    """What a step needs to know of the forward pass in which it is met: `heatlift.rules.Rules`."""

    tape: Tape
    relu_calls: int

    @property
    def recording(self) -> bool:
        """Whether this is the reference's own pass."""

    def keep(self, name: str, *inputs: Tensor, outputs: tuple[Tensor, ...] = ()) -> None:
        """On the reference's pass: keep a call."""

    def reference(self, name: str, *inputs: Tensor) -> Call | None:
        """On the image's pass: the reference's own call that corresponds to this one."""


Step: TypeAlias = "Callable[..., Tensor | None]"

ELEMENTWISE = (
    "relu relu6 leaky_relu elu selu celu silu gelu sigmoid tanh hardswish hardsigmoid hardtanh softplus "
    "prelu mish logsigmoid softsign softshrink hardshrink threshold clamp clamp_min clamp_max clip "
    "square sqrt rsqrt exp log abs erf reciprocal"
).split()

RELU_LIKE = {"relu", "relu6", "hardtanh", "threshold", "clamp", "clamp_min", "clip"}
"""Functions that are a ReLU, capped or not, for some of their arguments: see `_is_relu`."""


def elementwise(
    name: str, pure: Callable[..., Tensor], writes: bool, rules: Pass, *args: Any, **kwargs: Any
) -> Tensor | None:
    """A function of one input, element by element; ``pure`` is the variant that writes nothing."""
    x, function, in_place = _bound(pure, writes, args, kwargs)
    if rules.recording:
        before = x.clone() if in_place else x
        y = function(before)
        rules.keep(name, before, outputs=(y,))
        return x.copy_(y) if in_place else y
    reference = rules.reference(name, x)
    others = [v for v in (*args[1:], *kwargs.values()) if isinstance(v, Tensor)]
    if not x.requires_grad or any(v.requires_grad for v in others) or (others and name in RELU_LIKE):
        # Nothing to do; or a function of two inputs, or a bound that may or may not make it a ReLU: no rule.
        return None
    relu = name in RELU_LIKE and _is_relu(function, x)
    rules.relu_calls += relu
    result: Tensor = Elementwise.apply(x, function, rules.tape, relu, in_place, reference)
    return result


def max_pool(with_indices: Callable[..., Any], rules: Pass, *args: Any, **kwargs: Any) -> Tensor | None:
    """Max-pooling whose indices nobody asked for."""
    if kwargs.get("return_indices"):
        return None
    x, *rest = args or (kwargs["input"],)
    kwargs = {k: v for k, v in kwargs.items() if k not in ("input", "return_indices")}
    name = with_indices.__name__.removesuffix("_with_indices")

    def pool(t: Tensor) -> tuple[Tensor, Tensor]:
        y, indices = with_indices(t, *rest, **kwargs)
        return y, indices

    if rules.recording:
        y, indices = pool(x)
        rules.keep(name, x, outputs=(y, indices))
        return y
    reference = rules.reference(name, x)
    if not x.requires_grad:
        return None
    result: Tensor = MaxPool.apply(x, pool, 1 if "1d" in name else 2, rules.tape, reference)
    return result


def product(
    function: Callable[..., Tensor],
    in_place: bool,
    swapped: bool,
    rules: Pass,
    *args: Any,
    **kwargs: Any,
) -> Tensor | None:
    """A product, or matrix product, of two tensors that both depend on the image."""
    a, b = reversed(args) if swapped else args if len(args) == 2 else (None, None)
    if kwargs or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return None
    kept = a.clone() if in_place else a
    if rules.recording:
        rules.keep(function.__name__, kept, b)
        return None
    reference = rules.reference(function.__name__, a, b)
    if not (a.requires_grad and b.requires_grad):
        return None
    result: Tensor = Bilinear.apply(kept, b, function, rules.tape, reference)
    return a.copy_(result) if in_place else result


def division(in_place: bool, rules: Pass, a: Any, b: Any, **kwargs: Any) -> Tensor | None:
    """A quotient of two tensors that both depend on the image."""
    if kwargs or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return None
    kept = a.clone() if in_place else a
    if rules.recording:
        rules.keep("div", kept, b)
        return None
    reference = rules.reference("div", a, b)
    if not b.requires_grad:
        return None
    result: Tensor = Division.apply(kept, b, rules.tape, reference)
    return a.copy_(result) if in_place else result


def softmax(rules: Pass, x: Tensor, dim: int | None = None, *args: Any, **kwargs: Any) -> Tensor | None:
    """Softmax along a dimension, in the input's own type."""
    if dim is None or kwargs.get("dtype") is not None:
        return None
    if rules.recording:
        rules.keep("softmax", x)
        return None
    result: Tensor = Softmax.apply(x, dim, rules.tape, rules.reference("softmax", x))
    return result


def layer_norm(
    rules: Pass,
    x: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *args: Any,
) -> Tensor | None:
    """Layer norm over the last dimensions."""

    def function(t: Tensor) -> Tensor:
        return F.layer_norm(t, normalized_shape, weight, bias, eps)

    rows = (*x.shape[: x.ndim - len(normalized_shape)], math.prod(normalized_shape))
    return _normalised(rules, "layer_norm", x, function, weight, rows, eps)


def group_norm(
    rules: Pass,
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *args: Any,
) -> Tensor | None:
    """Group norm: each group of channels with all its places."""

    def function(t: Tensor) -> Tensor:
        return F.group_norm(t, num_groups, weight, bias, eps)

    per_channel = None if weight is None else weight.view(1, -1, *[1] * (x.ndim - 2))
    return _normalised(rules, "group_norm", x, function, per_channel, (x.shape[0], num_groups, -1), eps)


def _normalised(
    rules: Pass,
    name: str,
    x: Tensor,
    function: Callable[[Tensor], Tensor],
    weight: Tensor | None,
    rows: tuple[int, ...],
    eps: float,
) -> Tensor | None:
    """A norm whose mean and variance are those of the last dimension, in the shape ``rows``."""
    if rules.recording:
        rules.keep(name, x)
        return None
    reference = rules.reference(name, x)
    result: Tensor = Normalisation.apply(x, function, weight, rows, eps, rules.tape, reference)
    return result


def attention(
    rules: Pass,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor | None:
    """Scaled dot-product attention in which every token may attend to every other."""
    if dropout_p or is_causal or enable_gqa or (attn_mask is not None and attn_mask.dtype == torch.bool):
        return None
    if rules.recording:
        rules.keep("attention", query, key, value)
        return None
    result: Tensor = Attention.apply(
        query,
        key,
        value,
        attn_mask,
        1 / math.sqrt(query.shape[-1]) if scale is None else scale,
        rules.tape,
        rules.reference("attention", query, key, value),
    )
    return result


def _is_relu(function: Callable[[Tensor], Tensor], like: Tensor) -> bool:
    """Whether a function is a ReLU near zero, so that capped ReLUs and clamps count by what they do."""
    probe = torch.tensor([-1e3, -1.0, -1e-3, 1e-3, 0.5], dtype=like.dtype, device=like.device)
    return torch.equal(function(probe), probe.clamp(min=0))


def _bound(
    pure: Callable[..., Tensor], writes: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, Callable[[Tensor], Tensor], bool]:
    """A call taken apart: its input, a function of that input that writes nothing, and whether it wrote."""
    signature = _signature(pure)
    if signature is not None and "inplace" in signature.parameters:
        bound = signature.bind(*args, **kwargs)
        writes = writes or bool(bound.arguments.get("inplace", False))
        bound.arguments["inplace"] = False
        args, kwargs = bound.args, bound.kwargs
    kwargs = dict(kwargs)
    x = args[0] if args else kwargs.pop("input")
    return x, lambda t: pure(t, *args[1:], **kwargs), writes


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # built-in functions have none, and no argument "inplace" either
        return None


def _steps() -> dict[Any, Step]:
    """Every spelling of every function that has a rule."""
    steps: dict[Any, Step] = {}
    for name in ELEMENTWISE:
        for place in (F, torch, Tensor, torch.special):
            pure = getattr(place, name, None)
            if pure is not None:
                steps[pure] = partial(elementwise, name, pure, False)
                writing = getattr(place, name + "_", None)
                if writing is not None:
                    steps[writing] = partial(elementwise, name, pure, True)
    pooling: tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...] = (
        (F.max_pool1d_with_indices, (F.max_pool1d, torch.max_pool1d)),
        (F.max_pool2d_with_indices, (F.max_pool2d, torch.max_pool2d)),
        (F.adaptive_max_pool2d_with_indices, (F.adaptive_max_pool2d,)),
    )
    for with_indices, spellings in pooling:
        steps |= dict.fromkeys(spellings, partial(max_pool, with_indices))
    products: tuple[tuple[Callable[..., Tensor], tuple[Any, ...]], ...] = (
        (torch.mul, (torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__)),
        (torch.matmul, (torch.matmul, Tensor.matmul, Tensor.__matmul__)),
        (torch.bmm, (torch.bmm, Tensor.bmm)),
    )
    for function, spellings in products:
        steps |= dict.fromkeys(spellings, partial(product, function, False, False))
    steps[Tensor.__rmul__] = partial(product, torch.mul, False, True)
    steps |= dict.fromkeys((Tensor.mul_, Tensor.__imul__), partial(product, torch.mul, True, False))
    quotients = (torch.div, torch.true_divide, Tensor.div, Tensor.__truediv__)
    steps |= dict.fromkeys(quotients, partial(division, False))
    steps |= dict.fromkeys((Tensor.div_, Tensor.__itruediv__), partial(division, True))
    steps |= dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax), softmax)
    steps |= dict.fromkeys((F.layer_norm, torch.layer_norm), layer_norm)
    steps |= dict.fromkeys((F.group_norm, torch.group_norm), group_norm)
    steps[F.scaled_dot_product_attention] = attention
    return steps


STEPS: Mapping[Any, Step] = _steps()
"""Every function that has a rule, in every spelling -> its step."""
