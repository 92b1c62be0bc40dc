"""Captum's methods by name: its own values, its known mistakes refused, and nothing left behind."""

from __future__ import annotations

import random
import warnings

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor

from heatlift import Classifier, HeatliftError, Refused, attribute
from heatlift.registry import requested
from networks import classifier, images, small


def plain(size: int = 64) -> tuple[Classifier, Tensor]:
    return classifier("alexnet", size), images(2, size)


@pytest.mark.parametrize(
    "name", ["Saliency", "InputXGradient", "GuidedBackprop", "Deconvolution", "Occlusion"]
)
def test_gives_what_captum_gives(name: str) -> None:
    clf, x = plain()
    inputs, target = clf.normalise(x), torch.tensor([3, 7])
    options = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 32, 32)} if name == "Occlusion" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = getattr(captum.attr, name)(clf.network)
        expected = kind.attribute(inputs.clone().requires_grad_(), target=target, **options)
    found = attribute(clf, x, f"captum:{name}", target, **options)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "ours"), [("GuidedBackprop", "guided_backprop"), ("Deconvolution", "deconvolution")]
)
def test_relu_hooks_that_miss_functional_relus_are_refused(name: str, ours: str) -> None:
    # DenseNet ends with a functional ReLU, which Captum passes over without a word.
    with pytest.raises(Refused, match=rf"hooks do not reach all of the network's 121 ReLU calls.*use {ours}"):
        attribute(classifier("densenet121"), images(1), f"captum:{name}")


def test_a_network_without_relus_is_refused() -> None:
    with pytest.raises(Refused, match="calls none"):
        attribute(classifier("vit_tiny"), images(1), "captum:GuidedBackprop")


def test_what_captum_raises_is_said_and_the_network_is_left_as_it_was() -> None:
    clf, x = classifier("resnet18"), images(1)
    before = [(dict(vars(m)), len(m._forward_hooks), len(m._backward_hooks)) for m in clf.network.modules()]
    with pytest.raises(Refused, match="it raised"):
        attribute(clf, x, "captum:DeepLift")  # one ReLU module is used twice
    after = [(dict(vars(m)), len(m._forward_hooks), len(m._backward_hooks)) for m in clf.network.modules()]
    assert [(set(a), b, c) for a, b, c in after] == [(set(a), b, c) for a, b, c in before]


def test_deeplift_s_completeness_is_checked() -> None:
    # Overlapping max-pooling windows: Captum's multipliers do not add up there, and it says nothing.
    clf, x = plain()
    with pytest.raises(Refused, match="captum:DeepLift is not complete on alexnet: its sum misses"):
        attribute(clf, x, "captum:DeepLift", baseline=torch.rand(1, 3, 64, 64, dtype=torch.float64))
    assert (
        attribute(clf, x, "deeplift", baseline=torch.rand(1, 3, 64, 64, dtype=torch.float64)).shape == x.shape
    )


@pytest.mark.parametrize("name", ["GradientShap", "KernelShap", "Lime"])
def test_random_methods_are_keyed_by_seed_and_image(name: str) -> None:
    clf, x = small(), images(2, 32, torch.float32)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = attribute(clf, x, f"captum:{name}", seed=1)
    assert torch.equal(first, attribute(clf, x, f"captum:{name}", seed=1))
    assert not torch.equal(first, attribute(clf, x, f"captum:{name}", seed=2))
    assert torch.equal(attribute(clf, x[1:], f"captum:{name}", seed=1)[0], first[1])
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValueSampling"])
def test_features_are_patches(name: str) -> None:
    clf, x = small(), images(1, 32, torch.float32)
    found = attribute(clf, x, f"captum:{name}")
    patches = found.unfold(2, 4, 4).unfold(3, 4, 4)
    assert torch.equal(patches, patches[..., :1, :1].expand_as(patches))
    assert len(found.unique()) > 16


def test_layers_are_brought_to_the_image_s_size() -> None:
    clf, x = classifier("resnet18"), images(1)
    coarse = captum.attr.LayerGradientXActivation(clf.network, clf.network.layer3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        summed = coarse.attribute(clf.normalise(x), target=int(clf(x).argmax())).sum(dim=1, keepdim=True)
    expected = torch.nn.functional.interpolate(summed, size=(64, 64), mode="bilinear").expand_as(x)
    torch.testing.assert_close(attribute(clf, x, "captum:LayerGradientXActivation@layer3"), expected.detach())
    assert requested(clf, "captum:LayerGradCam").layer == "layer4.1.conv2"


def test_gradcam_of_captum_is_refused_on_tokens() -> None:
    with pytest.raises(Refused, match=r"for planes, and it gives tokens: use layer_gradcam"):
        attribute(classifier("vit_tiny"), images(1), "captum:LayerGradCam@blocks.3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("captum:Nothing", "unknown method 'captum:Nothing': give one of Captum's attribution classes"),
        ("captum:Saliancy", "such as captum:Saliency"),
        ("captum:NoiseTunnel", "it wraps another method: use smoothgrad"),
        ("captum:NeuronGradient", "explains a single neuron"),
        ("captum:visualization", "unknown method"),
        ("captum:Saliency@conv1", "captum:Saliency takes no layer"),
        ("captum:", "unknown method 'captum:'"),
    ],
)
def test_bad_names_are_said(name: str, message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        attribute(small(), images(1, 32, torch.float32), name)


def test_unknown_options_are_said() -> None:
    with pytest.raises(HeatliftError, match="captum:Saliency takes no option 'steps'"):
        attribute(small(), images(1, 32, torch.float32), "captum:Saliency", steps=3)
