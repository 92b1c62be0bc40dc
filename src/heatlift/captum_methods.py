"""``captum:NAME``: the attribution methods of Captum, as methods of ours.

Captum's own defaults hold, except where it has none that works for images: a baseline is always given,
and methods that switch features off take patches for features, not single pixels. Where Captum is known
to be wrong on some networks without saying so, its result is checked.
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heatlift.backward import Rule
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.method import Method
from heatlift.passes import Passes
from heatlift.streams import digest, image_seed
from heatlift.subject import Subject
from heatlift.types import Space

PATCHES = 8
"""Patches along each side, for methods that switch parts of the image off."""

UNSUITED = {
    "NoiseTunnel": "it wraps another method: use smoothgrad",
    "FeaturePermutation": "it mixes the images of a batch",
    "LayerFeaturePermutation": "it mixes the images of a batch",
    "ShapleyValues": "it needs 2 to the number of patches passes: use captum:ShapleyValueSampling",
    "LimeBase": "it needs functions of your own: use captum:Lime",
    "DataLoaderAttribution": "it explains a whole data set",
    "LLMAttribution": "it explains text",
    "LLMGradientAttribution": "it explains text",
}
"""Attribution classes of Captum that give no heatmap of an image by themselves, and why."""

RANDOM = ("GradientShap", "LayerGradientShap", "KernelShap", "Lime", "ShapleyValueSampling")
"""Classes that draw random numbers, from global generators: they get one image and its own seed at a time."""

RULES: Mapping[str, Rule] = {
    "GuidedBackprop": "guided",
    "GuidedGradCam": "guided",
    "Deconvolution": "deconvolution",
}
"""Classes that replace the gradient of ReLU modules, and see no other ReLU."""

COMPLETE = ("IntegratedGradients", "DeepLift")
"""Classes whose maps must add up to the logit's rise from the baseline."""


def captum_method(name: str) -> Method:
    """The method of one of Captum's attribution classes.

    Raises:
        HeatliftError: there is none of that name, or it gives no heatmap of an image.
    """
    kind = _class(name)
    takes_layer = "layer" in inspect.signature(kind.__init__).parameters
    return Method(
        f"captum:{name}",
        f"{name} (Captum)",
        "Captum, Kokhlikyan et al. 2020",
        "what Captum needs: ReLUs that are modules of their own" if name in RULES else "what Captum needs",
        runs=partial(_run, name),
        layer="last" if takes_layer else None,
        options=None,
        complete=name in COMPLETE,
        approximate=name == "IntegratedGradients",
    )


def _class(name: str) -> Any:
    import captum.attr

    kind = getattr(captum.attr, name, None)
    reason = UNSUITED.get(name)
    if inspect.isclass(kind) and issubclass(kind, captum.attr.NeuronAttribution):
        reason = "it explains a single neuron"
    if reason is not None:
        raise HeatliftError(f"captum:{name} gives no heatmap of an image: {reason}")
    if not (
        inspect.isclass(kind) and issubclass(kind, captum.attr.Attribution) and hasattr(kind, "attribute")
    ):
        from difflib import get_close_matches

        close = get_close_matches(name, captum.attr.__all__, n=1)
        raise HeatliftError(
            f"unknown method 'captum:{name}': give one of Captum's attribution classes, "
            f"such as captum:{close[0] if close else 'IntegratedGradients'}"
        )
    return kind


def _run(name: str, subject: Subject, layer: str | None, seed: int = 0, **options: Any) -> Tensor:
    """Heatmaps (n, 3, h, w) of one of Captum's classes."""
    if name in RULES:
        _check_relus(name, subject)
    if name not in RANDOM:
        return _attributed(name, subject, layer, options)
    found = []
    for i in range(len(subject.inputs)):
        with _seeded(image_seed(seed, digest(subject.images[i]), f"captum:{name}")):
            found.append(_attributed(name, _single(subject, i), layer, options))
    return torch.cat(found)


def captum_attribution(name: str, classifier: Classifier, space: Space, layer: str | None) -> Any:
    """One of Captum's attributions, of a classifier."""
    modules = [] if layer is None else [classifier.network.get_submodule(layer)]
    return _class(name)(Seam(classifier, space), *modules)


