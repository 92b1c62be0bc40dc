"""Every step by itself: it adds up, it is torch's own in value and gradient; what has no rule is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift import multipliers
from heatlift.backward import Call
from heatlift.graph import uncovered
from heatlift.rules import Rules
from rule_passes import outcome

Function = Callable[[Tensor], Tensor]

DOUBLE = {"dtype": torch.float64}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **DOUBLE)


def photos(n: int) -> Tensor:
    return torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(8), **DOUBLE)


class Between(nn.Module):
    """A function of (n, 4, 3, 3) features between a convolution and the logits."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 4, 3)
        self.conv.weight.data = drawn(4, 3, 3, 3, seed=1) / 3
        self.conv.bias.data = drawn(4, seed=2)
        self.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.function(self.conv(inputs)).flatten(1)
        weights = drawn(out.shape[1], 2, seed=3)
        return out @ weights


def tokens(features: Tensor) -> Tensor:
    """(n, 2 heads, 9 places, 2)."""
    return features.flatten(2).transpose(1, 2).unflatten(2, (2, 2)).transpose(1, 2)


HIDES = drawn(9, 9, seed=4) > 0.3
HIDES[2] = False  # one place attends to nothing at all
HIDES[:, 5] = False  # and one is attended to by none
WEIGHT, BIAS = drawn(4, seed=5), drawn(4, seed=6)


def attended(
    features: Tensor, mask: Tensor | None = None, causal: bool = False, scale: float | None = None
) -> Tensor:
    t = tokens(features)
    return F.scaled_dot_product_attention(t, t.sin(), t.exp(), mask, is_causal=causal, scale=scale)


def grouped(features: Tensor) -> Tensor:
    keys = tokens(features)
    queries = torch.cat([keys, keys.sin(), keys.cos()], dim=1)
    return F.scaled_dot_product_attention(queries, keys, keys.exp(), enable_gqa=True)


def shared_by_all_heads(features: Tensor) -> Tensor:
    t = tokens(features)
    return F.scaled_dot_product_attention(t, t[:, :1], t[:, 1:])


def masked_by_the_image(features: Tensor) -> Tensor:
    t = tokens(features)
    return F.scaled_dot_product_attention(t, t, t, t @ drawn(2, 9, seed=7))


def in_place(features: Tensor) -> Tensor:
    t = features + 0
    t **= 3
    return t.pow_(2)


def rescaled_keys(features: Tensor) -> Tensor:
    variance, mean = torch.var_mean(features, dim=1, keepdim=True, correction=0)
    return (features - mean) * torch.rsqrt(variance + 1e-5) + mean


NORMS: dict[str, Function] = {
    "vector_norm": lambda t: torch.linalg.vector_norm(t, dim=1),
    "vector_norm over two": lambda t: torch.linalg.vector_norm(t, 2.0, (2, 3), True),
    "vector_norm, axis": lambda t: torch.linalg.vector_norm(t, axis=-1, keepdims=True),
    "norm": lambda t: torch.norm(t, dim=1),
    "Tensor.norm": lambda t: t.norm(p=2, dim=(1, 2), keepdim=True),
    "linalg.norm": lambda t: torch.linalg.norm(t, dim=-1),
    "linalg.norm, ord": lambda t: torch.linalg.norm(t, 2, dim=1),
    "linalg.norm of matrices": lambda t: torch.linalg.norm(t, dim=(2, 3)),
    "linalg.matrix_norm": lambda t: torch.linalg.matrix_norm(t),
    "normalize": lambda t: F.normalize(t, dim=1),
    "normalize, cosine head": lambda t: F.linear(F.normalize(t.flatten(1)), F.normalize(drawn(5, 36))),
    "global response": lambda t: t * (g := t.norm(2, (2, 3), keepdim=True)) / (g.mean(1, True) + 1e-6),
}

