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

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import CellType, FunctionType
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from heatlift.backward import Call, Rule, Tape
from heatlift.errors import Refused
from heatlift.spellings import STEPS, taken

COMPOSED = ("torch.nn.functional", "torch.functional", "torch._tensor")
"""Where torch's functions are written in Python, of others that have rules."""


class Rules(TorchFunctionMode):
    """A forward pass whose backward rule is chosen afterwards.

    Run the network inside ``with rules:``, then take gradients inside ``with rules.use("guided"):``.
    The forward values, in-place writes included, are those of the network itself.

    Args:
        record: fill this list with the calls met; no gradients are meant to be taken from such a pass.
        reference: the calls recorded on the reference inputs, from which the ``rescale`` rule takes
            differences; they must come from a batch of the same shape, or from a single image.

    Attributes:
        relu_calls: how many ReLU calls that lead to the input the rules applied to.
        calls: the names of all non-linear functions met, counted.
        tape: the rule of the moment, shared with the backward functions.
    """

    def __init__(self, *, record: list[Call] | None = None, reference: list[Call] | None = None) -> None:
        super().__init__()
        self.relu_calls = 0
        self.calls: Counter[str] = Counter()
        self.tape = Tape()
        self._record = record
        self._reference = reference
        self._position = 0
        self._inside: list[Callable[..., Any]] = []

    @contextmanager
    def use(self, rule: Rule) -> Iterator[None]:
        """Backward passes inside follow this rule.

        Raises:
            Refused: ``rescale``, but the reference called other functions than this pass.
        """
        if rule == "rescale" and not self.followed:
            raise Refused(
                "the network takes another path for the image than for the baseline: they can't be compared"
            )
        before, self.tape.rule = self.tape.rule, rule
        try:
            yield
        finally:
            self.tape.rule = before

    @property
    def followed(self) -> bool:
        """Whether this pass called the same functions as the reference's, one for one."""
        return self._reference is not None and self._position == len(self._reference)

    @property
    def recording(self) -> bool:
        """Whether this is the reference's own pass."""
        return self._record is not None

    def keep(self, name: str, *inputs: Tensor, outputs: tuple[Tensor, ...] = ()) -> None:
        """On the reference's pass: keep a call, as copies, since the network may write into what it made."""
        self.calls[name] += 1
        if self._record is not None:
            copies = (tuple(t.detach().clone() for t in tensors) for tensors in (inputs, outputs))
            self._record.append(Call(name, *copies))

    def reference(self, name: str, *inputs: Tensor, whole: bool = False) -> Call | None:
        """On the image's pass: the reference's own call that corresponds to this one, if there is any.

        ``whole`` says that the call mixes what lies along the first dimension, so that one reference can't
        stand for each of a batch.
        """
        self.calls[name] += 1
        if self._reference is None:
            return None
        if self._position < len(self._reference):
            call = self._reference[self._position]
            pairs = zip(call.inputs, inputs, strict=False)
            if call.name == name and all(_alike(theirs, ours, whole) for theirs, ours in pairs):
                self._position += 1
                return call
        # Another path than the reference's: `use` will refuse the rescale rule, the others don't mind.
        self._reference = None
        return None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in STEPS:
            result = taken(self, func, args, kwargs)
            return func(*args, **kwargs) if result is None else result
        if _composed(func) and func not in self._inside:
            # Composed of other functions, in Python: look at those. Some wrap the one of their own name.
            self._inside.append(func)
            try:
                with self:
                    return _transparent(func)(*args, **kwargs)
            finally:
                self._inside.pop()
        return func(*args, **kwargs)


def _alike(reference: Tensor, ours: Tensor, whole: bool) -> bool:
    """Whether a reference is of the image's shape, or a single one that stands for each of a batch."""
    if whole or reference.shape == ours.shape:
        return reference.shape == ours.shape
    single = reference.ndim == ours.ndim > 0 and len(reference) == 1
    return single and reference.shape[1:] == ours.shape[1:]


def _composed(function: Any) -> bool:
    return isinstance(function, FunctionType) and function.__module__ in COMPOSED


@cache
def _transparent(function: FunctionType) -> Callable[..., Any]:
    """A twin of one of torch's composite functions that runs its body instead of handing itself over."""
    checks = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    scope = {**function.__globals__, **dict.fromkeys(checks, lambda *args: False)}
    # Some are only the choice between two others, and some enclose themselves.
    enclosed = tuple(
        CellType(_transparent(inner)) if _composed(inner) and inner is not function else CellType(inner)
        for inner in (cell.cell_contents for cell in function.__closure__ or ())
    )
    twin = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, enclosed or None)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin
