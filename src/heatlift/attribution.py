"""Method name -> heatmaps; what several methods have in common is computed once.

All methods explain one class per image on one forward pass: `Passes` holds that pass, and each
method of `METHODS` reads from it what it needs. A method that would be wrong on the network at hand
is refused, and what is not refused comes with a certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from heatlift.backward import Rule
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused, first_line
from heatlift.passes import Baseline, Passes
from heatlift.types import Space, Target

COMPLETENESS_TOLERANCE = 0.01
"""Relative difference above which a DeepLift map is not counted as one."""


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


@dataclass(frozen=True)
class Attribution:
    """Heatmaps of one method for a batch of images, with what proves them.

    Attributes:
        heatmaps: (n, 3, h, w), raw and detached.
        target: the class explained, (n,).
        completeness: DeepLift's ``|sum(h) - (f(x) - f(baseline))|`` relative to the difference
            explained, (n,); None for methods that promise no such sum.
        relu_calls: how many ReLU calls the method's rule was applied to; None for other methods.
    """

    heatmaps: Tensor
    target: Tensor
    completeness: Tensor | None = None
    relu_calls: int | None = None


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


@dataclass
class Attributor:
    """Several methods on one network, from shared passes: call it with a batch of images.

    The methods of Tjoa 2022 take one forward and four backward passes together, and one more forward
    pass for DeepLift's baseline, which is kept for batches of the same shape.

    Args:
        classifier: the network.
        requests: the methods, from `requested`.
        space: the space of the heatmaps.
        baseline: DeepLift's baseline in model space, broadcastable to (n, 3, h, w).
    """

    classifier: Classifier
    requests: Sequence[Request]
    space: Space = "model"
    baseline: Tensor | float = 0.0
    _baselines: dict[torch.Size, Baseline] = field(default_factory=dict, repr=False)

    def __call__(self, images: Tensor, target: Target = None) -> dict[str, Attribution | Refused]:
        """Heatmaps of images (n, 3, h, w) in [0, 1], or why a method does not apply, by request name."""
        inputs = self.classifier.inputs(images, self.space)
        # Also for a caller who has switched gradients off.
        with torch.enable_grad():
            try:
                return self._all(inputs, target, self.requests)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                if all(request.method.rule == "plain" for request in self.requests):
                    raise
                return self._without_rules(inputs, target, error)

    def _without_rules(
        self, inputs: Tensor, target: Target, error: RuntimeError
    ) -> dict[str, Attribution | Refused]:
        """The plain methods alone, after something that the rules met: the others must not suffer from it."""
        plain = [request for request in self.requests if request.method.rule == "plain"]
        # Raises where it is the network's own failure.
        found = self._all(inputs, target, plain) if plain else {}
        self.classifier(inputs, self.space)
        reason = Refused(f"its rule can't be applied to this network: {first_line(error)}")
        return {request.name: found.get(request.name, reason) for request in self.requests}

    def _all(
        self, inputs: Tensor, target: Target, requests: Sequence[Request]
    ) -> dict[str, Attribution | Refused]:
        wanted = {request.method.rule for request in requests}
        try:
            passes = Passes(
                self.classifier,
                inputs,
                target,
                space=self.space,
                layers=dict.fromkeys(request.layer for request in requests if request.layer is not None),
                rules=wanted != {"plain"},
                baseline=self._baseline(inputs) if "rescale" in wanted else None,
            )
        except Refused as refusal:
            return dict.fromkeys((request.name for request in requests), refusal)
        return {request.name: self._read(passes, request) for request in requests}

    def _read(self, passes: Passes, request: Request) -> Attribution | Refused:
        rule = request.method.rule
        try:
            heatmaps = request.method.compute(passes, request.layer).detach()
        except Refused as refusal:
            return refusal
        return Attribution(
            heatmaps,
            passes.target,
            completeness=passes.completeness(heatmaps) if rule == "rescale" else None,
            relu_calls=passes.relu_calls() if rule in ("guided", "deconvolution") else None,
        )

    def _baseline(self, inputs: Tensor) -> Baseline:
        if inputs.shape not in self._baselines:
            # One shape at a time: the calls of a whole pass are kept.
            self._baselines.clear()
            in_model_space = torch.as_tensor(self.baseline, dtype=inputs.dtype, device=inputs.device)
            start = in_model_space.expand_as(inputs).clone()
            if self.space == "pixel":
                start = self.classifier.denormalise(start)
            self._baselines[inputs.shape] = Baseline.run(self.classifier, start, self.space)
        return self._baselines[inputs.shape]


def attribute(
    classifier: Classifier,
    images: Tensor,
    method: str,
    target: Target = None,
    space: Space = "model",
    *,
    layer: str | None = None,
    baseline: Tensor | float = 0.0,
) -> Tensor:
    """Heatmaps of one attribution method, raw (not rescaled) and detached.

    Args:
        classifier: the network explained.
        images: (n, 3, h, w) in [0, 1].
        method: one of ``heatlift.methods()``; ``layer_gradcam@NAME`` names a layer as well.
        target: the class explained: None or ``"predicted"``, ``"runner-up"``, one class, or one per image.
        space: ``model`` gives attributions of what the network itself sees, ``pixel`` of the image in [0, 1].
        layer: for ``layer_gradcam``: a module's name, ``first`` (the default, as in Tjoa 2022) or ``last``
            convolution.
        baseline: for ``deeplift``: a value or tensor in model space, broadcastable to the images.

    Returns:
        (n, 3, h, w), in units of logits per unit of input for the gradient methods, in logits for
        ``input_x_gradient`` and ``deeplift``.

    Raises:
        HeatliftError: unknown method, layer or target.
        Refused: the method would be wrong on this network, and why.
    """
    request = requested(classifier, method, layer)
    attribution = Attributor(classifier, [request], space, baseline)(images, target)[request.name]
    if isinstance(attribution, Refused):
        raise Refused(f"{method} does not apply to {classifier.name}: {attribution}")
    complete = attribution.completeness
    if complete is not None and not bool((complete <= COMPLETENESS_TOLERANCE).all()):
        raise Refused(
            f"{method} is not complete on {classifier.name}: its sum misses the logit's rise by up to "
            f"{float(complete.max()):.1%}"
        )
    return attribution.heatmaps


def methods() -> dict[str, dict[str, str]]:
    """The attribution methods by name, each with its ``title``, ``source`` and what it ``needs``."""
    return {m.name: {"title": m.title, "source": m.source, "needs": m.needs} for m in METHODS.values()}
