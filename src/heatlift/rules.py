"""Backward rules that are chosen after the forward pass, without touching the network.

A `Rules` block intercepts the non-linear functions that a network calls, whatever module or
function they come from, and puts our own in their place: the forward values are the same, and the
backward pass follows the rule of the moment. One forward pass so serves several rules:

- ``plain``: the gradient.
- ``guided``: at a ReLU the gradient where both the input and the gradient are positive
  (Springenberg et al. 2015).
- ``deconvolution``: at a ReLU the gradient where the gradient is positive (Zeiler & Fergus 2014).
- ``rescale``: the ratio of differences from a reference input (DeepLIFT, Shrikumar et al. 2017).

What was not intercepted can't hide: `heatlift.graph` reads the graph that autograd recorded.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from heatlift.errors import Refused

Rule: TypeAlias = Literal["plain", "guided", "deconvolution", "rescale"]

ELEMENTWISE = (
    "relu relu6 leaky_relu elu selu celu silu gelu sigmoid tanh hardswish hardsigmoid hardtanh softplus "
    "prelu mish logsigmoid softsign tanhshrink softshrink hardshrink threshold clamp clamp_min clamp_max"
).split()

RELU_LIKE = {"relu", "relu6", "hardtanh", "threshold", "clamp", "clamp_min"}
"""Functions that are a ReLU, capped or not, for some of their arguments: see `_is_relu`."""

MAX_POOLING: dict[Any, tuple[str, Callable[..., Any]]] = {
    F.max_pool1d: ("max_pool1d", F.max_pool1d_with_indices),
    F.max_pool2d: ("max_pool2d", F.max_pool2d_with_indices),
    torch.max_pool1d: ("max_pool1d", F.max_pool1d_with_indices),
    torch.max_pool2d: ("max_pool2d", F.max_pool2d_with_indices),
    F.adaptive_max_pool2d: ("adaptive_max_pool2d", F.adaptive_max_pool2d_with_indices),
}


@dataclass
class Reference:
    """What a network's non-linear functions saw and gave on the reference inputs, in order of calls."""

    calls: list[tuple[str, Tensor, tuple[Tensor, ...]]] = field(default_factory=list)