PRODUCTS: dict[str, Function] = {
    "einsum": lambda t: torch.einsum("bcij,bdjk->bcdik", t, t.sin()),
    "einsum, listed": lambda t: torch.einsum("b c i j, b c k j -> b c i k", [t, t]),
    "einsum, sublists": lambda t: torch.einsum(t, [0, 1, 2, 3], t, [0, 1, 3, 4], [0, 1, 2, 4]),
    "einsum, traced": lambda t: torch.einsum("bcii,bcjj->bcij", t, t.sin()),
    "einsum with a constant": lambda t: torch.einsum("bcij,cd,bdjk->bik", t, drawn(4, 4), t.sin()),
    "baddbmm": lambda t: torch.baddbmm(t[:, 0], t[:, 1], t[:, 2], beta=0.5, alpha=2),
    "Tensor.baddbmm": lambda t: t[:, 0].sin().baddbmm(t[:, 1], t[:, 2]),
    "addcmul": lambda t: torch.addcmul(t, t.sin(), t, value=3),
    "addcmul, linear": lambda t: torch.addcmul(BIAS.view(4, 1, 1), WEIGHT.view(4, 1, 1), t),
    "mm": lambda t: torch.stack([torch.mm(m[0], m[1]) + m[2].mm(m[3]) for m in t]),
    "mm, named": lambda t: torch.stack([torch.mm(input=m[0], mat2=m[1]) for m in t]),
    "addmm": lambda t: torch.stack([torch.addmm(m[0], m[1], m[2]) for m in t]),
    "mv": lambda t: torch.stack([torch.mv(m[0], m[1, 0]) for m in t]),
    "@": lambda t: t @ t.mT,
    "__rmatmul__": lambda t: t.mT.__rmatmul__(t),
    "bilinear": lambda t: F.bilinear(t.flatten(1), t.sin().flatten(1), drawn(3, 36, 36), drawn(3)),
    "named": lambda t: torch.mul(input=t, other=t.sin()) + torch.div(t, other=t.exp()),
}

ATTENTION: dict[str, Function] = {
    "boolean mask": lambda t: attended(t, HIDES),
    "boolean mask, scaled": lambda t: attended(t, HIDES, scale=3.0),
    "additive mask": lambda t: attended(t, torch.zeros(9, 9, **DOUBLE).masked_fill(~HIDES, -torch.inf)),
    "mask for each head": lambda t: attended(t, drawn(1, 2, 9, 9)),
    "mask of the image": masked_by_the_image,
    "causal": lambda t: attended(t, causal=True),
    "grouped heads": grouped,
    "shared by all heads": shared_by_all_heads,
}

