"""The backward rules against Captum on networks where it is right, and against hand-worked values."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from captum.attr import Deconvolution, DeepLift, GuidedBackprop, InputXGradient, Saliency
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from heatlift import Classifier, Refused, attribute
from heatlift.attributor import Attributor
from heatlift.errors import NetworkFailed
from heatlift.graph import uncovered
from heatlift.passes import Baseline
from heatlift.registry import requested
from heatlift.rules import Rules
from networks import OneReLUPerCall, classifier, images

ARCHITECTURES = (
    "resnet18 resnet34 vgg11 alexnet squeezenet1_0 densenet121 googlenet shufflenet_v2_x0_5 regnet_x_400mf"
).split()
"""In-place, reused and functional ReLUs, concatenations, shuffled channels, grouped convolutions."""


def captum(method: type, network: nn.Module, inputs: Tensor, target: Tensor, **options: bool) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum's own remarks about its hooks
        found: Tensor = method(network).attribute(inputs.clone().requires_grad_(), target=target, **options)
    return found.detach()


ORACLES: dict[str, tuple[type, dict[str, bool]]] = {
    "guided_backprop": (GuidedBackprop, {}),
    "deconvolution": (Deconvolution, {}),
    "saliency": (Saliency, {"abs": False}),
    "input_x_gradient": (InputXGradient, {}),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_equal_captum_s_with_one_relu_module_per_call(name: str) -> None:
    clf, x = classifier(name), images(2)
    target = clf(x).argmax(dim=1)
    before = {k: v.clone() for k, v in clf.network.state_dict().items()}
    oracle = OneReLUPerCall(clf.network)
    for method, (theirs, options) in ORACLES.items():
        expected = captum(theirs, oracle, clf.normalise(x), target, **options)
        found = attribute(clf, x, method, target)
        assert float((found - expected).abs().max()) <= 1e-6 * float(expected.abs().max())
    assert all(torch.equal(v, before[k]) for k, v in clf.network.state_dict().items())


RICHER = (
    "mobilenet_v2 mobilenet_v3_small efficientnet_b0 regnet_y_400mf convnext_tiny swin_t vit_tiny"
).split()
"""ReLU6; squeeze-and-excitation with hard and smooth gates; layer norm, softmax, two kinds of attention."""


@pytest.mark.parametrize("baseline", [0.0, 0.7])
@pytest.mark.parametrize("name", [*ARCHITECTURES, *RICHER])
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


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "vit_tiny", "swin_t"])
def test_one_baseline_serves_a_batch_as_one_for_each_image_does(name: str) -> None:
    # Swin folds the batch into its windows, so that a single baseline can't stand for all.
    clf, x = classifier(name), images(3)
    target = torch.tensor([1, 2, 3])
    together = attribute(clf, x, "deeplift", target)
    each = attribute(clf, x, "deeplift", target, baseline=torch.zeros_like(x))
    torch.testing.assert_close(together, each, rtol=1e-7, atol=1e-10)
    for i in range(3):
        alone = attribute(clf, x[i : i + 1], "deeplift", target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-7, atol=1e-10)


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


@pytest.mark.parametrize("name", ["resnet18", "densenet121", *RICHER])
def test_forward_values_and_plain_gradients_are_the_network_s_own(name: str) -> None:
    clf, x = classifier(name), images(2)
    together = Attributor(clf, [requested(clf, m) for m in ("saliency", "guided_backprop", "deeplift")])(x)
    torch.testing.assert_close(
        together["saliency"].heatmaps, attribute(clf, x, "saliency"), rtol=1e-9, atol=1e-12
    )
    rules, leaf = Rules(), clf.normalise(x).requires_grad_()
    with rules:
        inside = clf(leaf, space="model")
    assert torch.equal(inside, clf(x))


class Step(nn.Module):
    """One function of three channels' means."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.shift = nn.Parameter(torch.tensor(-1.0))

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.function(inputs.mean(dim=(2, 3)) * 4 + self.shift)
        return torch.stack([out @ torch.tensor([1.0, 2.0, -0.5]).to(out), out[:, 0]], dim=1)


