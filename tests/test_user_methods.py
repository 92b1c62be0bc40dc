"""Attribution methods of the user's own, as callables and by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from heatlift import Classifier, HeatliftError, Refused, attribute
from networks import images, small

X = images(2, 32, torch.float32)


def brightness(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    assert images.shape[1] == 3
    assert target.shape == (len(images),)
    return images.mean(dim=1, keepdim=True)


def test_a_callable_gets_pixels_and_targets() -> None:
    seen: list[Any] = []

    def method(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        seen.extend([images, target, classifier.network.training])
        return images

    clf = small()
    clf.network.train()
    assert torch.equal(attribute(clf, X, method, target=2), X)
    assert torch.equal(seen[0], X)
    assert seen[1].tolist() == [2, 2]
    assert not seen[2]
    assert clf.network.training


@pytest.mark.parametrize(
    "give",
    [
        lambda x: x.mean(dim=1, keepdim=True),
        lambda x: x.mean(dim=1),
        lambda x: x.mean(dim=1).numpy(),
        lambda x: x.mean(dim=1).double(),
    ],
)
def test_one_channel_stands_for_all(give: Any) -> None:
    found = attribute(small(), X, lambda classifier, images, target: give(images))
    torch.testing.assert_close(found, X.mean(dim=1, keepdim=True).expand_as(X))
    assert found.dtype == torch.float32


def test_a_gradient_of_one_s_own_is_possible() -> None:
    def gradient(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        images.requires_grad_()
        classifier(images).gather(1, target[:, None]).sum().backward()
        assert images.grad is not None
        return images.grad

    clf = small()
    with torch.no_grad():
        found = attribute(clf, X, gradient, space="pixel")
    torch.testing.assert_close(found, attribute(clf, X, "saliency", space="pixel"))
    assert all(p.grad is None for p in clf.network.parameters())


def test_hooks_that_a_function_leaves_behind_are_removed() -> None:
    def careless(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
        for module in classifier.network.modules():
            module.register_forward_hook(lambda module, args, output: None)
            module.note = "here"  # type: ignore[assignment]
        raise ValueError("and gone")

    clf = small()
    with pytest.raises(
        Refused, match=r"it raised ValueError: and gone \(.*test_user_methods\.py, line \d+\)"
    ):
        attribute(clf, X, careless)
    assert not any(m._forward_hooks or hasattr(m, "note") for m in clf.network.modules())


def test_by_name() -> None:
    name = f"{Path(__file__).stem}:brightness"
    torch.testing.assert_close(attribute(small(), X, name), X.mean(dim=1, keepdim=True).expand_as(X))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("nowhere.at_all:method", "unknown method 'nowhere.at_all:method'"),
        ("test_user_methods:missing", "module test_user_methods has no 'missing'"),
        ("test_user_methods:X", "is a Tensor: it must be a function"),
        (lambda classifier, images, target: None, "it returned NoneType: return a tensor"),
        (lambda classifier, images, target: images[:, :, :4], r"it returned shape \(2, 3, 4, 32\)"),
        (lambda classifier, images, target: np.array(["a"]), "it raised TypeError"),
        (lambda images: images, "it raised TypeError"),
    ],
)
def test_what_can_t_be_used_is_said(method: Any, message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        attribute(small(), X, method)
