"""Steps of several tensors that all depend on the image: products of all kinds, quotients, attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift import multipliers
from heatlift.backward import Compound, Multipliers
from heatlift.steps import Pass, compound


def multiplication(in_place: bool, swapped: bool, rules: Pass, a: Any, other: Any) -> Tensor | None:
    """A product, element by element, of two tensors that both depend on the image."""
    a, b = (other, a) if swapped else (a, other)
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return None
    linear = not (a.requires_grad and b.requires_grad)
    return _of_two(rules, "mul", torch.mul, multipliers.product, in_place, linear, a, b)


def division(in_place: bool, rules: Pass, a: Any, other: Any) -> Tensor | None:
    """A quotient whose divisor depends on the image."""
    if not (isinstance(a, Tensor) and isinstance(other, Tensor)):
        return None
    linear = not other.requires_grad
    return _of_two(rules, "div", torch.div, multipliers.quotient, in_place, linear, a, other)


def product(function: Callable[..., Tensor], rules: Pass, a: Any, other: Any) -> Tensor | None:
    """A matrix product of two tensors that both depend on the image."""
    if not (isinstance(a, Tensor) and isinstance(other, Tensor)):
        return None
    return _degree_two(rules, function.__name__, function, a, other)


def sum_with_product(
    function: Callable[..., Tensor], rules: Pass, x: Tensor, a: Tensor, b: Tensor, **factors: float
) -> Tensor | None:
    """A tensor plus the product of two others, such as ``baddbmm``."""
    return _degree_two(rules, function.__name__, partial(function, **factors), x, a, b)


def einsum(rules: Pass, equation: Any, *operands: Any) -> Tensor | None:
    """An Einstein sum in which two of the operands depend on the image."""
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or len(operands) < 2:
        return None

    def function(*tensors: Tensor) -> Tensor:
        result: Tensor = torch.einsum(equation, *tensors)
        return result

    terms, explicit, kept = equation.replace(" ", "").partition("->")
    kept = kept if explicit else "".join(letter for letter in terms if terms.count(letter) == 1)
    summed = [x for x, term in zip(operands, terms.split(","), strict=False) if term[:1] not in kept]
    whole = any(x.requires_grad for x in summed)
    return _degree_two(rules, "einsum", function, *operands, degree=len(operands), whole=whole)


def bilinear(rules: Pass, a: Tensor, b: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    """A weighted product of two tensors that both depend on the image."""

    def function(*tensors: Tensor) -> Tensor:
        return F.bilinear(*tensors)

    inputs = (a, b, weight) if bias is None else (a, b, weight, bias)
    return _degree_two(rules, "bilinear", function, *inputs, degree=3)


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
    """Scaled dot-product attention without dropout."""
    if dropout_p:
        return None

    def function(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(
            query, key, value, mask, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )

    found: Tensor | None = compound(
        rules,
        "attention",
        function,
        partial(
            multipliers.attention,
            scale=1 / math.sqrt(query.shape[-1]) if scale is None else scale,
            causal=is_causal,
        ),
        *(query, key, value) if attn_mask is None else (query, key, value, attn_mask),
    )
    return found


def _degree_two(
    rules: Pass,
    name: str,
    function: Callable[..., Tensor],
    *inputs: Tensor,
    degree: int = 2,
    whole: bool = False,
) -> Tensor | None:
    """A function of degree two in those of its inputs that depend on the image, if it is one.

    ``degree`` is the function's degree in all of them together; ``whole`` says that it mixes what lies along
    the first dimension.
    """
    if rules.recording:
        rules.keep(name, *inputs)
        return None
    reference = rules.reference(name, *inputs, whole=whole)
    wanted = tuple(x.requires_grad for x in inputs)
    if sum(wanted) < 2 or (sum(wanted) > 2 and degree > 2):
        return None
    backward = partial(multipliers.half_way, function, wanted)
    result: Tensor = Compound.apply(function, backward, rules.tape, reference, *inputs)
    return result


def _of_two(
    rules: Pass,
    name: str,
    function: Callable[..., Tensor],
    backward: Multipliers,
    in_place: bool,
    linear: bool,
    a: Tensor,
    b: Tensor,
) -> Tensor | None:
    """A step of two tensors, element by element, unless it is ``linear`` in the image."""
    if linear and not rules.recording:
        rules.reference(name, a, b)
        return None
    result: Tensor | None = compound(rules, name, function, backward, a.clone() if in_place else a, b)
    return a.copy_(result) if in_place and result is not None else result
