"""Which attribution methods apply to a network, tried on it rather than guessed from its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from heatlift.attribution import COMPLETENESS_TOLERANCE, Attribution, Attributor
from heatlift.classifier import Classifier
from heatlift.errors import Refused
from heatlift.registry import METHODS, Request, requested
from heatlift.types import Space


@dataclass(frozen=True)
class Trial:
    """How one method did on a network.

    Attributes:
        name: the method's.
        request: what it was understood as; None where that was refused already.
        why_not: why it does not apply; None where it does.
        found: its heatmaps and certificates, where it applies.
    """

    name: str
    request: Request | None
    why_not: str | None
    found: Attribution | None


def applicable(
    classifier: Classifier, names: Sequence[str], space: Space, seed: int
) -> tuple[list[Request], dict[str, str]]:
    """The methods that apply, and the others each with the reason, found out on one image of noise.

    Raises:
        HeatliftError: an unknown method or layer.
    """
    trials = tried(classifier, names, noise(classifier, 1, seed), space)
    requests = [trial.request for trial in trials if trial.request is not None and trial.why_not is None]
    reasons = {
        trial.name: f"{trial.name} does not apply to {classifier.name}: {trial.why_not}"
        for trial in trials
        if trial.why_not is not None
    }
    return requests, reasons


def tried(
    classifier: Classifier, names: Sequence[str], images: Tensor, space: Space = "model"
) -> list[Trial]:
    """Every named method on some images (n, 3, h, w) in [0, 1], in the order of the names.

    Raises:
        HeatliftError: an unknown method or layer.
    """
    understood: dict[str, Request | Refused] = {}
    for name in names:
        try:
            understood[name] = requested(classifier, name)
        except Refused as refusal:
            understood[name] = refusal
    requests = [request for request in understood.values() if isinstance(request, Request)]
    found = Attributor(classifier, requests, space)(images) if requests else {}
    return [_trial(name, understood[name], found.get(name)) for name in names]


def noise(classifier: Classifier, n: int, seed: int = 0) -> Tensor:
    """Images of uniform noise (n, 3, h, w) in [0, 1] of the classifier's input size."""
    return torch.rand(n, 3, *classifier.framing.crop, generator=torch.Generator().manual_seed(seed))


def shown(trial: Trial) -> str:
    """What shows that a method applies, or why it does not, in words."""
    if trial.why_not is not None or trial.found is None or trial.request is None:
        return trial.why_not or ""
    if trial.found.completeness is not None:
        return f"completeness holds to {float(trial.found.completeness.max()):.1e} (relative, float32)"
    if trial.found.relu_calls is not None:
        return f"its rule reaches {trial.found.relu_calls} ReLU calls"
    if trial.request.layer is not None:
        return f"layer {trial.request.layer}; others with {trial.request.method.name}@NAME"
    return METHODS[trial.request.method.name].source


def _trial(name: str, request: Request | Refused, found: Attribution | Refused | None) -> Trial:
    if isinstance(request, Refused):
        return Trial(name, None, str(request), None)
    if found is None or isinstance(found, Refused):
        return Trial(name, request, str(found), None)
    if found.completeness is not None and not bool((found.completeness <= COMPLETENESS_TOLERANCE).all()):
        missed = float(found.completeness.max())
        return Trial(name, request, f"its sum misses the logit's rise by {missed:.1%} on noise", found)
    return Trial(name, request, None, found)
