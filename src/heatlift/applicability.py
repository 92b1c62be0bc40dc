"""Which attribution methods apply to a network, tried on it rather than guessed from its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from heatlift.attributor import Attribution, Attributor
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.method import Request
from heatlift.registry import requested
from heatlift.subject import COMPLETENESS_TOLERANCE
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


def tried(
    classifier: Classifier, names: Sequence[str], images: Tensor, space: Space = "model", seed: int = 0
) -> list[Trial]:
    """Every named method on some images (n, 3, h, w) in [0, 1], in the order of the names.

    Raises:
        HeatliftError: an unknown method or layer, or a network that gives every image the same logits.
    """
    with torch.no_grad():
        first, second = classifier(noise(classifier, 2, seed))
    if torch.equal(first, second):
        raise HeatliftError(
            f"{classifier.name} gives every image the same logits: does it have the weights of a trained "
            "network?"
        )
    understood: dict[str, Request | Refused] = {}
    for name in names:
        try:
            understood[name] = requested(classifier, name, seed=seed)
        except Refused as refusal:
            understood[name] = refusal
    short = [
        replace(request, options={**request.options, **request.method.trial})
        for request in understood.values()
        if isinstance(request, Request)
    ]
    found = Attributor(classifier, short, space)(images) if short else {}
    return [_trial(name, understood[name], found.get(name)) for name in names]


def noise(classifier: Classifier, n: int, seed: int = 0) -> Tensor:
    """Images of uniform noise (n, 3, h, w) in [0, 1] of the classifier's input size."""
    return torch.rand(n, 3, *classifier.framing.crop, generator=torch.Generator().manual_seed(seed))


def certificate(trial: Trial) -> dict[str, Any]:
    """What shows that a method applies, as plain values for a record."""
    found = trial.found
    if found is None:
        return {}
    facts: dict[str, Any] = {}
    if found.relu_calls is not None:
        facts["relu_calls"] = found.relu_calls
    if found.calls is not None:
        facts["calls"] = dict(found.calls)
    if found.completeness is not None and not _approximate(trial):
        facts["completeness_on_noise"] = float(found.completeness.max())
    return facts


def _approximate(trial: Trial) -> bool:
    """Whether a method's sum is checked for each image, and a short run says nothing of it."""
    return trial.request is not None and trial.request.method.approximate


def _trial(name: str, request: Request | Refused, found: Attribution | Refused | None) -> Trial:
    if isinstance(request, Refused):
        return Trial(name, None, str(request), None)
    if found is None or isinstance(found, Refused):
        return Trial(name, request, str(found), None)
    if not bool(found.heatmaps.isfinite().all()):
        return Trial(name, request, "its heatmaps are not finite", found)
    if not found.complete and not request.method.approximate:
        assert found.completeness is not None
        missed = float(found.completeness.max())
        reason = f"its sum misses the logit's rise by {missed:.1%} (at most {COMPLETENESS_TOLERANCE:.0%})"
        return Trial(name, request, reason, found)
    return Trial(name, request, None, found)
