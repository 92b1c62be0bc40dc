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
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from heatlift.classifier import Classifier
from heatlift.untouched import untouched

TOLERANCE = 1e-3
"""How far logits may be from the network's own, relative to the largest, for folding to be used."""


def folded(classifier: Classifier, layers: Collection[str] = ()) -> Classifier:
    """A twin of a classifier that runs the same network folded, equal up to rounding.

    Args:
        classifier: the network; it must not be trained on while the twin is in use.
        layers: modules whose own output is wanted, so that nothing is folded into them.

    Returns:
        The twin, or the classifier itself where folding changes its logits by more than rounding.
    """
    image = torch.rand(2, 3, *classifier.framing.crop, generator=torch.Generator().manual_seed(0))
    image = image.to(classifier.device, classifier.dtype)
    with torch.no_grad():
        expected = classifier(image)
    twin = copy(classifier)
    twin.folding = _prepared(classifier, image, layers)
    with torch.no_grad():
        difference = (twin(image) - expected).abs().max()
    # Arithmetic in bfloat16 rounds more than that by itself.
    tolerance = TOLERANCE if classifier.precision == "fp32" else 50 * TOLERANCE
    return twin if bool(difference <= tolerance * expected.abs().max()) else classifier


class Folding(TorchFunctionMode):
    """Convolutions inside run with prepared weights, folded batch norms do nothing.

    Args:
        weights: the prepared weight and bias, by the identity of the network's own weight.
        norms: the folded batch norms, by the identity of their running mean.
    """

    def __init__(self, weights: Mapping[int, tuple[Tensor, Tensor | None]], norms: Collection[int]) -> None:
        super().__init__()
        self.weights = weights
        self.norms = frozenset(norms)
        self._cast: dict[tuple[int, torch.dtype], Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.conv2d and len(args) > 2 and id(args[1]) in self.weights:
            weight, bias = self.weights[id(args[1])]
            return func(args[0], self._for(args[1], weight), bias, *args[3:], **kwargs)
        if func is F.batch_norm and len(args) > 1 and id(args[1]) in self.norms:
            return args[0]
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


def _prepared(classifier: Classifier, image: Tensor, layers: Collection[str]) -> Folding:
    """What to run in place of the network's convolutions and batch norms."""
    wanted: list[Any] = []

    def note(module: nn.Module, args: Any, output: Any) -> None:
        # By what it gives, since a layer may be a block that ends with a convolution.
        wanted.append(output.grad_fn if isinstance(output, Tensor) else None)

    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(classifier.network.get_submodule(layer).register_forward_hook(note))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(untouched(classifier.network))
        calls = stack.enter_context(_Recorder())
        logits = classifier(image.clone().requires_grad_())
    uses = _uses(logits.grad_fn)
    # Only what stays: a weight that is made anew for each pass may take the place of another in memory.
    staying = {id(tensor) for tensor in (*classifier.network.parameters(), *classifier.network.buffers())}
    times = Counter(id(call.weight) for call in calls.convolutions)
    times.update(id(call.mean) for call in calls.norms)
    by_source = {norm.source: norm for norm in calls.norms if norm.source is not None}
    weights: dict[int, tuple[Tensor, Tensor | None]] = {}
    norms = []
    for call in calls.convolutions:
        if id(call.weight) not in staying:
            continue
        norm = by_source.get(call.node)
        weight, bias = call.weight.detach(), call.bias
        if norm is not None and call.node not in wanted and id(norm.mean) in staying:
            alone = uses[call.node] == times[id(call.weight)] == times[id(norm.mean)] == 1
            if alone and not norm.training:
                weight, bias = _merged(weight, bias, norm)
                norms.append(id(norm.mean))
        weights[id(call.weight)] = (weight.contiguous(memory_format=torch.channels_last), bias)
    return Folding(weights, norms)


def _merged(weight: Tensor, bias: Tensor | None, norm: _Norm) -> tuple[Tensor, Tensor]:
    """A convolution's weight and bias with a batch norm multiplied in, worked out in float64."""
    scale = (norm.variance.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.mean.double() * scale
    if bias is not None:
        shift = shift + bias.detach().double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return (weight.double() * scale.view(-1, 1, 1, 1)).to(weight), shift.to(weight)


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