def attended(tokens: Tensor, values: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(tokens, tokens, values)


W, B = torch.tensor([0.5, -2.0, 1.5], dtype=torch.float64), torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)


@pytest.mark.parametrize("baseline", [-0.5, 0.25, 0.9])
@pytest.mark.parametrize(
    "function",
    [
        *(
            getattr(F, name)
            for name in ("relu6", "leaky_relu", "elu", "selu", "silu", "gelu", "mish", "softplus")
        ),
        *(
            getattr(F, name)
            for name in ("hardswish", "hardsigmoid", "hardtanh", "celu", "logsigmoid", "softsign")
        ),
        torch.sigmoid,
        torch.tanh,
        torch.exp,
        lambda t: F.silu(t + 0, inplace=True),
        lambda t: F.gelu(t, approximate="tanh"),
        lambda t: F.prelu(t, W[1:2]),
        lambda t: t * t.sigmoid(),
        lambda t: (t + 0).mul_(t.sigmoid()),
        lambda t: torch.multiply(t, t.tanh()),
        lambda t: t / t.square().add(1),
        lambda t: (t + 0).div_(t.exp()),
        lambda t: 2 / t.exp(),
        lambda t: t.softmax(dim=1),
        lambda t: F.softmax(t, dim=-1) * 3,
        lambda t: nn.Softmax(dim=1)(t * 30),
        lambda t: F.layer_norm(t, (3,), W, B),
        lambda t: F.layer_norm(t, (3,)),
        lambda t: F.group_norm(t[:, :, None].repeat(1, 2, 2), 2)[:, :3, 0],
        lambda t: F.group_norm(t[:, :, None] * W[:2], 3, W, B).sum(dim=2),
        lambda t: (t[:, :, None] @ t[:, None, :]).sum(dim=1),
        lambda t: torch.bmm(t[:, None, :], t[:, :, None].tanh()).expand(-1, 3, 1).squeeze(2),
        lambda t: torch.matmul(t[:, None, :], torch.ones(3, 3, dtype=t.dtype)).squeeze(1).tanh(),
        lambda t: attended(t[:, None, :, None], t.exp()[:, None, :, None]).flatten(1),
        lambda t: F.max_pool1d(t[:, None], 2, 1, padding=1).squeeze(1)[:, :3],
        lambda t: F.adaptive_max_pool2d(t[:, None, None], (1, 2)).flatten(1).repeat(1, 2)[:, :3],
    ],
)
def test_every_rule_adds_up_and_leaves_the_gradient_alone(
    function: Callable[[Tensor], Tensor], baseline: float
) -> None:
    clf, x = Classifier(Step(function).double(), size=4), images(3, size=4)
    target = torch.tensor([0, 1, 0])
    found = attribute(clf, x, "deeplift", target, baseline=baseline)
    logits, start = clf(x), clf(torch.full_like(x, baseline))
    rise = (logits - start).gather(1, target[:, None]).squeeze(1)
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), rise, rtol=1e-9, atol=1e-12)
    together = Attributor(clf, [requested(clf, m) for m in ("saliency", "deeplift")], baseline=baseline)(
        x, target
    )
    torch.testing.assert_close(together["saliency"].heatmaps, attribute(clf, x, "saliency", target))


def test_a_product_is_shared_half_and_half_by_hand() -> None:
    # 3 * 5 - 1 * 2 = (5 + 2) / 2 * (3 - 1) + (3 + 1) / 2 * (5 - 2)
    clf = Classifier(
        Step(lambda t: torch.stack([t[:, 0] * t[:, 1], t[:, 2], t[:, 2]], dim=1)).double(), size=1
    )

    def to_means(*values: float) -> Tensor:
        return ((torch.tensor(values, dtype=torch.float64) + 1) / 4).view(1, 3, 1, 1)

    x, x0 = to_means(3.0, 5.0, 0.0), to_means(1.0, 2.0, 0.0)
    found = attribute(clf, x, "deeplift", target=1, baseline=x0)
    assert found.flatten().tolist() == pytest.approx([7.0, 6.0, 0.0])


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
    with pytest.raises(
        Refused, match=r"guided_backprop does not apply to scripted: its rule.*hide one: Relu \(1\)"
    ):
        attribute(scripted, x, "guided_backprop")
    with pytest.raises(Refused, match=r"no rule for these non-linear steps of the network: Relu \(1\)"):
        attribute(scripted, x, "deeplift")
    with pytest.raises(Refused, match="OwnStep"):
        attribute(Classifier(Hidden(), size=8), x, "deeplift")
    assert attribute(scripted, x, "saliency").abs().sum() > 0