def _attributed(name: str, subject: Subject, layer: str | None, options: Mapping[str, Any]) -> Tensor:
    kind = _class(name)
    arguments = _arguments(kind, subject) | dict(options)
    unknown = [key for key in arguments if key not in inspect.signature(kind.attribute).parameters]
    if unknown:
        raise HeatliftError(f"captum:{name} takes no option '{unknown[0]}'")
    if layer is not None and "GradCam" in name:
        _check_planes(subject.classifier, layer)
    with warnings.catch_warnings():
        # It warns of hooks that it removes, and of gradients that it switches on.
        warnings.simplefilter("ignore")
        attribution = captum_attribution(name, subject.classifier, subject.space, layer)
        found = attribution.attribute(subject.inputs.detach().clone(), **arguments)
    found = found[0] if isinstance(found, tuple) else found
    if layer is not None and name.startswith(("Layer", "Internal")):
        return _of_layer(found, subject, layer)
    tensor: Tensor = found
    return tensor


def _of_layer(found: Tensor, subject: Subject, layer: str) -> Tensor:
    """A layer's attributions, summed over the channels and brought to the image's size."""
    fmap = subject.classifier.feature_maps[layer]
    coarse = found if fmap.arrangement == "planes" else fmap.planes(found)
    coarse = coarse.sum(dim=1, keepdim=True)
    fine = nn.functional.interpolate(coarse, size=subject.inputs.shape[2:], mode="bilinear")
    return fine.expand_as(subject.inputs)


def _check_planes(classifier: Classifier, layer: str) -> None:
    """Refuse what Captum would silently average over the wrong dimensions."""
    arrangement = classifier.feature_maps[layer].arrangement
    if arrangement != "planes":
        raise Refused(f"Captum takes '{layer}' for planes, and it gives {arrangement}: use layer_gradcam")


def _arguments(kind: Any, subject: Subject) -> dict[str, Any]:
    """What a class of Captum must be given for images, of what it takes."""
    height, width = subject.inputs.shape[2:]
    patch = (-(-height // PATCHES), -(-width // PATCHES))
    rows = torch.arange(height, device=subject.inputs.device) // patch[0]
    columns = torch.arange(width, device=subject.inputs.device) // patch[1]
    given = {
        "target": subject.target,
        "baselines": subject.start.expand_as(subject.inputs),
        "feature_mask": (rows.view(-1, 1) * PATCHES + columns)[None, None],
        "sliding_window_shapes": (3, *patch),
        "strides": (3, -(-patch[0] // 2), -(-patch[1] // 2)),
        "internal_batch_size": len(subject.inputs),
    }
    takes = dict(inspect.signature(kind.attribute).parameters)
    if kind.__name__.startswith("Layer"):
        # Here a mask would be one of the layer's own units.
        takes = {key: value for key, value in takes.items() if key != "feature_mask"}
    return {key: value for key, value in given.items() if key in takes}


class Seam(nn.Module):
    """A classifier as the module that Captum wants: images in a space -> the number explained per class."""

    def __init__(self, classifier: Classifier, space: Space) -> None:
        super().__init__()
        self.network = classifier.network
        # Kept in a tuple: a classifier is no part of the module.
        self._seam = (classifier, space)

    def forward(self, inputs: Tensor) -> Tensor:
        classifier, space = self._seam
        logits: Tensor = classifier(inputs, space)
        return logits - logits.flip(1) if classifier.single_output else logits


def _single(subject: Subject, i: int) -> Subject:
    """One image of a subject."""
    one = slice(i, i + 1)
    return Subject(
        subject.classifier,
        subject.images[one],
        subject.inputs[one],
        subject.target[one],
        subject.logits[one],
        subject.space,
        subject.start[one] if len(subject.start) > 1 else subject.start,
    )


def _check_relus(name: str, subject: Subject) -> None:
    """Refuse a class whose hooks miss ReLU calls of this network: what it gives is something else then."""
    rule = RULES[name]
    passes = Passes(subject.classifier, subject.inputs, subject.target, space=subject.space, rules=True)
    calls = passes.relu_calls()
    ours = passes.gradient(rule)
    theirs = _attributed("GuidedBackprop" if rule == "guided" else "Deconvolution", subject, None, {})
    if not torch.allclose(theirs, ours, rtol=0.01, atol=0.001 * float(ours.abs().max())):
        raise Refused(
            f"Captum's hooks do not reach all of the network's {calls} ReLU calls as they should: "
            f"use {'guided_backprop' if rule == 'guided' else 'deconvolution'}"
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The global generators of torch, numpy and Python, seeded inside and afterwards as before."""
    state, others = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
            random.setstate(others)
