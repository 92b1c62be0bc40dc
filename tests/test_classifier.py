from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift import Classifier, HeatliftError, Refused, attribute, co_score
from networks import classifier, images


class Head(nn.Module):
    """Channel means through a linear layer, and then whatever a test wants."""

    def __init__(self, outputs: int, last: object = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, outputs)
        self.last = last

    def forward(self, inputs: Tensor) -> object:
        out = self.linear(inputs.mean(dim=(2, 3)))
        return out if self.last is None else self.last(out)  # type: ignore[operator]


def test_normalises_as_told() -> None:
    clf = Classifier(Head(4), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0), size=8)
    x = images(2, 8, torch.float32)
    by_hand = torch.stack([(x[:, 0] - 0.1) / 0.5, (x[:, 1] - 0.2) / 0.25, x[:, 2] - 0.3], dim=1)
    torch.testing.assert_close(clf.normalise(x), by_hand)
    assert torch.equal(clf(x), clf(clf.normalise(x), space="model"))
    torch.testing.assert_close(clf.denormalise(clf.normalise(x)), x)


@pytest.mark.parametrize("space", ["model", "pixel"])
def test_a_zero_heatmap_changes_no_logit_in_either_space(space: str) -> None:
    clf, x = classifier("resnet18", dtype=torch.float32), images(3, dtype=torch.float32)
    inputs = clf.inputs(x, space)  # type: ignore[arg-type]
    with torch.no_grad():
        before, after = clf(inputs, space), clf(inputs + torch.zeros_like(inputs), space)  # type: ignore[arg-type]
    assert co_score(before, after, torch.tensor([0, 1, 2])).eq(0).all()
    torch.testing.assert_close(before, clf(x), rtol=1e-5, atol=1e-5)


def test_one_output_is_read_as_two_logits() -> None:
    for shape in (lambda z: z, lambda z: z.squeeze(1)):
        clf, x = Classifier(Head(1, shape), size=8), images(5, 8, torch.float32)
        assert clf.num_classes == 2
        z = clf.network.linear(x.mean(dim=(2, 3))).squeeze(1)
        torch.testing.assert_close(clf(x).softmax(dim=1)[:, 1], z.sigmoid())


class Output(dict[str, Tensor]):
    """As Hugging Face models return it."""

    @property
    def logits(self) -> Tensor:
        return self["logits"]


def test_logits_are_found_in_what_networks_return() -> None:
    x = images(2, 8, torch.float32)
    plain = Classifier(Head(4), size=8)(x)
    assert torch.equal(Classifier(Head(4, lambda z: Output(logits=z)), size=8)(x), plain)
    assert torch.equal(Classifier(Head(4, lambda z: {"logits": z}), size=8)(x), plain)


@pytest.mark.parametrize(
    ("outputs", "last"),
    [
        (4, lambda z: z.softmax(dim=1)),
        (1, torch.sigmoid),
        (1, lambda z: z.sigmoid().squeeze(1)),
        (2, nn.Softmax(1)),
    ],
)
def test_probabilities_are_refused(outputs: int, last: object) -> None:
    with pytest.raises(HeatliftError, match="probabilities, not raw logits"):
        Classifier(Head(outputs, last), size=8)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (Head(4, lambda z: (z, z)), {}, "returned tuple"),
        (Head(4, lambda z: z[:, :, None]), {}, r"returned shape \(2, 4, 1\) for 2 images"),
        (Head(4, lambda z: z[:1]), {}, r"shape \(1, 4\) for 2 images"),
        (nn.Linear(5, 5), {}, r"does not run on images \(n, 3, 8, 8\)"),
        (Head(4), {"classes": ["a", "b"]}, "2 class names for 4 outputs"),
        (Head(4), {"mean": (0.5,)}, "give three values"),
        (Head(4), {"std": (0.0, 1.0, 1.0)}, "above 0"),
    ],
)
def test_what_is_no_classifier_is_said(network: nn.Module, options: dict[str, object], message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        Classifier(network, size=8, **options)  # type: ignore[arg-type]


def test_wrong_images_are_said() -> None:
    with pytest.raises(HeatliftError, match=r"shape \(3, 8, 8\): expected \(n, 3, height, width\)"):
        Classifier(Head(4), size=8)(torch.zeros(3, 8, 8))


class Fragile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3))
        self.linear = nn.Linear(3, 2)
        self.broken = False

    def forward(self, inputs: Tensor) -> Tensor:
        assert not self.training
        assert not any(p.requires_grad for p in self.parameters())
        if self.broken:
            raise RuntimeError("half-way")
        return F.relu(self.linear(self.inner(inputs).mean(dim=(2, 3))))