def test_a_network_without_relu_is_refused_by_the_relu_rules() -> None:
    clf, x = classifier("efficientnet_b0"), images(1)
    for method in ("guided_backprop", "deconvolution"):
        with pytest.raises(Refused, match=r"the network calls none .non-linearities met: .*sigmoid, silu"):
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


class Hides(nn.Module):
    """One ordinary ReLU, and another one in disguise."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 8, 3), relu

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.relu(self.conv(inputs)) - 0.1).mean(dim=(2, 3))


def written_in_place(t: Tensor) -> Tensor:
    t = t + 0
    t[:, :4].masked_fill_(t[:, :4].detach() < 0, 0)
    return t


@pytest.mark.parametrize(
    "relu",
    [
        lambda t: torch.maximum(t, torch.zeros_like(t)),
        lambda t: torch.where(t > 0, t, torch.zeros_like(t)),
        lambda t: t.masked_fill(t < 0, 0),
        lambda t: t * (t > 0),
        lambda t: torch.addcmul(torch.zeros_like(t), t, t > 0),
        lambda t: torch.stack([t, torch.zeros_like(t)]).amax(0),
        lambda t: torch.cat([torch.zeros_like(t)[:, :, None], t[:, :, None]], dim=2).max(dim=2).values,
        lambda t: t.clamp(min=torch.zeros_like(t)),
        lambda t: OwnStep.apply(t),
        written_in_place,
    ],
)
def test_a_relu_in_disguise_refuses_the_relu_rules(relu: Callable[[Tensor], Tensor]) -> None:
    clf, x = Classifier(Hides(relu), size=8), torch.rand(2, 3, 8, 8)
    for method in ("guided_backprop", "deconvolution"):
        with pytest.raises(Refused, match="are or may hide one"):
            attribute(clf, x, method)
    assert attribute(clf, x, "saliency").abs().sum() > 0


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.unflatten(1, (3, 1)).relu().squeeze(2),  # wraps the one of its own name
        lambda t: F.relu(F.fractional_max_pool2d(t, 2, output_size=2)),  # a choice between two others
        lambda t: nn.MultiheadAttention(3, 1, batch_first=True)(*[t.mean(3).mT.relu()] * 3)[0],
    ],
)
def test_torch_s_functions_in_python_are_looked_into(function: Callable[[Tensor], Tensor]) -> None:
    leaf, rules = torch.rand(2, 3, 4, 4, requires_grad=True), Rules()
    with rules:
        assert function(leaf).grad_fn is not None
    assert rules.calls["relu"] == rules.relu_calls == 1


class PoolsThenWrites(nn.Module):
    """Writes into what pooling and a ReLU gave it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool, self.relu = nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.pool(self.conv(inputs)))
        again = F.sigmoid(hidden)
        hidden += 1
        return (hidden + again).mean(dim=(2, 3))


def test_the_reference_is_kept_before_the_network_writes_into_it() -> None:
    torch.manual_seed(1)
    clf, x = Classifier(PoolsThenWrites().double(), size=16), images(2, size=16)
    rise = (clf(x) - clf(torch.zeros_like(x))).max(dim=1)
    found = attribute(clf, x, "deeplift", target=rise.indices)
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), rise.values, rtol=1e-9, atol=1e-12)


