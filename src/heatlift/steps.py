"""The steps of a network that have a backward rule: what is done when such a function is called.

A step ``(rules, *args, **kwargs)`` gives the function's result, or None where nothing is to be done and
torch's own function shall run: the call is linear in the image, or of a form that has no rule.
`heatlift.graph` then finds it. `heatlift.spellings` says which function is which step. Here are the pass they
are met in, and the simplest of them: functions of one number, and pooling.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from heatlift.backward import Call, Compound, Elementwise, MaxPool, Multipliers, Tape, wide


class Pass(Protocol):
    """What a step needs to know of the forward pass in which it is met: `heatlift.rules.Rules`."""

    tape: Tape
    relu_calls: int

    @property
    def recording(self) -> bool:
        """Whether this is the reference's own pass."""

    def keep(self, name: str, *inputs: Tensor, outputs: tuple[Tensor, ...] = ()) -> None:
        """On the reference's pass: keep a call."""

    def reference(self, name: str, *inputs: Tensor, whole: bool = False) -> Call | None:
        """On the image's pass: the reference's own call that corresponds to this one."""


Step: TypeAlias = "Callable[..., Any]"

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


def power(writes: bool, rules: Pass, base: Any, exponent: Any) -> Tensor | None:
    """One number to the power of another, where one of the two is the same for the whole tensor."""
    if isinstance(base, Tensor) and (not isinstance(exponent, Tensor) or exponent.numel() == 1):
        return elementwise("pow", torch.pow, writes, rules, base, exponent)
    if isinstance(exponent, Tensor) and not isinstance(base, Tensor):
        return elementwise("exponential", lambda t: torch.pow(base, t), writes, rules, exponent)
    return None


def max_pool(with_indices: Callable[..., Any], rules: Pass, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Max-pooling whose indices nobody asked for."""
    if kwargs.pop("return_indices", False):
        return None
    name = with_indices.__name__.removesuffix("_with_indices")

    def pool(t: Tensor) -> tuple[Tensor, Tensor]:
        y, indices = with_indices(t, *args, **kwargs)
        return y, indices

    if rules.recording:
        y, indices = pool(x)
        rules.keep(name, x, outputs=(y, indices))
        return y
    reference = rules.reference(name, x)
    if not x.requires_grad:
        return None
    return MaxPool.apply(x, pool, int(name[-2]), rules.tape, reference)


def compound(
    rules: Pass,
    name: str,
    function: Callable[..., Any],
    multipliers: Multipliers,
    *inputs: Tensor,
    whole: bool = False,
) -> Any:
    """A step of one or several inputs, with what it passes back to each.

    ``whole`` says that it mixes what lies along the first dimension.
    """
    if rules.recording:
        rules.keep(name, *inputs)
        return None
    reference = rules.reference(name, *inputs, whole=whole)
    if not any(x.requires_grad for x in inputs):
        return None
    return Compound.apply(function, multipliers, rules.tape, reference, *inputs)


def _is_relu(function: Callable[[Tensor], Tensor], like: Tensor) -> bool:
    """Whether a function is a ReLU near zero, so that capped ReLUs and clamps count by what they do."""
    # Half precision would take the small bound of a clamp for zero.
    probe = wide(torch.tensor([-1e3, -1.0, -1e-3, 1e-3, 0.5], dtype=like.dtype, device=like.device))
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

    def function(t: Tensor) -> Tensor:
        # On the way back the input comes in single precision where it was in half, and so must the others.
        others = args[1:] if wide(t) is not t else [wide(v) if isinstance(v, Tensor) else v for v in args[1:]]
        return pure(t, *others, **kwargs)

    return args[0], function, writes


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # built-in functions have none, and no argument "inplace" either
        return None
