"""The methods that read their heatmaps from the shared passes: one forward, one backward per rule."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from heatlift.backward import Rule
from heatlift.errors import Refused
from heatlift.method import Method
from heatlift.passes import Passes


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
    return _upsampled(_weighted(passes, layer), passes)


def _gradcam(sign: int, passes: Passes, layer: str | None) -> Tensor:
    # The ReLU comes before the upsampling, as published.
    return _upsampled((sign * _weighted(passes, layer)).clamp(min=0), passes)


def _weighted(passes: Passes, layer: str | None) -> Tensor:
    """Sum over the channels of a feature map, each weighted by its mean gradient, (n, 1, h', w')."""
    assert layer is not None
    planes, gradient = passes.planes(layer)
    return (gradient.mean(dim=(2, 3), keepdim=True) * planes).sum(dim=1, keepdim=True)


def _upsampled(coarse: Tensor, passes: Passes) -> Tensor:
    fine = nn.functional.interpolate(
        coarse, size=passes.inputs.shape[2:], mode="bilinear", align_corners=False
    )
    return fine.expand_as(passes.inputs)


_MAPS = "a layer with a feature map"

SHARED_METHODS = (
    Method("saliency", "Saliency", "Simonyan et al. 2014", "any network", _saliency),
    Method("input_x_gradient", "Input × gradient", "Shrikumar et al. 2016", "any network", _input_x_gradient),
    Method("layer_gradcam", "Layer Grad-CAM", "Selvaraju et al. 2017", _MAPS, _layer_gradcam, layer="first"),
    Method(
        "deconvolution",
        "Deconvolution",
        "Zeiler & Fergus 2014",
        "ReLUs",
        partial(_modified_gradient, "deconvolution"),
        rule="deconvolution",
    ),
    Method(
        "guided_backprop",
        "Guided backprop",
        "Springenberg et al. 2015",
        "ReLUs",
        partial(_modified_gradient, "guided"),
        rule="guided",
    ),
    Method(
        "deeplift",
        "DeepLift",
        "Shrikumar et al. 2017",
        "a rule for every non-linearity, shown by completeness",
        _deeplift,
        rule="rescale",
        complete=True,
    ),
    Method(
        "gradcam",
        "Grad-CAM",
        "Selvaraju et al. 2017",
        _MAPS,
        partial(_gradcam, 1),
        layer="last",
    ),
    Method(
        "gradcam_negative",
        "Grad-CAM, evidence against",
        "Selvaraju et al. 2017, counterfactual explanations",
        _MAPS,
        partial(_gradcam, -1),
        layer="last",
    ),
)
