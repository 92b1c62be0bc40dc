"""heatlift's methods in Captum's terms: an `Attribution` to put in the place of one of Captum's own.

>>> import heatlift as hl, torch
>>> from heatlift.adapters.captum import Explainer
>>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
>>> deeplift = Explainer(hl.Classifier(network, size=8), "deeplift")  # was: captum.attr.DeepLift(network)
>>> deeplift.attribute(torch.rand(2, 3, 8, 8), target=1).shape
torch.Size([2, 3, 8, 8])
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, TypeAlias

import torch
from captum.attr import Attribution
from captum.attr._utils.attribution import GradientAttribution
from captum.log import log_usage
from torch import Tensor

from heatlift.attribution import attribute
from heatlift.captum_methods import Seam, captum_attribution
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.registry import MethodName, requested
from heatlift.subject import chosen_class
from heatlift.types import Space

Inputs: TypeAlias = "Tensor | tuple[Tensor, ...]"
"""As Captum passes them around: a tensor, or a tuple of one."""

CaptumTarget: TypeAlias = "Tensor | Sequence[int] | int | None"
"""As Captum takes it: one class for all, or one per image."""

MULTIPLIED = ("input_x_gradient", "integrated_gradients", "deeplift")
"""Methods whose heatmaps have the inputs, or their difference from a baseline, as a factor."""


class Explainer(Attribution):  # type: ignore[misc]  # Captum has no types
    """One of heatlift's methods as a Captum attribution, for scripts and metrics that take one.

    Args:
        classifier: the network; `heatlift.Classifier` (network, size=...) wraps a bare one.
        method: what `heatlift.attribute` takes. A callable is given images of this space, and random numbers
            are drawn for these: in ``model`` space neither is what `heatlift.attribute` gives for pixels.
        space: of inputs, baselines and heatmaps: ``model``, what the network itself takes, as Captum's own
            attributions of that network have it; ``pixel``, images in [0, 1].
        layer: for methods that take one.
        options: of the method.

    Attributes:
        forward_func: the module explained, inputs (n, 3, h, w) of this space to logits (n, C): for Captum's
            metrics.

    Raises:
        HeatliftError: no classifier, an unknown method, space, layer or option.
    """

    def __init__(
        self,
        classifier: Classifier,
        method: MethodName,
        space: Space = "model",
        layer: str | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(classifier, Classifier):
            raise HeatliftError(
                f"{type(classifier).__name__} is no Classifier: wrap the network, hl.Classifier(network)"
            )
        if space not in ("model", "pixel"):
            raise HeatliftError(f"unknown space '{space}': choose model or pixel")
        self.classifier = _bare(classifier) if space == "model" else classifier
        self.method, self.layer, self.options = method, layer, options
        self._request = requested(self.classifier, method, layer, **options)
        super().__init__(Seam(self.classifier, "pixel"))

    # Captum's NoiseTunnel calls what this decorator wraps, and nothing without it.
    @log_usage()  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Inputs,
        target: CaptumTarget = None,
        baselines: Any = None,
        additional_forward_args: None = None,
        return_convergence_delta: bool = False,
    ) -> Any:
        """Heatmaps of the inputs' shape, raw and detached; a tuple of them where the inputs are one.

        Args:
            inputs: (n, 3, h, w), or a tuple of one such tensor.
            target: the class explained: one, or one per image; None is each image's predicted class.
            baselines: for methods that take one, in the space of the inputs: a value, a tensor that
                broadcasts to them, or a tuple of one of these; None is 0, as Captum has it.
            additional_forward_args: none; a classifier takes images alone.
            return_convergence_delta: give also the sum of each heatmap less the logit's rise from the
                baseline, (n,).

        Raises:
            HeatliftError: inputs, targets or baselines of a wrong shape; further arguments; a delta of a
                method that promises no such sum.
            Refused: the method would be wrong on this network. An incomplete heatmap is refused, too,
                unless its delta is asked for.
        """
        if additional_forward_args is not None:
            raise HeatliftError("additional_forward_args: a Classifier takes images and nothing else")
        if return_convergence_delta and not self.has_convergence_delta():
            raise HeatliftError(f"{self._request.name} promises no sum, so it has no convergence delta")
        images, start = _single(inputs, "inputs"), _single(baselines, "baselines")
        start = 0.0 if start is None else start
        found = attribute(
            self.classifier,
            images,
            self.method,
            _classes(target),
            "pixel",
            layer=self.layer,
            baseline=self._in_model_space(start),
            certificate=True if return_convergence_delta else False,  # noqa: SIM210  # mypy picks by it
            **self.options,
        )
        heatmaps = found if isinstance(found, Tensor) else found.heatmaps
        given = (heatmaps,) if isinstance(inputs, tuple) else heatmaps
        if isinstance(found, Tensor):
            return given
        return given, self.compute_convergence_delta(heatmaps, start, images, found.target)

    def has_convergence_delta(self) -> bool:
        """Whether its heatmaps must add up to the logit's rise from the baseline."""
        return self._request.method.complete

    def compute_convergence_delta(
        self,
        attributions: Inputs,
        start_point: Any,
        end_point: Inputs,
        target: CaptumTarget = None,
        additional_forward_args: None = None,
    ) -> Tensor:
        """The sum of each heatmap less the logit's rise from start to end, (n,), as Captum computes it."""
        if target is None:
            # The class that a heatmap without a target explains.
            with torch.no_grad():
                target = chosen_class(None, self.forward_func(_single(end_point, "end_point")))
        found: Tensor = GradientAttribution.compute_convergence_delta(
            self, attributions, start_point, end_point, target, additional_forward_args
        )
        return found

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether its heatmaps have the inputs as a factor, so that their sum is in logits."""
        kind, _, name = self._request.method.name.partition(":")
        if kind == "captum":
            of_captum = captum_attribution(name, self.classifier, "pixel", self._request.layer)
            return bool(of_captum.multiplies_by_inputs)
        return kind in MULTIPLIED

    def _in_model_space(self, baseline: Any) -> Any:
        """A baseline as `heatlift.attribute` takes it, which has it in model space whatever the heatmaps'."""
        if not isinstance(baseline, (Tensor, int, float)):
            raise HeatliftError(f"baselines of type {type(baseline).__name__}: give a number or a tensor")
        return self.classifier.normalise(torch.as_tensor(baseline, dtype=self.classifier.dtype))


def _bare(classifier: Classifier) -> Classifier:
    """The same classifier, of the same network, without preprocessing: it takes what the network takes."""
    twin = copy(classifier)
    twin.mean, twin.std = torch.zeros_like(classifier.mean), torch.ones_like(classifier.std)
    return twin


def _single(given: Any, what: str) -> Any:
    """What a tuple of one holds."""
    if isinstance(given, tuple):
        if len(given) != 1:
            raise HeatliftError(f"{len(given)} {what}: a Classifier takes one tensor of images")
        return given[0]
    return given


def _classes(target: CaptumTarget) -> Tensor | int | None:
    """Captum's ways to name classes as ours; a tensor of one element means that class for all images."""
    if target is None or isinstance(target, int):
        return target
    classes = torch.as_tensor(target)
    return classes.reshape(()) if isinstance(target, Tensor) and classes.numel() == 1 else classes
