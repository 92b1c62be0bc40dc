"""Spotlights: what the method promises, checked on real networks and photographs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift import Classifier, HeatliftError, Spotlight
from heatlift.views import viewed
from networks import classifier
from pictures import photographs


@pytest.fixture(scope="module")
def clf() -> Classifier:
    return classifier("resnet18", dtype=torch.float32)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return photographs(6, 64)


def test_it_is_the_plain_loop(clf: Classifier, x: Tensor) -> None:
    # Without views, written from the formulas with torch's own Adam.
    image, label = x[:1], torch.tensor([4])
    w = torch.zeros(1, 3, 14, 14, requires_grad=True)
    adam = torch.optim.Adam([w], lr=0.1)
    for _ in range(10):
        h = 1 + 0.3 * torch.tanh(F.interpolate(w, size=(64, 64), mode="bicubic", align_corners=False))
        augmented = (image * h).clamp(0, 1)
        loss = -clf(augmented).log_softmax(1)[0, 4] + 5 * (augmented - image).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    h = 1 + 0.3 * torch.tanh(F.interpolate(w, size=(64, 64), mode="bicubic", align_corners=False))
    found = Spotlight(precision="fp32", steps=10, strength=0.3, resolution=14, shift=0, mirror=False)(
        clf, image, label
    )
    torch.testing.assert_close(found.heatmaps, h.detach(), rtol=0, atol=2e-3)
    torch.testing.assert_close(found.augmented, (image * found.heatmaps).clamp(0, 1))


def test_it_starts_at_the_image_and_raises_the_class(clf: Classifier, x: Tensor) -> None:
    start = Spotlight(precision="fp32", steps=0)(clf, x)
    assert torch.equal(start.heatmaps, torch.ones_like(x))
    assert torch.equal(start.score, torch.zeros(6))
    with torch.no_grad():
        wanted = clf(x).argsort(dim=1)[:, -2]
    found = Spotlight(precision="fp32", steps=30, penalty=0.5)(clf, x, wanted)
    assert bool((found.p_after > found.p_before).all())
    assert torch.equal(found.reached, found.predicted_after == wanted)
    assert torch.equal(found.score, found.score_clipped)
    assert found.augmented.min() >= 0
    assert found.augmented.max() <= 1
    assert float((found.heatmaps - 1).abs().max()) <= 0.15 + 1e-6
    dearer = Spotlight(precision="fp32", steps=30, penalty=50.0)(clf, x, wanted)
    assert float((dearer.augmented - x).abs().mean()) < float((found.augmented - x).abs().mean())


@pytest.mark.parametrize("views", [1, 2])
def test_a_batch_is_its_images_one_by_one(views: int) -> None:
    clf, x = classifier("resnet18"), photographs(4, 64).double()
    method = Spotlight(precision="fp32", steps=4, views=views, batch_size=3)
    together = method(clf, x)
    for i in range(len(x)):
        single = method(clf, x[i : i + 1])
        torch.testing.assert_close(together.heatmaps[i], single.heatmaps[0], rtol=1e-7, atol=1e-9)
    assert torch.equal(method(clf, x).heatmaps, together.heatmaps)
    assert not torch.equal(
        Spotlight(precision="fp32", steps=4, views=views, seed=1)(clf, x).heatmaps, together.heatmaps
    )


def test_one_channel_darkens_all_colours_alike(clf: Classifier, x: Tensor) -> None:
    found = Spotlight(precision="fp32", steps=5, colour=False)(clf, x[:2]).heatmaps
    assert found.shape == x[:2].shape
    assert torch.equal(found[:, 0], found[:, 2])
    coloured = Spotlight(precision="fp32", steps=5)(clf, x[:2]).heatmaps
    assert not torch.equal(coloured[:, 0], coloured[:, 2])


def test_other_networks_can_be_convinced_along_with_it(clf: Classifier, x: Tensor) -> None:
    # One of another input size: images are scaled to it.
    other = classifier("squeezenet1_1", size=96, dtype=torch.float32)
    wanted = torch.full((6,), 3)
    method = Spotlight(precision="fp32", steps=25, penalty=0.5)

    def believed(found: Tensor) -> float:
        with torch.no_grad():
            return float(other(other.resized(found)).softmax(1)[:, 3].mean())

    assert believed(method(clf, x, wanted, others=[other]).augmented) > believed(
        method(clf, x, wanted).augmented
    )


def test_networks_of_other_classes_are_refused(clf: Classifier, x: Tensor) -> None:
    other = Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 4)), size=64)
    with pytest.raises(HeatliftError, match="has 4 classes, resnet18 10"):
        Spotlight()(clf, x, others=[other])


def test_views_are_shifted_and_mirrored() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4).repeat(4, 1, 1, 1)
    views = torch.tensor([[0, 0, 0], [1, 0, 0], [0, -2, 0], [0, 0, 1]])
    same, down, left, mirrored = viewed(image, views, 2)
    assert torch.equal(same, image[0])
    assert down[0, :, 0].tolist() == [0, 0, 4]
    assert left[0, 0].tolist() == [2, 3, 3, 3]
    assert mirrored[0, 0].tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": -1}, "steps -1"),
        ({"resolution": 0}, "resolution 0"),
        ({"strength": 0.0}, "strength 0.0"),
        ({"views": 0}, "views 0"),
        ({"lr": -1.0}, "lr -1.0"),
    ],
)
def test_impossible_settings_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        Spotlight(**settings)