def test_mode_and_parameter_gradients_are_restored_also_after_an_error() -> None:
    network = Fragile()
    network.train()
    network.inner[1].eval()
    network.linear.bias.requires_grad_(False)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    clf = Classifier(network, size=8)

    def as_before() -> bool:
        modes = [m.training for m in network.modules()] == [True, True, True, False, True]
        frozen = {n for n, p in network.named_parameters() if not p.requires_grad} == {"linear.bias"}
        same = all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
        return modes and frozen and same and all(p.grad is None for p in network.parameters())

    clf(torch.rand(2, 3, 8, 8).requires_grad_()).sum().backward()
    assert as_before()
    network.broken = True
    with pytest.raises(RuntimeError, match="half-way"):
        clf(torch.rand(2, 3, 8, 8))
    assert as_before()


def test_layers_are_listed_in_the_order_they_run() -> None:
    clf = classifier("resnet18")
    names = list(clf.layers)
    assert names[0] == "conv1"
    assert clf.layers["conv1"] == (64, 32, 32)
    assert names.index("layer1") < names.index("layer4.1.conv2") < names.index("layer4")
    assert not clf.network._forward_hooks
    assert all(not m._forward_hooks for m in clf.network.modules())


def test_describe_is_plain_data() -> None:
    facts = Classifier(Head(4), size=8, classes=["a", "b", "c", "d"], name="head").describe()
    assert facts["preprocessing"] == {
        "resize": 8,
        "crop": [8, 8],
        "interpolation": "bilinear",
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
    }
    assert (facts["parameters"], facts["classes"], facts["num_classes"]) == (16, ["a", "b", "c", "d"], 4)


def test_a_network_that_squeezes_its_output_keeps_its_classes_for_one_image() -> None:
    clf = Classifier(Head(4, lambda z: z.squeeze()), size=8)
    x = images(3, 8, torch.float32)
    assert clf(x[:1]).shape == (1, 4)
    torch.testing.assert_close(clf(x)[:1], clf(x[:1]))
    single = Classifier(Head(1, lambda z: z.squeeze()), size=8)
    assert single(x[:1]).shape == (1, 2)
    torch.testing.assert_close(single(x)[:1], single(x[:1]))


def test_the_two_readings_of_one_output_explain_opposite_things() -> None:
    clf, x = Classifier(Head(1), size=8), images(3, 8, torch.float32)
    for method in ("saliency", "input_x_gradient", "deeplift"):
        for_zero, for_one = (attribute(clf, x, method, target=target) for target in (0, 1))
        assert torch.equal(for_zero, -for_one)
        assert (for_one.abs().amax(dim=(1, 2, 3)) > 0).all()


class WritesIntoItsInput(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.sub_(0.5).mean(dim=(2, 3))


def test_the_caller_s_images_are_never_written_to() -> None:
    clf = Classifier(WritesIntoItsInput(), size=8)
    x = images(2, 8, torch.float32).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    clf(x)
    clf(x, space="model")
    attribute(clf, x, "saliency")
    assert torch.equal(x, before)


def test_images_are_floating_point_with_three_channels() -> None:
    clf = Classifier(Head(4), size=8)
    for x, message in (
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "torch.uint8: expected floating point"),
        (torch.zeros(1, 1, 8, 8), r"shape \(1, 1, 8, 8\): expected \(n, 3"),
    ):
        with pytest.raises(HeatliftError, match=message):
            clf(x)
        with pytest.raises(HeatliftError, match=message):
            attribute(clf, x, "saliency")


class Frozen(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return inputs.mean(dim=(2, 3))


def test_a_network_without_gradients_is_refused_not_broken() -> None:
    with pytest.raises(Refused, match="carries no gradient back"):
        attribute(Classifier(Frozen(), size=8), torch.rand(1, 3, 8, 8), "saliency")


def test_a_caller_without_gradients_gets_heatmaps_all_the_same() -> None:
    clf, x = classifier("resnet18"), images(1)
    with torch.no_grad():
        inside = attribute(clf, x, "deeplift")
    assert torch.equal(inside, attribute(clf, x, "deeplift"))


def test_many_sigmoids_are_refused_like_one() -> None:
    with pytest.raises(HeatliftError, match="probabilities, not raw logits"):
        Classifier(Head(5, torch.sigmoid), size=8)
    with pytest.raises(HeatliftError, match="give three values"):
        Classifier(Head(5), size=8, std=(float("inf"), 1.0, 1.0))


def test_logits_are_the_same_with_and_without_gradients() -> None:
    # torch.nn.MultiheadAttention has a fast path of its own without gradients.
    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10)
    nn.init.normal_(network.heads.head.weight)
    clf, x = Classifier(network, size=32), torch.rand(3, 3, 32, 32)
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        without = clf(x)
    assert torch.equal(clf(x.requires_grad_()).detach(), without)
    assert torch.backends.mha.get_fastpath_enabled() == fast