class Rules(TorchFunctionMode):
    """A forward pass whose backward rule is chosen afterwards.

    Run the network inside ``with rules:``, then take gradients inside ``with rules.use("guided"):``.
    The forward values, in-place writes included, are those of the network itself.

    Args:
        record: fill this reference; no gradients are meant to be taken from such a pass.
        reference: the reference that the ``rescale`` rule takes differences from; it must come
            from a batch of the same shape.

    Attributes:
        relu_calls: how many ReLU calls that lead to the input the rules applied to.
        calls: the names of all intercepted functions, counted.
    """

    def __init__(self, *, record: Reference | None = None, reference: Reference | None = None) -> None:
        super().__init__()
        self.rule: Rule = "plain"
        self.relu_calls = 0
        self.calls: Counter[str] = Counter()
        self._record = record
        self._reference = reference
        self._position = 0

    @contextmanager
    def use(self, rule: Rule) -> Iterator[None]:
        """Backward passes inside follow this rule.

        Raises:
            Refused: ``rescale``, but the reference called other functions than this pass.
        """
        if rule == "rescale" and (self._reference is None or self._position != len(self._reference.calls)):
            raise Refused(
                "the network takes another path for the image than for the baseline: they can't be compared"
            )
        before, self.rule = self.rule, rule
        try:
            yield
        finally:
            self.rule = before

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in MAX_POOLING and not kwargs.get("return_indices"):
            return self._max_pool(*MAX_POOLING[func], args, kwargs)
        if func in _INTERCEPTED:
            name, pure, in_place = _INTERCEPTED[func]
            return self._elementwise(name, *_bind(pure, in_place, args, kwargs))
        return func(*args, **kwargs)

    def _elementwise(
        self, name: str, x: Tensor, function: Callable[[Tensor], Tensor], in_place: bool
    ) -> Tensor:
        self.calls[name] += 1
        if self._record is not None:
            before = x.detach().clone() if in_place else x.detach()
            y = function(before)
            self._record.calls.append((name, before, (y,)))
            return x.copy_(y) if in_place else y
        reference = self._next(name, x)
        relu = name in RELU_LIKE and _is_relu(function, x)
        if relu and x.requires_grad:
            self.relu_calls += 1
        result: Tensor = _Elementwise.apply(x, function, self, relu, in_place, reference)
        return result

    def _max_pool(
        self, name: str, with_indices: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        self.calls[name] += 1
        x = args[0] if args else kwargs["input"]
        rest = {k: v for k, v in kwargs.items() if k not in ("input", "return_indices")}

        def pool(t: Tensor) -> tuple[Tensor, Tensor]:
            y, indices = with_indices(t, *args[1:], **rest)
            return y, indices

        if self._record is not None:
            y, indices = pool(x.detach())
            self._record.calls.append((name, x.detach(), (y, indices)))
            return y
        result: Tensor = _MaxPool.apply(x, pool, self, self._next(name, x))
        return result

    def _next(self, name: str, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        """The reference's own call that corresponds to this one."""
        if self._reference is None:
            return None
        if self._position < len(self._reference.calls):
            recorded, x0, y0 = self._reference.calls[self._position]
            if recorded == name and x0.shape == x.shape:
                self._position += 1
                return x0, y0
        # Another path than the reference's: `use` will refuse the rescale rule, the others don't mind.
        self._reference = None
        return None


class _Elementwise(torch.autograd.Function):
    """A non-linearity of one input, forward as it is, backward by rule."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        function: Callable[[Tensor], Tensor],
        rules: Rules,
        relu: bool,
        in_place: bool,
        reference: tuple[Tensor, tuple[Tensor, ...]] | None,
    ) -> Tensor:
        ctx.rules, ctx.relu = rules, relu
        derivative, y = _derivative(function, x, relu)
        multiplier = (
            _rescale_multiplier(x, y, derivative, relu, *reference) if reference is not None else None
        )
        ctx.save_for_backward(derivative, multiplier)
        if not in_place:
            return y
        ctx.mark_dirty(x)
        return x.copy_(y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        derivative, multiplier = ctx.saved_tensors
        rule = ctx.rules.rule
        if rule == "rescale":
            gradient = gradient * multiplier
        elif rule == "deconvolution" and ctx.relu:
            gradient = gradient.clamp(min=0)
        elif rule == "guided" and ctx.relu:
            gradient = gradient.clamp(min=0) * derivative
        else:
            gradient = gradient * derivative
        return gradient, None, None, None, None, None


class _MaxPool(torch.autograd.Function):
    """Max-pooling with windows that may overlap, forward as it is, backward by rule."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        pool: Callable[[Tensor], tuple[Tensor, Tensor]],
        rules: Rules,
        reference: tuple[Tensor, tuple[Tensor, ...]] | None,
    ) -> Tensor:
        y, indices = pool(x)
        ctx.rules, ctx.shape = rules, x.shape
        if reference is None:
            ctx.save_for_backward(indices)
            return y
        x0, (y0, indices0) = reference
        # A window's difference belongs to the image's largest cell where the maximum rose, and to the
        # reference's where it fell: there the input differs at least as much, so the ratio exists.
        ctx.save_for_backward(indices, torch.where(y >= y0, indices, indices0), y - y0, x - x0)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        if ctx.rules.rule != "rescale":
            return _scatter(gradient, ctx.saved_tensors[0], ctx.shape), None, None, None
        _, cells, dy, dx = ctx.saved_tensors
        contributions = _scatter(gradient * dy, cells, ctx.shape)
        return torch.where(dx != 0, contributions / torch.where(dx != 0, dx, 1.0), 0.0), None, None, None


def _scatter(values: Tensor, indices: Tensor, shape: torch.Size) -> Tensor:
    """Add each window's value at the cell its index names; indices count within a channel's plane."""
    planes = indices.ndim - 2 if indices.ndim > 2 else 1
    flat = values.new_zeros(*shape[:-planes], shape[-planes:].numel())
    return flat.scatter_add_(-1, indices.flatten(-planes), values.flatten(-planes)).view(shape)


def _derivative(function: Callable[[Tensor], Tensor], x: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """The derivative at every element, and the function's values; a ReLU's derivative is kept as bool."""
    with torch.enable_grad():
        inner = x.detach().requires_grad_()
        # An own memory for the values: the network may go on to write into them.
        y = function(inner)
        (derivative,) = torch.autograd.grad(y, inner, torch.ones_like(y))
    return (derivative > 0 if relu else derivative), y.detach()


def _rescale_multiplier(
    x: Tensor, y: Tensor, derivative: Tensor, relu: bool, x0: Tensor, y0: tuple[Tensor, ...]
) -> Tensor:
    """DeepLIFT's multiplier (y - y0) / (x - x0); the derivative where the difference drowns in rounding."""
    dx = x - x0
    # A ReLU's differences are exact; those of a curved function are not.
    drowned = (
        dx == 0
        if relu
        else dx.abs() <= 4 * torch.finfo(x.dtype).eps ** 0.5 * torch.maximum(x.abs(), x0.abs())
    )
    return torch.where(drowned, derivative.to(x.dtype), (y - y0[0]).div_(dx))


def _is_relu(function: Callable[[Tensor], Tensor], like: Tensor) -> bool:
    """Whether a function is a ReLU near zero, so that capped ReLUs and clamps count by what they do."""
    probe = torch.tensor([-1e3, -1.0, -1e-3, 1e-3, 0.5], dtype=like.dtype, device=like.device)
    return torch.equal(function(probe), probe.clamp(min=0))


def _intercepted() -> dict[Any, tuple[str, Callable[..., Any], bool]]:
    """Every spelling of the element-wise functions: name, the variant that writes nothing, if it writes."""
    table: dict[Any, tuple[str, Callable[..., Any], bool]] = {}
    for name in ELEMENTWISE:
        for place in (F, torch, torch.Tensor, torch.special):
            pure = getattr(place, name, None)
            if pure is None:
                continue
            table[pure] = (name, pure, False)
            writing = getattr(place, name + "_", None)
            if writing is not None:
                table[writing] = (name, pure, True)
    return table


_INTERCEPTED = _intercepted()


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # built-in functions have none, and no argument "inplace" either
        return None


def _bind(
    pure: Callable[..., Any], in_place: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Tensor, Callable[[Tensor], Tensor], bool]:
    """A call taken apart: its input, a function of that input that writes nothing, and whether it wrote."""
    signature = _signature(pure)
    if signature is not None and "inplace" in signature.parameters:
        bound = signature.bind(*args, **kwargs)
        in_place = in_place or bool(bound.arguments.get("inplace", False))
        bound.arguments["inplace"] = False
        args, kwargs = bound.args, bound.kwargs
    kwargs = dict(kwargs)
    x = args[0] if args else kwargs.pop("input")
    return x, lambda t: pure(t, *args[1:], **kwargs), in_place
