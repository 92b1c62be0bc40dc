"""What needs gradients has them, also where the caller has switched them off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import heatlift as hl
from networks import small

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = [name for name in hl.methods() if name not in ("integrated_gradients", "smoothgrad")]

WORK: dict[str, Callable[[hl.Classifier, Tensor], Any]] = {
    "attribute": lambda clf, x: torch.stack([hl.attribute(clf, x, name) for name in METHODS]),
    "attribute, layer": lambda clf, x: hl.attribute(clf, x, "layer_gradcam", layer="last"),
    "GAX": lambda clf, x: hl.GAX(max_steps=3)(clf, x).heatmaps,
    "Spotlight": lambda clf, x: hl.Spotlight(steps=3)(clf, x).heatmaps,
    "UndesirablePixels": lambda clf, x: hl.UndesirablePixels(steps=3, resolution=4, kernel=3)(clf, x).masks,
    "explain": lambda clf, x: hl.explain(clf, x[0], fast=True).changes[-1].heatmap,
}


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", WORK)
def test_a_caller_without_gradients_gets_the_same(name: str, off: Callable[[], Any]) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network = small().network
    expected = WORK[name](hl.Classifier(network, size=32), images)
    with off():
        found = WORK[name](hl.Classifier(network, size=32), images.clone())
    assert torch.equal(found, expected)
    assert expected.abs().max() > 0


def test_a_network_made_in_inference_mode_is_refused() -> None:
    with torch.inference_mode():
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    with pytest.raises(hl.HeatliftError, match=r"made in torch\.inference_mode"):
        hl.Classifier(network, size=8)


def test_a_network_loaded_in_inference_mode_can_be_explained_outside() -> None:
    with torch.inference_mode():
        clf = hl.load("networks:small")
    assert hl.attribute(clf, torch.rand(1, 3, *clf.framing.crop), "deeplift").abs().max() > 0
