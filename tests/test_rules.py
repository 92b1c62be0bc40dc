"""The backward rules against Captum on networks where it is right, and against hand-worked values."""

from __future__ import annotations

import warnings

import pytest
import torch
from captum.attr import Deconvolution, DeepLift, GuidedBackprop
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift import Classifier, Refused, attribute
from heatlift.attribution import Attributor, requested
from heatlift.graph import uncovered
from heatlift.passes import Baseline
from heatlift.rules import Rules
from networks import OneReLUPerCall, classifier, images

ARCHITECTURES = ["resnet18", "alexnet", "densenet121", "googlenet", "squeezenet1_0", "shufflenet_v2_x0_5"]


def captum(method: type, network: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum's own remarks about its hooks
        found: Tensor = method(network).attribute(inputs.clone().requires_grad_(), target=target)
    return found.detach()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_guided_and_deconvolution_equal_captum_s_with_one_relu_module_per_call(name: str) -> None:
    clf, x = classifier(name), images(2)
    target = clf(x).argmax(dim=1)
    before = {k: v.clone() for k, v in clf.network.state_dict().items()}
    oracle = OneReLUPerCall(clf.network)
    for method, theirs in (("guided_backprop", GuidedBackprop), ("deconvolution", Deconvolution)):
        expected = captum(theirs, oracle, clf.normalise(x), target)
        found = attribute(clf, x, method, target)
        assert float((found - expected).abs().max()) <= 1e-6 * float(expected.abs().max())
    assert all(torch.equal(v, before[k]) for k, v in clf.network.state_dict().items())


@pytest.mark.parametrize("baseline", [0.0, 0.7])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "mobilenet_v2"])
def test_deeplift_is_complete(name: str, baseline: float) -> None:
    clf, x = classifier(name), images(2)
    heatmaps = attribute(clf, x, "deeplift", baseline=baseline)
    start = torch.full_like(x, baseline)
    target = clf(x).argmax(dim=1, keepdim=True)
    rise = (clf(x) - clf(start, space="model")).gather(1, target).squeeze(1)
    torch.testing.assert_close(heatmaps.sum(dim=(1, 2, 3)), rise, rtol=1e-6, atol=1e-9)


def test_deeplift_equals_captum_s_where_captum_is_right() -> None:
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(8 * 25, 4),
    ).double()
    clf, x = Classifier(network, size=16), images(3, size=16)
    target = torch.tensor([0, 3, 1])
    expected = captum(DeepLift, network, x, target)
    torch.testing.assert_close(attribute(clf, x, "deeplift", target), expected, rtol=1e-8, atol=1e-12)


class Pooled(nn.Module):
    """Overlapping windows, whose sum over their maxima is the only logit that moves."""

    def forward(self, inputs: Tensor) -> Tensor:
        pooled = F.max_pool2d(inputs, kernel_size=(1, 2), stride=1).sum(dim=(1, 2, 3))
        return torch.stack([pooled, torch.zeros_like(pooled)], dim=1)


def test_max_pooling_shares_out_overlapping_windows_by_hand() -> None:
    clf = Classifier(Pooled(), size=3)
    x = torch.zeros(1, 3, 3, 3)
    x[0, 0, 0] = torch.tensor([1.0, 5.0, 2.0])
    # Windows (1, 5) and (5, 2) both rise from 0 to 5, and both owe it to the 5.
    expected = torch.zeros_like(x)
    expected[0, 0, 0, 1] = 10.0
    assert torch.equal(attribute(clf, x, "deeplift", target=0), expected)
    # From a baseline of 3 in all cells: (1, 5) and (5, 2) rise by 2 each, again by the 5; where a
    # window falls from 3 to 0 that is its first cell's, which held the baseline's maximum.
    found = attribute(clf, x, "deeplift", target=0, baseline=3.0)
    assert found[0, 0, 0].tolist() == [0.0, 4.0, 0.0]
    assert found.sum().item() == pytest.approx(
        clf(x)[0, 0].item() - clf(torch.full_like(x, 3.0))[0, 0].item()
    )


class Weighted(nn.Module):
    """sum(w * act(x)): every gradient can be written down."""

    def __init__(self, weights: Tensor, activation: nn.Module) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        out = (self.weights * self.activation(inputs)).sum(dim=(1, 2, 3))
        return torch.stack([out, torch.zeros_like(out)], dim=1)