NORMALISATIONS: dict[str, Function] = {
    "instance_norm": lambda t: F.instance_norm(t, weight=WEIGHT, bias=BIAS),
    "InstanceNorm2d": lambda t: nn.InstanceNorm2d(4, **DOUBLE)(t),
    "instance_norm, running": lambda t: F.instance_norm(t, drawn(4), drawn(4).abs(), use_input_stats=False),
    "rms_norm": lambda t: F.rms_norm(t.permute(0, 2, 3, 1), (4,), WEIGHT, 1e-3),
    "rms_norm over two": lambda t: F.rms_norm(t, (3, 3)),
    "layer norm by hand": lambda t: (
        (t - t.mean(1, True)) / (t.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
    ),
    "layer norm by rsqrt": rescaled_keys,
    "rms norm by hand": lambda t: t * (t.pow(2).mean(1, keepdim=True) + 1e-6).rsqrt(),
    "softmax in another type": lambda t: t.float().softmax(1, torch.float64),
    "log_softmax": lambda t: F.log_softmax(t, dim=1),
    "Tensor.log_softmax": lambda t: (t * 30).log_softmax(1),
    "logsumexp": lambda t: torch.logsumexp(t * 5, dim=(2, 3)),
    "Tensor.logsumexp": lambda t: t.logsumexp(1, keepdim=True),
    "local response": lambda t: F.local_response_norm(t, 3, alpha=0.5),
}

REDUCTIONS: dict[str, Function] = {
    "var": lambda t: torch.var(t, (2, 3)),
    "var, biased": lambda t: t.var(dim=1, unbiased=False),
    "var, positional": lambda t: t.var(1, True, True),
    "std": lambda t: torch.std(t, dim=1, correction=0, keepdim=True),
    "Tensor.std": lambda t: t.std((1, 2)),
    "var_mean": lambda t: torch.cat(torch.var_mean(t, dim=1), dim=1),
    "std_mean": lambda t: torch.cat(torch.std_mean(t, dim=(1, 2), correction=0), dim=1),
    "amax": lambda t: t.amax((2, 3)),
    "amax, kept": lambda t: torch.amax(t, dim=1, keepdim=True),
    "max": lambda t: t.max(dim=2).values,
    "max, unpacked": lambda t: torch.max(t, -1, True)[0],
    "adaptive_max_pool1d": lambda t: F.adaptive_max_pool1d(t.flatten(2), 4),
    "max_pool3d": lambda t: F.max_pool3d(t, 2, 1),
}

POWERS: dict[str, Function] = {
    "** 2": lambda t: t**2,
    "** 3": lambda t: t**3,
    "** 0.5": lambda t: t.abs() ** 0.5,
    "pow": lambda t: torch.pow(t.exp(), -1.5),
    "pow, named": lambda t: torch.pow(t.exp(), exponent=1.7),
    "Tensor.pow": lambda t: t.pow(4),
    "pow of a tensor": lambda t: t.exp().pow(torch.tensor([2.5], **DOUBLE)),
    "in place": in_place,
    "2 **": lambda t: 2**t,
    "sin": torch.sin,
    "cos": torch.cos,
    "expm1": torch.expm1,
    "log1p": lambda t: torch.log1p(t.abs()),
}

STEPS = NORMS | PRODUCTS | ATTENTION | NORMALISATIONS | REDUCTIONS | POWERS

WHOLE: dict[str, Function] = {
    "norm of all": lambda t: t / t.norm(),
    "softmax over images": lambda t: t.softmax(0),
    "max of all": lambda t: t * t.max(),
    "spread of all": lambda t: t * t.std(),
    "einsum over images, implicitly": lambda t: t * torch.einsum("bcij,bcij", t, t),
    "einsum over images": lambda t: torch.einsum("bcij,bcjk->cik", t, t).expand(len(t), -1, -1, -1),
}
"""Steps that mix the images of a batch."""


@pytest.mark.parametrize("baseline", [0.0, 0.4])
@pytest.mark.parametrize("name", STEPS)
def test_a_step_adds_up_and_is_torch_s_own(name: str, baseline: float) -> None:
    network, inputs = Between(STEPS[name]), photos(3)
    found = outcome(network, inputs, baseline)
    assert torch.equal(found.outputs, found.own_outputs)
    assert not found.uncovered
    assert found.relu_calls == 0
    # A step in float32 is exact to the digits that this has.
    single = "another type" in name
    scale = float(found.own_gradient.abs().max())
    difference = found.gradients["plain"] - found.own_gradient
    assert float(difference.abs().max()) <= (1e-6 if single else 1e-10) * scale
    assert float(found.shortfall.max()) <= (1e-5 if single else 1e-9)


@pytest.mark.parametrize("apart", [0.0, 1e-13])
@pytest.mark.parametrize("name", STEPS)
def test_the_derivative_stands_in_where_image_and_reference_are_alike(name: str, apart: float) -> None:
    inputs = photos(2)
    found = outcome(Between(STEPS[name]), inputs, inputs + apart * drawn(*inputs.shape))
    if apart == 0 and "max_pool" in name:
        # Nothing differs, so a window has nothing to share out.
        assert not found.gradients["rescale"].any()
        return
    difference = found.gradients["rescale"] - found.own_gradient
    assert float(difference.abs().max()) <= 1e-6 * float(found.own_gradient.abs().max())


@pytest.mark.parametrize("name", ["instance_norm", "grouped heads", "vector_norm", "einsum", "amax"])
def test_one_reference_serves_a_batch(name: str) -> None:
    network, inputs = Between(STEPS[name]), photos(3)
    calls: list[Call] = []
    with torch.no_grad(), Rules(record=calls):
        network(torch.zeros_like(inputs[:1]))
    leaf, rules = inputs.clone().requires_grad_(), Rules(reference=calls)
    with rules:
        out = network(leaf)
    with rules.use("rescale"):
        (single,) = torch.autograd.grad(out[:, 0].sum(), leaf)
    torch.testing.assert_close(single, outcome(network, inputs).gradients["rescale"])


@pytest.mark.parametrize("name", WHOLE)
def test_a_step_that_mixes_images_does_not_take_one_reference_for_all(name: str) -> None:
    network, inputs = Between(WHOLE[name]), photos(3)
    calls: list[Call] = []
    with torch.no_grad(), Rules(record=calls):
        network(torch.full_like(inputs[:1], 0.3))
    rules = Rules(reference=calls)
    with rules:
        network(inputs.clone().requires_grad_())
    assert not rules.followed
    # With a reference for each, all the contributions make up all the logits' rise.
    found = outcome(network, inputs, 0.3)
    contributions = (found.gradients["rescale"] * found.differences).sum()
    torch.testing.assert_close(contributions, found.rise.sum(), rtol=1e-9, atol=1e-12)


NO_RULE: dict[str, tuple[Function, str]] = {
    "another norm": (lambda t: torch.linalg.vector_norm(t, 3, dim=1), "LinalgVectorNorm"),
    "a norm in another type": (
        lambda t: torch.linalg.vector_norm(t.float(), dim=1, dtype=torch.float64),
        "LinalgVectorNorm",
    ),
    "a spectral norm": (lambda t: torch.linalg.norm(t, 2, dim=(2, 3)), "Amax"),
    "einsum of three": (lambda t: torch.einsum("bcij,bcjk,bckl->bil", t, t, t), "Bmm"),
    "two tensors' maximum": (lambda t: torch.max(t, t.sin()), "Maximum"),
    "dropped attention": (
        lambda t: F.scaled_dot_product_attention(tokens(t), tokens(t), tokens(t), dropout_p=0.5),
        "Bmm",
    ),
    "a weight of the image": (
        lambda t: F.layer_norm(t, (3,), weight=t.mean((0, 1, 2)), bias=torch.zeros(3, **DOUBLE)),
        "NativeLayerNorm",
    ),
    "a power of the image": (lambda t: t.exp().pow(t), "Pow"),
    "recurrence": (lambda t: t.cummax(dim=1).values, "Cummax"),
}


@pytest.mark.parametrize("name", NO_RULE)
def test_what_has_no_rule_is_named(name: str) -> None:
    function, named = NO_RULE[name]
    leaf, rules = photos(2).requires_grad_(), Rules()
    with rules:
        out = Between(function)(leaf)
    assert named in uncovered(out)


def test_a_vector_s_length_by_hand() -> None:
    # 5 - 10 = ((3 + 6) (3 - 6) + (4 + 8) (4 - 8)) / (5 + 10)
    found = multipliers.vector_norm(
        torch.ones(1), torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]]), (1,)
    )
    assert found.flatten().tolist() == pytest.approx([0.6, 0.8])
    nothing = torch.zeros(1, 2)
    assert multipliers.vector_norm(torch.ones(1), nothing, nothing, (1,)).tolist() == [[0.0, 0.0]]


