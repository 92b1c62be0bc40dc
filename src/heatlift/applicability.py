"""Which attribution methods apply to a network, tried on it rather than guessed from its name."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from heatlift.attribution import METHODS, Attributor, Request, requested
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError, Refused
from heatlift.types import Space


def refusals(classifier: Classifier, requests: Sequence[Request], space: Space, seed: int) -> dict[str, str]:
    """The methods that do not apply, each with the reason, found out on one image of noise."""
    found = Attributor(classifier, requests, space)(_noise(classifier, 1, seed))
    return {name: str(result) for name, result in found.items() if isinstance(result, Refused)}


def applicability(classifier: Classifier, seed: int = 0) -> list[tuple[str, bool, str]]:
    """Every method's name, whether it applies, and what shows it (or why not), on two images of noise."""
    rows = []
    for name, method in METHODS.items():
        try:
            request = requested(classifier, name)
            result = Attributor(classifier, [request])(_noise(classifier, 2, seed))[name]
            if isinstance(result, Refused):
                raise result
        except HeatliftError as refusal:
            rows.append(
                (name, False, str(refusal).removeprefix(f"{name} does not apply to {classifier.name}: "))
            )
            continue
        shown = method.source
        if result.relu_calls is not None:
            shown = f"its rule reaches {result.relu_calls} ReLU calls"
        if result.completeness is not None:
            shown = f"completeness holds to {float(result.completeness.max()):.1e} (relative, float32)"
        if request.layer is not None:
            shown = f"first convolution: {request.layer}; others with {name}@NAME"
        rows.append((name, True, shown))
    return rows


def _noise(classifier: Classifier, n: int, seed: int) -> torch.Tensor:
    return torch.rand(n, 3, *classifier.framing.crop, generator=torch.Generator().manual_seed(seed))