def test_relu6_has_its_own_gate() -> None:
    x = torch.tensor([-1.0, 2.0, 7.0, 3.0]).repeat(3, 4, 1).unsqueeze(0)
    weights = torch.tensor([1.0, 1.0, 1.0, -1.0]).expand(3, 4, 4)
    clf = Classifier(Weighted(weights, nn.ReLU6()), size=4)
    first_row = {
        name: attribute(clf, x, name, target=0)[0, 0, 0].tolist()
        for name in ("saliency", "guided_backprop", "deconvolution", "deeplift")
    }
    assert first_row["saliency"] == [0.0, 1.0, 0.0, -1.0]  # open where 0 < x < 6
    assert first_row["guided_backprop"] == [0.0, 1.0, 0.0, 0.0]  # and the gradient is positive
    assert first_row["deconvolution"] == [1.0, 1.0, 1.0, 0.0]  # only the gradient counts
    assert first_row["deeplift"] == [0.0, 2.0, 6.0, -3.0]  # what each cell adds


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        torch.relu,
        lambda t: t.relu(),
        lambda t: F.relu(t + 0, inplace=True),
        lambda t: F.relu(t + 0, True),
        lambda t: (t + 0).relu_(),
        lambda t: torch.relu_(t + 0),
        lambda t: t.clamp(min=0),
        lambda t: t.clamp_min(0),
        lambda t: torch.clamp(t, 0),
        lambda t: F.threshold(t, 0, 0),
        lambda t: F.hardtanh(t, 0, 1e9),
        nn.ReLU(inplace=False),
        type("OwnReLU", (nn.ReLU,), {})(),
    ],
)
def test_a_relu_counts_however_it_is_written(relu: object) -> None:
    class Network(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return (relu(inputs) * torch.tensor([-1.0, 1.0])).sum(dim=(1, 2))  # type: ignore[operator]

    clf = Classifier(Network(), size=2)
    x = torch.tensor([1.0, 2.0]).repeat(1, 3, 2, 1)
    assert attribute(clf, x, "guided_backprop", target=0).abs().sum() == 0  # its gradients are all negative
    assert attribute(clf, x, "guided_backprop", target=1).sum() == 6


class WritesInPlace(nn.Module):
    """Ignores what the in-place ReLU returns, and goes on with what it wrote."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = inputs * 2 - 1
        F.relu(hidden, inplace=True)
        parts = hidden.flatten(1).chunk(2, dim=1)
        return torch.stack([part.sum(dim=1) for part in parts], dim=1)


def test_in_place_writes_are_kept() -> None:
    clf, x = Classifier(WritesInPlace().double(), size=4), images(2, size=4)
    rules = Rules()
    with rules:
        inside = clf(x.clone().requires_grad_(), space="model")
    assert torch.equal(inside, clf(x, space="model"))
    torch.testing.assert_close(
        attribute(clf, x, "deeplift").sum(dim=(1, 2, 3)), clf(x).max(dim=1).values, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2"])
def test_forward_values_and_plain_gradients_are_the_network_s_own(name: str) -> None:
    clf, x = classifier(name), images(2)
    together = Attributor(clf, [requested(clf, m) for m in ("saliency", "guided_backprop", "deeplift")])(x)
    assert torch.equal(together["saliency"].heatmaps, attribute(clf, x, "saliency"))
    rules, leaf = Rules(), clf.normalise(x).requires_grad_()
    with rules:
        inside = clf(leaf, space="model")
    assert torch.equal(inside, clf(x))


class Scripted(nn.Module):
    """A ReLU where no Python call can be seen."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scripting is on its way out, but networks that use it are not
            self.hidden = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.hidden(inputs)).mean(dim=(2, 3))


class OwnStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.abs()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Hidden(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return OwnStep.apply(inputs).mean(dim=(2, 3))


def test_what_the_rules_can_t_reach_is_named_not_passed_over() -> None:
    scripted = Classifier(Scripted(), size=8, name="scripted")
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(Refused, match="guided_backprop does not apply to scripted: 1 ReLU calls"):
        attribute(scripted, x, "guided_backprop")
    with pytest.raises(Refused, match=r"no rule for these non-linear steps of the network: Relu \(1\)"):
        attribute(scripted, x, "deeplift")
    with pytest.raises(Refused, match="OwnStep"):
        attribute(Classifier(Hidden(), size=8), x, "deeplift")
    assert attribute(scripted, x, "saliency").abs().sum() > 0


@pytest.mark.parametrize(("name", "step"), [("mobilenet_v3_small", "Mul"), ("efficientnet_b0", "Mul")])
def test_products_of_two_activations_are_found_in_real_networks(name: str, step: str) -> None:
    clf, x = classifier(name), images(1)
    with pytest.raises(Refused, match=rf"deeplift.*no rule.*{step} \(\d+\)"):
        attribute(clf, x, "deeplift")


def test_a_network_without_relu_is_refused_by_the_relu_rules() -> None:
    clf, x = classifier("efficientnet_b0"), images(1)
    for method in ("guided_backprop", "deconvolution"):
        with pytest.raises(Refused, match=r"the network calls none .non-linearities met: sigmoid, silu"):
            attribute(clf, x, method)


class Branching(nn.Module):
    """Takes a second ReLU only for bright images."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(inputs)
        if float(inputs.detach().mean()) > 0.2:
            hidden = F.relu(hidden - 0.1)
        return hidden.mean(dim=(2, 3))


def test_another_path_for_the_baseline_refuses_deeplift_alone() -> None:
    clf, x = Classifier(Branching(), size=4), torch.full((1, 3, 4, 4), 0.5)
    with pytest.raises(Refused, match="another path"):
        attribute(clf, x, "deeplift")
    found = Attributor(clf, [requested(clf, m) for m in ("deeplift", "guided_backprop")])(x)
    assert isinstance(found["deeplift"], Refused)
    assert not isinstance(found["guided_backprop"], Refused)


def test_uncovered_reads_linear_networks_as_linear() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )
    network.requires_grad_(False)
    assert not uncovered(network.eval()(torch.rand(1, 3, 8, 8, requires_grad=True)))
    # A batch norm that normalises by its own batch is not linear in it.
    assert uncovered(network.train()(torch.rand(2, 3, 8, 8, requires_grad=True)))["NativeBatchNorm"] == 1


def test_a_reference_is_needed_for_rescale() -> None:
    rules = Rules()
    with pytest.raises(Refused), rules.use("rescale"):
        pass
    clf, x = classifier("alexnet"), images(1)
    assert Baseline.run(clf, x, "pixel").logits.equal(clf(x))