def test_a_quotient_from_nothing_is_the_dividend_s() -> None:
    # 6 / 2 from 0 / 1e-12: the reference's small divisor is not divided by.
    a, b, a0, b0 = (torch.tensor([v]) for v in (6.0, 2.0, 0.0, 1e-12))
    to_a, to_b = multipliers.quotient(torch.ones(1), a, b, a0, b0)
    assert to_a.item() == pytest.approx(0.5)
    assert abs(to_b.item()) < 1e-9
    # Of divisors of different signs, whose sum is nothing.
    a, b, a0, b0 = (torch.tensor([v]) for v in (6.0, 2.0, 3.0, -2.0))
    to_a, to_b = multipliers.quotient(torch.ones(1), a, b, a0, b0)
    assert (to_a * (a - a0) + to_b * (b - b0)).item() == pytest.approx(6 / 2 - 3 / -2)


def test_a_product_s_changes_are_not_let_cancel_out() -> None:
    # 1 * 1 from 0 * 1000, as of a norm on a blank image. Half-way: 500.5 - 499.5.
    a, b, a0, b0 = (torch.tensor([v]) for v in (1.0, 1.0, 0.0, 1000.0))
    to_a, to_b = multipliers.product(torch.ones(1), a, b, a0, b0)
    assert to_a.item() == pytest.approx(1.0, abs=1e-2)
    assert (to_a * (a - a0) + to_b * (b - b0)).item() == pytest.approx(1.0, abs=1e-4)
    # 3 * 5 from 1 * 2 work together: half-way.
    a, b, a0, b0 = (torch.tensor([v]) for v in (3.0, 5.0, 1.0, 2.0))
    to_a, to_b = multipliers.product(torch.ones(1), a, b, a0, b0)
    assert (to_a.item(), to_b.item()) == pytest.approx((3.5, 2.0))


