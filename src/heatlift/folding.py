"""The same network, faster: batch norms folded into the convolutions before them, weights laid out for speed.

Nothing of the network is changed. While it runs, its calls of convolutions are intercepted and get
weights that were prepared once, and a folded batch norm hands on what it is given. What may be folded is
read from the graph that autograd records: a batch norm by fixed statistics whose input is a convolution's
output that nothing else uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from heatlift.classifier import Classifier
from heatlift.strided import StridedConvolution, applies
from heatlift.untouched import untouched

TOLERANCE = 1e-3
"""How far logits may be from the network's own, relative to the largest, for folding to be used."""


def folded(classifier: Classifier) -> Classifier:
    """A twin of a classifier that runs the same network folded, equal up to rounding.

    The network must not be trained on while the twin is in use. Where folding changes the logits by more
    than rounding, the twin is the classifier itself.
    """
    if classifier.folding is not None:
        return classifier
    image = torch.rand(2, 3, *classifier.framing.crop, generator=torch.Generator().manual_seed(0))
    image = image.to(classifier.device, classifier.dtype)
    with torch.no_grad():
        expected = classifier(image)
    twin = copy(classifier)
    twin.folding = _prepared(classifier, image)
    with torch.no_grad():
        difference = (twin(image) - expected).abs().max()
    # Arithmetic in bfloat16 rounds more than that by itself.
    tolerance = TOLERANCE if classifier.precision == "fp32" else 50 * TOLERANCE
    return twin if bool(difference <= tolerance * expected.abs().max()) else classifier


def sparing(classifier: Classifier, layers: Collection[str]) -> Classifier:
    """A twin of a folded classifier in which nothing is folded into the output of some modules."""
    twin = copy(classifier)
    if isinstance(twin.folding, Folding):
        twin.folding = twin.folding.sparing(layers)
    return twin


@dataclass(frozen=True)
class _Prepared:
    """What a convolution runs with; its own parameters, and the batch norm that was multiplied in."""

    weight: Tensor
    bias: Tensor | None
    own: tuple[Tensor, Tensor | None] | None = None
    norm: int | None = None


class Folding(TorchFunctionMode):
    """Convolutions inside run with prepared weights, folded batch norms do nothing.

    Args:
        convolutions: how each runs, by the identity of the network's own weight.
        norms: scale and shift of every batch norm, folded or not, by the identity of its running mean.
        outputs: the convolution whose output a module gives, by the module's name.
    """

    def __init__(
        self,
        convolutions: Mapping[int, _Prepared],
        norms: Mapping[int, tuple[Tensor, Tensor]],
        outputs: Mapping[str, int],
    ) -> None:
        super().__init__()
        self.convolutions, self.norms, self.outputs = convolutions, norms, outputs
        self.folded = frozenset(one.norm for one in convolutions.values() if one.norm is not None)
        self._cast: dict[tuple[int, torch.dtype], Tensor] = {}

    def sparing(self, layers: Collection[str]) -> Folding:
        """The same, with nothing folded into the output of some modules."""
        spared = {self.outputs[layer] for layer in layers if layer in self.outputs}
        convolutions = {
            key: _Prepared(*one.own) if key in spared and one.own is not None else one
            for key, one in self.convolutions.items()
        }
        return Folding(convolutions, self.norms, self.outputs)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.conv2d and len(args) > 2 and id(args[1]) in self.convolutions:
            prepared = self.convolutions[id(args[1])]
            weight = self._for(args[1], prepared.weight)
            geometry = applies(args[0], args[3:]) if not kwargs else None
            if geometry is not None:
                return StridedConvolution.apply(args[0], weight, prepared.bias, *geometry)
            return func(args[0], weight, prepared.bias, *args[3:], **kwargs)
        if func is F.batch_norm and len(args) > 1:
            if id(args[1]) in self.folded:
                return args[0]
            norm = self.norms.get(id(args[1]))
            if norm is not None and norm[0].dtype == args[0].dtype:
                # Torch's own, backwards, takes twice as long.
                scale, shift = (t.view(1, -1, *(1 for _ in args[0].shape[2:])) for t in norm)
                return torch.addcmul(shift, args[0], scale)
        return func(*args, **kwargs)

    def _for(self, own: Tensor, weight: Tensor) -> Tensor:
        """The weight in the type in which the convolution will run, cast once."""
        kind = weight.device.type
        if not torch.is_autocast_enabled(kind):
            return weight
        key = (id(own), torch.get_autocast_dtype(kind))
        if key not in self._cast:
            self._cast[key] = weight.to(key[1])
        return self._cast[key]


