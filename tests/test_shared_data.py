"""Real networks on real data beside the checkout; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import heatlift as hl
from heatlift import Classifier, load
from heatlift.data import find_images
from heatlift.images import batches


def accuracy(clf: Classifier, folder: Path, limit: int | None = None) -> float:
    data = find_images(folder, clf.num_classes, clf.classes)
    correct = total = 0
    for batch in batches(data.shuffled(0)[:limit], clf.framing, 16):
        assert not batch.failed
        with torch.no_grad():
            predicted = clf(batch.images).argmax(dim=1).tolist()
        correct += sum(p == item.label for p, item in zip(predicted, batch.items, strict=True))
        total += len(batch.items)
    return correct / total


def test_the_demo_network_is_right_on_most_imagenet_photographs(shared: Path) -> None:
    # About 88% of all 600; five standard errors below that for 96 of them.
    assert accuracy(load("demo"), shared / "data" / "imagenet-sample", limit=96) > 0.88 - 5 * 0.033


@pytest.mark.slow
def test_the_x_ray_network_has_its_published_accuracy(shared: Path) -> None:
    weights = shared / "models" / "chest-xray-resnet34.safetensors"
    options = {"num_classes": 2, "mean": (0, 0, 0), "std": (1, 1, 1), "size": 224}
    clf = load("torchvision:resnet34", weights, **options)  # type: ignore[arg-type]
    # 0.75 on all test images, of which these are half: within two standard errors.
    assert abs(accuracy(clf, shared / "data" / "chest-xray" / "test") - 0.75) < 0.05


def test_lifts_of_photographs_carry_over_to_a_network_that_took_no_part(shared: Path) -> None:
    clf, second = hl.load("demo"), hl.load("demo-lite2")
    data = find_images(shared / "data" / "imagenet-sample", clf.num_classes, clf.classes)
    (batch, *_) = batches(data.shuffled(3)[:8], clf.framing, 8)
    labels = torch.tensor([item.label for item in batch.items])

    def believed(images: Tensor) -> float:
        with torch.no_grad():
            return float(second(second.resized(images)).softmax(1)[torch.arange(8), labels].mean())

    gax = hl.GAX(target_co=24.0)(clf, batch.images, labels)
    assert bool(gax.reached.all())
    spotlight = hl.Spotlight(steps=40)(clf, batch.images, labels)
    assert float((spotlight.p_after - spotlight.p_before).mean()) > 0.1
    assert believed(spotlight.augmented) > believed(batch.images)
