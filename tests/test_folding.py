"""A folded network is the same network, up to rounding, and the original is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift import Classifier, attribute
from heatlift.folding import folded, sparing
from networks import calibrated, classifier, images


def norms_left(clf: Classifier) -> int:
    """How many batch norms still run as such."""
    assert clf.folding is not None
    norms = [m for m in clf.network.modules() if isinstance(m, nn.BatchNorm2d)]
    return len(norms) - len(clf.folding.folded)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "left"),
    [("resnet18", 0), ("googlenet", 2), ("efficientnet_b0", 0), ("densenet121", 62), ("swin_t", 0)],
)
def test_logits_and_heatmaps_are_those_of_the_network(name: str, left: int) -> None:
    # In float64, where rounding can't hide a mistake. DenseNet normalises concatenations, and
    # two of GoogLeNet's norms are those of its side outputs, which do not run.
    clf, x = classifier(name), images(2)
    twin = folded(clf)
    assert twin is not clf
    assert norms_left(twin) == left
    torch.testing.assert_close(twin(x), clf(x), rtol=1e-9, atol=1e-10)
    target = clf(x).argmax(dim=1)
    for method in ("saliency", "deeplift"):
        exact = attribute(clf, x, method, target)
        scale = float(exact.abs().max())
        torch.testing.assert_close(attribute(twin, x, method, target), exact, rtol=1e-6, atol=1e-7 * scale)


def test_the_network_itself_is_untouched() -> None:
    clf = classifier("resnet18")
    before = {name: value.clone() for name, value in clf.network.state_dict().items()}
    strides = {name: value.stride() for name, value in clf.network.state_dict().items()}
    x = images(2)
    expected = clf.network(clf.normalise(x))
    folded(clf)(x)
    after = clf.network.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert all(value.stride() == strides[name] for name, value in after.items())
    assert torch.equal(clf.network(clf.normalise(x)), expected)
    assert clf.folding is None


def test_a_layer_whose_output_is_wanted_keeps_its_own() -> None:
    clf, x = classifier("resnet18"), images(2)
    for layer in ("conv1", "bn1", "layer2.0.conv2", "layer4"):
        twin = sparing(folded(clf), [layer])
        assert norms_left(twin) == (1 if "conv" in layer else 0)
        exact = attribute(clf, x, f"layer_gradcam@{layer}", target=1)
        found = attribute(twin, x, f"layer_gradcam@{layer}", target=1)
        torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-9 * float(exact.abs().max()))


def test_a_block_that_ends_with_a_convolution_keeps_it() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3)), nn.BatchNorm2d(6), nn.Flatten()
    ).double()
    calibrated(network, images(4, 16))
    clf, x = Classifier(network, size=16), images(2, 16)
    assert norms_left(folded(clf)) == 0
    twin = sparing(folded(clf), ["0"])
    assert norms_left(twin) == 1
    exact = attribute(clf, x, "layer_gradcam@0", target=1)
    torch.testing.assert_close(attribute(twin, x, "layer_gradcam@0", target=1), exact)


def test_a_method_that_runs_the_network_sees_its_own_weights() -> None:
    # Such as one that makes weights random for a while, or Captum's LRP.
    clf, x = classifier("resnet18"), images(1)

    def without_the_first_layer(given: Classifier, images: Tensor, target: Tensor) -> Tensor:
        weight = given.network.conv1.weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.zero_()
            changed = given(images)
            weight.copy_(kept)
        return torch.full_like(images, float((changed - given(images)).abs().max()))

    expected = attribute(clf, x, without_the_first_layer)
    assert float(expected.max()) > 0
    torch.testing.assert_close(attribute(folded(clf), x, without_the_first_layer), expected)


class Shaped(nn.Module):
    """A convolution and a batch norm, joined in some way."""

    def __init__(self, join: Callable[[Shaped, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.again = nn.Conv2d(6, 6, 1)
        self.norm = nn.BatchNorm2d(6)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self, x).mean(dim=(2, 3))


def standardised(net: Shaped, x: Tensor) -> Tensor:
    weight = net.conv.weight - net.conv.weight.mean()
    return net.norm(F.conv2d(x, weight, net.conv.bias, padding=1))


def own(net: Shaped, x: Tensor) -> Tensor:
    return F.batch_norm(net.conv(x), net.norm.running_mean, net.norm.running_var, training=True, momentum=0.0)


def twice(net: Shaped, x: Tensor) -> Tensor:
    first = net.norm(net.again(net.conv(x)))
    return net.norm(net.again(first))


NOT_FOLDABLE: dict[str, Callable[[Shaped, Tensor], Tensor]] = {
    "the convolution is used elsewhere": lambda net, x: (y := net.conv(x)) + net.norm(y),
    "a ReLU between": lambda net, x: net.norm(net.conv(x).relu_()),
    "weights made anew": standardised,
    "both run twice": twice,
    "the image's own statistics": lambda net, x: torch.cat([own(net, one) for one in x.split(1)]),
    "no convolution before": lambda net, x: net.norm(torch.cat([x, x], dim=1)),
}


@pytest.mark.parametrize("case", NOT_FOLDABLE)
def test_what_can_t_be_folded_is_not(case: str) -> None:
    network = Shaped(NOT_FOLDABLE[case]).double()
    calibrated(network, images(4, 16))
    clf, x = Classifier(network, size=16), images(3, 16)
    twin = folded(clf)
    assert norms_left(twin) == 1
    torch.testing.assert_close(twin(x), clf(x), rtol=1e-12, atol=1e-14)


def test_a_norm_without_weights_and_a_convolution_without_bias() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6, affine=False), nn.ReLU(), nn.Flatten()
    ).double()
    calibrated(network, images(4, 8))
    clf, x = Classifier(network, size=8), images(3, 8)
    twin = folded(clf)
    assert norms_left(twin) == 0
    torch.testing.assert_close(twin(x), clf(x), rtol=1e-10, atol=1e-12)


def test_it_works_in_bfloat16() -> None:
    clf = Classifier(classifier("resnet18", dtype=torch.float32).network, size=64, precision="bf16")
    x = images(2, dtype=torch.float32)
    with torch.no_grad():
        near, exact = folded(clf)(x), clf.in_float32()(x)
    assert not torch.equal(near, exact)
    assert float((near - exact).abs().max()) < 0.05 * float(exact.abs().max())