@dataclass(frozen=True)
class _Convolution:
    """A call of a convolution: its node in the graph, and the network's own parameters."""

    node: Any
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class _Norm:
    """A call of a batch norm: the node of its input, and the network's own parameters and statistics."""

    source: Any
    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    training: bool
    eps: float

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift per channel, in float64."""
        scale = (self.variance.double() + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight.detach().double()
        shift = -self.mean.double() * scale
        return scale, shift if self.bias is None else shift + self.bias.detach().double()


class _Recorder(TorchFunctionMode):
    """Notes the convolutions and batch norms that a forward pass calls."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions: list[_Convolution] = []
        self.norms: list[_Norm] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and len(args) > 2:
            self._note(*args, **kwargs)
        output = func(*args, **kwargs)
        if func is F.conv2d and len(args) > 2:
            self.convolutions.append(_Convolution(output.grad_fn, args[1], args[2]))
        return output

    def _note(
        self,
        x: Tensor,
        mean: Tensor | None,
        variance: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        if mean is not None and variance is not None:
            self.norms.append(_Norm(x.grad_fn, mean, variance, weight, bias, training, eps))


def _prepared(classifier: Classifier, image: Tensor) -> Folding:
    """What to run in place of the network's convolutions and batch norms."""
    given: dict[Any, list[str]] = {}

    def note(name: str, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            given.setdefault(output.grad_fn, []).append(name)

    with ExitStack() as stack:
        for name, module in classifier.network.named_modules():
            stack.enter_context(module.register_forward_hook(partial(note, name)))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(untouched(classifier.network))
        calls = stack.enter_context(_Recorder())
        logits = classifier(image.clone().requires_grad_())
    uses = _uses(logits.grad_fn)
    # Only what stays: a weight that is made anew for each pass may take the place of another in memory.
    staying = {id(tensor) for tensor in (*classifier.network.parameters(), *classifier.network.buffers())}
    times = Counter(id(call.weight) for call in calls.convolutions)
    times.update(id(call.mean) for call in calls.norms)
    fixed = [n for n in calls.norms if not n.training and id(n.mean) in staying and times[id(n.mean)] == 1]
    norms = {id(norm.mean): norm.affine() for norm in fixed}
    by_source = {norm.source: norm for norm in fixed if norm.source is not None}
    convolutions: dict[int, _Prepared] = {}
    outputs: dict[str, int] = {}
    for call in calls.convolutions:
        if id(call.weight) not in staying:
            continue
        own = _Prepared(call.weight.detach().contiguous(memory_format=torch.channels_last), call.bias)
        norm = by_source.get(call.node)
        if norm is not None and uses[call.node] == times[id(call.weight)] == 1:
            own = _merged(own, norm)
            outputs.update(dict.fromkeys(given.get(call.node, ()), id(call.weight)))
        convolutions[id(call.weight)] = own
    narrow = {key: (scale.to(image.dtype), shift.to(image.dtype)) for key, (scale, shift) in norms.items()}
    return Folding(convolutions, narrow, outputs)


def _merged(own: _Prepared, norm: _Norm) -> _Prepared:
    """A convolution with a batch norm multiplied in, worked out in float64."""
    scale, shift = norm.affine()
    if own.bias is not None:
        shift = shift + own.bias.detach().double() * scale
    weight = (own.weight.double() * scale.view(-1, 1, 1, 1)).to(own.weight)
    return _Prepared(weight, shift.to(weight), (own.weight, own.bias), id(norm.mean))


def _uses(root: Any) -> Counter[Any]:
    """How often the output of each node of a graph is used."""
    uses: Counter[Any] = Counter()
    seen, waiting = {root}, [root]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None:
                uses[node] += 1
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
    return uses