def test_a_maximum_that_moves_is_owed_to_the_image_s_cell_or_the_reference_s() -> None:
    x, x0 = torch.tensor([[1.0, 5.0, 2.0]]), torch.tensor([[4.0, 1.0, 0.0]])
    assert multipliers.largest(torch.ones(1), x, x0, (1,), True).tolist() == [[0.0, 0.25, 0.0]]
    assert multipliers.largest(torch.ones(1), x0, x, (1,), True).tolist() == [[0.0, 0.25, 0.0]]
    # Two cells alike have half of the derivative each, as in torch; the first alone where it has a place.
    tied = torch.tensor([[2.0, 2.0, 0.0]])
    assert multipliers.largest(torch.ones(1), tied, tied, (1,), False).tolist() == [[0.5, 0.5, 0.0]]
    assert multipliers.largest(torch.ones(1), tied, tied, (1,), True).tolist() == [[1.0, 0.0, 0.0]]


def test_a_place_that_attends_to_nothing_passes_nothing_back() -> None:
    t = drawn(1, 1, 9, 2).requires_grad_()
    rules = Rules()
    with rules:
        out = F.scaled_dot_product_attention(t, t, t, HIDES)
    for rule in ("plain", "guided", "deconvolution"):
        with rules.use(rule):  # type: ignore[arg-type]
            (found,) = torch.autograd.grad(out[0, 0, 2].sum(), t, retain_graph=True)
        assert not found.any()


def test_a_small_bound_is_no_relu_in_half_precision() -> None:
    # 1e-12 is 0 in float16: the clamp of F.normalize would pass for a ReLU.
    rules = Rules()
    with rules:
        F.normalize(torch.rand(2, 4, dtype=torch.float16).requires_grad_())
    assert rules.calls["clamp_min"] == 1
    assert rules.relu_calls == 0


def test_max_keeps_its_places() -> None:
    t = drawn(2, 5).requires_grad_()
    with Rules():
        found = t.max(dim=1)
        both = torch.max(t, dim=1, keepdim=True)
    assert torch.equal(found.indices, t.argmax(dim=1))
    assert torch.equal(both.indices, t.argmax(dim=1, keepdim=True))
    assert torch.equal(found.values, t.amax(dim=1))
