"""The attribution methods by name: one entry each, which reads from shared passes what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from heatlift.backward import Rule
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.passes import Passes


@dataclass(frozen=True)
class Method:
    """An attribution method: what it is, what it needs of the forward pass, and how to read it off.

    Attributes:
        name: what it is called by.
        title: what it is called in a figure.
        source: the publication it is taken from.
        needs: what a network must have for it, in words.
        rule: the backward rule whose gradient it is made of.
        compute: ``(passes, layer) -> heatmaps`` in the space of the network's input.
        layer: whether it reads a layer's feature map.
    """

    name: str
    title: str
    source: str
    needs: str
    rule: Rule
    compute: Callable[[Passes, str | None], Tensor]
    layer: bool = False


def _saliency(passes: Passes, layer: str | None) -> Tensor:
    return passes.gradient()


def _input_x_gradient(passes: Passes, layer: str | None) -> Tensor:
    return passes.inputs.detach() * passes.gradient()


def _modified_gradient(rule: Rule, passes: Passes, layer: str | None) -> Tensor:
    passes.relu_calls()
    return passes.gradient(rule)


def _deeplift(passes: Passes, layer: str | None) -> Tensor:
    assert passes.baseline is not None
    if passes.uncovered:
        met = ", ".join(f"{kind} ({count})" for kind, count in passes.uncovered.items())
        raise Refused(f"it has no rule for these non-linear steps of the network: {met}")
    return (passes.inputs.detach() - passes.baseline.inputs) * passes.gradient("rescale")


def _layer_gradcam(passes: Passes, layer: str | None) -> Tensor:
    assert layer is not None
    activations = passes.activations[layer].detach()
    weights = passes.gradient(layer=layer).mean(dim=(2, 3), keepdim=True)
    coarse = (weights * activations).sum(dim=1, keepdim=True)
    fine = nn.functional.interpolate(
        coarse, size=passes.inputs.shape[2:], mode="bilinear", align_corners=False
    )
    return fine.expand_as(passes.inputs)


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("saliency", "Saliency", "Simonyan et al. 2014", "any network", "plain", _saliency),
        Method(
            "input_x_gradient",
            "Input × gradient",
            "Shrikumar et al. 2016",
            "any network",
            "plain",
            _input_x_gradient,
        ),
        Method(
            "layer_gradcam",
            "Layer Grad-CAM",
            "Selvaraju et al. 2017",
            "a layer with feature maps (c, h, w)",
            "plain",
            _layer_gradcam,
            layer=True,
        ),
        Method(
            "deconvolution",
            "Deconvolution",
            "Zeiler & Fergus 2014",
            "ReLUs",
            "deconvolution",
            partial(_modified_gradient, "deconvolution"),
        ),
        Method(
            "guided_backprop",
            "Guided backprop",
            "Springenberg et al. 2015",
            "ReLUs",
            "guided",
            partial(_modified_gradient, "guided"),
        ),
        Method(
            "deeplift",
            "DeepLift",
            "Shrikumar et al. 2017",
            "a rule for every non-linearity, shown by completeness",
            "rescale",
            _deeplift,
        ),
    )
}
"""The attribution methods of Tjoa 2022, by name."""


@dataclass(frozen=True)
class Request:
    """A method name as users write it, understood: ``layer_gradcam@features.3`` names a layer as well."""

    name: str
    method: Method
    layer: str | None = None


def requested(classifier: Classifier, name: str, layer: str | None = None) -> Request:
    """Understand a method name for a network.

    Raises:
        HeatliftError: an unknown method, a layer that the network does not have, or one for a method
            that takes none.
    """
    base, _, written = name.partition("@")
    if base not in METHODS:
        raise HeatliftError(f"unknown method '{base}': choose from {', '.join(METHODS)}")
    method = METHODS[base]
    layer = written or layer
    if not method.layer:
        if layer:
            raise HeatliftError(f"{base} takes no layer, but '{layer}' was given")
        return Request(name, method)
    return Request(name, method, _layer(classifier, layer or "first"))


def _layer(classifier: Classifier, layer: str) -> str:
    """A layer's full name: itself, or the ``first`` or ``last`` convolution that runs."""
    shapes = classifier.layers
    if layer in shapes:
        return layer
    modules = dict(classifier.network.named_modules())
    convolutions = [
        n for n, shape in shapes.items() if isinstance(modules[n], nn.Conv2d) and min(shape[1:]) > 1
    ]
    if layer in ("first", "last"):
        if not convolutions:
            raise Refused("layer_gradcam needs a convolution, and the network runs none: name a layer")
        return convolutions[0 if layer == "first" else -1]
    if layer in modules:
        raise HeatliftError(
            f"layer '{layer}' gives no feature map (c, h, w), or does not run: choose another layer"
        )
    raise HeatliftError(
        f"unknown layer '{layer}': choose first, last, or a name such as {', '.join(list(shapes)[:4])}"
    )


def methods() -> dict[str, dict[str, str]]:
    """The attribution methods by name, each with its ``title``, ``source`` and what it ``needs``."""
    return {m.name: {"title": m.title, "source": m.source, "needs": m.needs} for m in METHODS.values()}