class BoundByMean(nn.Module):
    """A bound that depends on the image takes part in the gradient."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.clamp(inputs, max=inputs.mean(dim=(2, 3), keepdim=True))
        return F.relu(hidden).mean(dim=(2, 3))


def test_gradients_through_a_function_s_other_arguments_are_kept() -> None:
    clf, x = Classifier(BoundByMean(), size=8), torch.rand(2, 3, 8, 8)
    requests = [requested(clf, m) for m in ("saliency", "deeplift")]
    together = Attributor(clf, requests)(x)
    assert torch.equal(together["saliency"].heatmaps, attribute(clf, x, "saliency"))
    assert isinstance(together["deeplift"], Refused)


class Checkpointed(nn.Module):
    """Runs a part again on the way back, where nothing is intercepted any more."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())

    def forward(self, inputs: Tensor) -> Tensor:
        return checkpoint(self.part, inputs, use_reentrant=False).mean(dim=(2, 3))


def test_what_the_rules_stumble_over_does_not_harm_the_other_methods() -> None:
    clf, x = Classifier(Checkpointed(), size=8), torch.rand(2, 3, 8, 8)
    requests = [requested(clf, m) for m in ("saliency", "guided_backprop", "deeplift")]
    together = Attributor(clf, requests)(x)
    assert torch.equal(together["saliency"].heatmaps, attribute(clf, x, "saliency"))
    for method in ("guided_backprop", "deeplift"):
        assert isinstance(together[method], Refused)
        assert "its rule can't be applied to this network" in str(together[method])


class Stumbles(nn.Module):
    """Writes into what its own backward pass needs."""

    def forward(self, inputs: Tensor) -> Tensor:
        kept = F.relu(inputs).softmax(dim=1)
        product = kept * inputs
        kept += 1
        return product.mean(dim=(2, 3))


def test_a_network_s_own_failure_is_not_hidden() -> None:
    clf, x = Classifier(Stumbles(), size=8), torch.rand(2, 3, 8, 8)
    requests = [requested(clf, m) for m in ("saliency", "deeplift")]
    for found in Attributor(clf, requests)(x).values():
        assert isinstance(found, Refused)
        assert "modified by an inplace operation" in str(found)
        assert type(found.__cause__) is RuntimeError
    for request in requests:
        with pytest.raises(Refused, match="modified by an inplace operation") as caught:
            attribute(clf, x, request.name)
        assert caught.value.__cause__ is not None


def test_what_a_network_raises_is_named_with_its_cause() -> None:
    class Fails(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            if bool((inputs > 2).any()):
                raise ZeroDivisionError("too bright")
            return inputs.mean(dim=(2, 3))

    clf, x = Classifier(Fails(), size=8), torch.full((2, 3, 8, 8), 3.0)
    for method in ("saliency", "deeplift"):
        with pytest.raises(
            NetworkFailed, match=r"ZeroDivisionError: too bright \(.*test_rules\.py"
        ) as caught:
            attribute(clf, x, method)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("options", [{"ceil_mode": True}, {"dilation": 2}, {"padding": 1}])
def test_max_pooling_in_all_its_forms(options: dict[str, object]) -> None:
    class Pools(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return F.max_pool2d(inputs, 3, 2, **options).square().mean(dim=(2, 3))  # type: ignore[arg-type]

    clf, x = Classifier(Pools(), size=11), images(2, 11, torch.float32)
    found = attribute(clf, x, "deeplift", target=0, baseline=0.4)
    rise = clf(x)[:, 0] - clf(torch.full_like(x, 0.4))[:, 0]
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), rise, rtol=1e-4, atol=1e-6)


def test_pooling_an_image_without_a_batch_dimension() -> None:
    x = torch.rand(3, 6, 6, dtype=torch.float64, requires_grad=True)
    rules = Rules()
    with rules:
        out = F.max_pool2d(x, 3, 2)
    (inside,) = torch.autograd.grad(out.square().sum(), x)
    (outside,) = torch.autograd.grad(F.max_pool2d(x, 3, 2).square().sum(), x)
    assert torch.equal(inside, outside)
