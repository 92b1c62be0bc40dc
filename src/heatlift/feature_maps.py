"""Which layers of a network give a feature map, and how to read it as planes over the image.

Convolutions give planes, channels first. Transformers give tokens, one per patch and perhaps a few in
front that stand for no place, or patches with the channels last. All of them are read here as
(n, c, h, w). How a layer's output is arranged is found from its shape, the input's and those of the
layers around it; what fits nothing is not taken for a map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn

from heatlift.gradients import gradients

PREFIX = 8
"""The most tokens that may stand in front of the patches: class, distillation and register tokens."""


@dataclass(frozen=True)
class FeatureMap:
    """What a layer's output means: channels over height x width places of the image.

    Attributes:
        channels, height, width: of the map.
        arrangement: of the layer's output: ``planes`` (n, c, h, w), ``places`` (n, h, w, c) or ``tokens``
            (n, prefix + h * w, c).
        prefix: tokens in front that stand for no place.
        reason: why the layer can't be explained after all; None where it can.
    """

    channels: int
    height: int
    width: int
    arrangement: Literal["planes", "places", "tokens"] = "planes"
    prefix: int = 0
    reason: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w)."""
        return self.channels, self.height, self.width

    def planes(self, output: Tensor) -> Tensor:
        """The layer's output as (n, c, h, w)."""
        if self.arrangement == "planes":
            return output
        if self.arrangement == "places":
            return output.permute(0, 3, 1, 2)
        places = output[:, self.prefix :].reshape(-1, self.height, self.width, self.channels)
        return places.permute(0, 3, 1, 2)


def feature_maps(network: nn.Module, forward: Any, image: Tensor) -> dict[str, FeatureMap]:
    """The modules of a network that give a feature map of more than one place, in the order they run.

    Args:
        network: whose modules are looked at.
        forward: ``forward(image) -> logits`` runs it.
        image: (1, 3, h, w), any.
    """
    calls: dict[str, list[Tensor]] = {}
    reached: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                calls.setdefault(name, []).append(output.detach())
                if output.requires_grad:
                    output.register_hook(lambda gradient: reached.__setitem__(name, gradient))

        return hook

    hooks = [module.register_forward_hook(record(name)) for name, module in network.named_modules() if name]
    try:
        with gradients():
            logits = forward(image.detach().clone().requires_grad_())
            if logits.requires_grad:
                # Weights of its own for each class: a plain sum may cancel where a softmax or a norm ends it.
                weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
                logits.backward(weights.to(logits))
    finally:
        for handle in hooks:
            handle.remove()
    size = (image.shape[2], image.shape[3])
    shapes = {
        name: tuple(outputs[0].shape) for name, outputs in calls.items() if outputs[0].shape[:1] == (1,)
    }
    found = _understood(shapes, size, dict(network.named_modules()))
    # An output that depends on nothing, as before training, says nothing about one layer.
    constant = not any(bool(gradient.abs().any()) for name, gradient in reached.items() if name in found)
    usable = {}
    for name, fmap in found.items():
        # Of a layer that the output does not even hang on there is no gradient at all.
        gradient = reached.get(name, torch.zeros_like(calls[name][0]))
        usable[name] = replace(fmap, reason=_reason(fmap, len(calls[name]), None if constant else gradient))
    return usable


def last_map(maps: dict[str, FeatureMap], network: nn.Module) -> str | None:
    """The last convolution or, in a transformer, layer norm that has a map which the output depends on."""
    modules = dict(network.named_modules())
    candidates = [name for name, fmap in maps.items() if fmap.reason is None and _is_last(modules[name])]
    return candidates[-1] if candidates else None


def first_map(maps: dict[str, FeatureMap], network: nn.Module) -> str | None:
    """The first convolution that runs and has a map."""
    modules = dict(network.named_modules())
    return next((n for n, m in maps.items() if m.reason is None and isinstance(modules[n], nn.Conv2d)), None)


def _is_last(module: nn.Module) -> bool:
    # Not by torch's class alone: libraries have layer norms of their own.
    return isinstance(module, nn.Conv2d) or "LayerNorm" in type(module).__name__


def _reason(fmap: FeatureMap, calls: int, gradient: Tensor | None) -> str | None:
    """What speaks against explaining a map, if anything does."""
    if calls > 1:
        return "runs more than once in a forward pass"
    if gradient is None or bool(fmap.planes(gradient).abs().any()):
        return None
    return "has no influence on the output through its map"


def _understood(
    shapes: dict[str, tuple[int, ...]], size: tuple[int, int], modules: dict[str, nn.Module]
) -> dict[str, FeatureMap]:
    tokens = {shape[1] for shape in shapes.values() if len(shape) == 3}
    grids: list[tuple[int, int]] = []
    found: dict[str, FeatureMap] = {}
    for name, shape in shapes.items():
        fmap = None
        if len(shape) == 4:
            fmap = _spatial(shape, size, tokens, modules[name])
        elif len(shape) == 3:
            fmap = _tokens(shape, size, grids)
        if fmap is not None:
            found[name] = fmap
            grids.append((fmap.height, fmap.width))
    return found


def _spatial(
    shape: tuple[int, ...], size: tuple[int, int], tokens: Iterable[int], module: nn.Module
) -> FeatureMap | None:
    """A four-dimensional output: planes, places, or neither (the attention of tokens to tokens)."""
    _, a, b, c = shape
    # Planes of these whatever their size; of others they must look like the image.
    planar = isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d))
    if b * c > 1 and (planar or (_proportional(b, c, size) and not (b == c and b in tokens))):
        return FeatureMap(a, b, c)
    if a * b > 1 and _proportional(a, b, size):
        return FeatureMap(c, a, b, "places")
    return None


def _tokens(shape: tuple[int, ...], size: tuple[int, int], grids: list[tuple[int, int]]) -> FeatureMap | None:
    """A sequence of tokens: the patches of a grid seen before, or of one that such a grid was reduced to."""
    _, length, channels = shape
    for height, width in reversed(grids):
        prefix = length - height * width
        if 0 <= prefix <= PREFIX and height * width > 1:
            return FeatureMap(channels, height, width, "tokens", prefix)
    for before in grids[-1:]:
        height = isqrt(length * size[0] // size[1])
        width = length // height if height else 0
        reduced = height > 1 and before[0] % height == 0 and before[1] % width == 0
        if height * width == length and reduced and _proportional(height, width, size):
            return FeatureMap(channels, height, width, "tokens")
    return None


def _proportional(height: int, width: int, size: tuple[int, int]) -> bool:
    """Whether a map has the image's proportions to within a place, as strides round, and is not larger."""
    if height > size[0] or width > size[1]:
        return False
    return abs(height * size[1] - width * size[0]) < max(size)
