"""Method names -> heatmaps; what several methods have in common is computed once.

All methods explain one class per image on one forward pass, and each reads from it what it needs. A
method that would be wrong on the network at hand is refused, and what is not refused comes with a
certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused, first_line
from heatlift.passes import Baseline, Passes
from heatlift.registry import Request, requested
from heatlift.types import Space, Target

COMPLETENESS_TOLERANCE = 0.01
"""Relative difference above which a DeepLift map is not counted as one."""


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


@dataclass
class Attributor:
    """Several methods on one network, from shared passes: call it with a batch of images.

    The methods of Tjoa 2022 take one forward and four backward passes together, and one more forward
    pass for DeepLift's baseline, which is kept for the batches that follow.

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
    _whole: bool = field(default=False, repr=False)

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
        try:
            passes = self._passes(inputs, target, requests)
            if passes.baseline is not None and not passes.followed and not self._whole:
                # A network that folds the batch into other dimensions needs a baseline for each image.
                self._whole = True
                self._baselines.clear()
                passes = self._passes(inputs, target, requests)
        except Refused as refusal:
            return dict.fromkeys((request.name for request in requests), refusal)
        return {request.name: self._read(passes, request) for request in requests}

    def _passes(self, inputs: Tensor, target: Target, requests: Sequence[Request]) -> Passes:
        wanted = {request.method.rule for request in requests}
        return Passes(
            self.classifier,
            inputs,
            target,
            space=self.space,
            layers=dict.fromkeys(request.layer for request in requests if request.layer is not None),
            rules=wanted != {"plain"},
            baseline=self._baseline(inputs) if "rescale" in wanted else None,
        )

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
        """The baseline's pass: of one image for all of a batch, where that will do."""
        values = torch.as_tensor(self.baseline, dtype=inputs.dtype, device=inputs.device)
        each = self._whole or (values.ndim == inputs.ndim and len(values) > 1)
        shape = inputs.shape if each else torch.Size((1, *inputs.shape[1:]))
        if shape not in self._baselines:
            # One shape at a time: the calls of a whole pass are kept.
            self._baselines.clear()
            start = values.expand(shape).clone()
            if self.space == "pixel":
                start = self.classifier.denormalise(start)
            self._baselines[shape] = Baseline.run(self.classifier, start, self.space)
        return self._baselines[shape]


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
    if not isinstance(classifier, Classifier):
        raise HeatliftError(
            f"{type(classifier).__name__} is no Classifier: wrap the network, hl.Classifier(network)"
        )
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
