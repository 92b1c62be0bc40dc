"""The rules on whole networks: they add up, change no bit of the logits, and work in half precision."""

from __future__ import annotations

from functools import cache

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift.backward import Rule
from heatlift.rules import Rules
from networks import calibrated, images
from rule_passes import Outcome, outcome

MAXVIT = {
    "input_size": (56, 56),
    "stem_channels": 8,
    "partition_size": 7,
    "block_channels": [16, 32],
    "block_layers": [1, 1],
    "head_dim": 8,
    "stochastic_depth_prob": 0.0,
    "num_classes": 10,
}
VIT = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 64}
"""Torchvision's own classes, smaller: its attention is `torch.nn.MultiheadAttention`."""


@cache
def network(name: str, size: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A real architecture with random weights that give lively activations."""
    torch.manual_seed(0)
    if name == "maxvit_small":
        made = torchvision.models.MaxVit(**MAXVIT)
    elif name == "vit_small":
        made = torchvision.models.VisionTransformer(**VIT, num_classes=10)
        nn.init.normal_(made.heads.head.weight)
    elif name in torchvision.models.list_models():
        made = torchvision.models.get_model(name, weights=None, num_classes=10)
    else:
        sized = {} if "conv" in name or "resnet" in name else {"img_size": size}
        made = timm.create_model(name, num_classes=10, **sized)
    for module in made.modules():
        if isinstance(module, timm.layers.grn.GlobalResponseNorm):  # which is made as one that does nothing
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.1)
    calibrated(made.to(dtype), images(4, size, dtype, seed=5))
    return made.requires_grad_(False)


def normalised(n: int, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    inputs = (images(n, size, dtype) - 0.45) / 0.225
    return inputs.contiguous(memory_format=torch.channels_last)


NETWORKS = {
    "swin_v2_t": 64,  # cosine attention
    "maxvit_small": 56,  # einsum
    "convnextv2_atto": 64,  # global response norm
    "convnext_atto_rms": 64,  # RMS norm written out
    "eva02_tiny_patch14_224": 56,  # rotary position embedding
    "vit_small": 32,
}


@pytest.mark.parametrize("baseline", [0.0, 0.7])
@pytest.mark.parametrize("name", NETWORKS)
def test_contributions_add_up(name: str, baseline: float) -> None:
    found = outcome(network(name, NETWORKS[name]), normalised(2, NETWORKS[name]), baseline)
    assert not found.uncovered
    assert float(found.shortfall.max()) <= 1e-9
    difference = found.gradients["plain"] - found.own_gradient
    assert float(difference.abs().max()) <= 1e-10 * float(found.own_gradient.abs().max())


@pytest.mark.slow
def test_contributions_add_up_in_maxvit_as_it_is_published() -> None:
    found = outcome(network("maxvit_t", 224), normalised(1, 224))
    assert not found.uncovered
    assert float(found.shortfall.max()) <= 1e-9


@pytest.mark.parametrize("name", ["resnetv2_50x1_bit", "convnext_atto", "convnext_atto_rms"])
def test_a_blank_baseline_costs_no_digits(name: str) -> None:
    # Networks without biases, in which every norm divides by next to nothing on a baseline of zeros.
    made = network(name, 64, torch.float32)
    found = outcome(made, normalised(2, 64, torch.float32), 0.0)
    assert float(found.shortfall.max()) <= 1e-3


SAME = {"resnet18": 64, "efficientnet_b0": 64, "vit_tiny_patch16_224": 64, "vit_small": 32, "swin_t": 64}
SAME |= {"convnext_tiny": 64, "swin_v2_t": 64, "maxvit_small": 56, "convnextv2_atto": 64}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, torch.float32) for name in SAME),
        *((n, torch.float64) for n in ("resnet18", "vit_small", "swin_t")),
    ],
)
def test_the_logits_are_the_network_s_own_to_the_last_bit(name: str, dtype: torch.dtype) -> None:
    made, inputs = network(name, SAME[name], dtype), normalised(3, SAME[name], dtype)
    own = made(inputs.clone().requires_grad_())
    rules = Rules()
    with rules:
        under_rules = made(inputs.clone().requires_grad_())
    with torch.no_grad(), Rules(record=[]):
        recorded = made(inputs)
    assert torch.equal(own, under_rules)
    assert torch.equal(own, recorded)
    assert sum(rules.calls.values()) > 8


HALF: dict[str, tuple[str, int, tuple[Rule, ...]]] = {
    "resnet18": ("resnet18", 64, ("plain", "guided", "deconvolution", "rescale")),
    "vit": ("vit_tiny_patch16_224", 64, ("plain", "guided", "deconvolution", "rescale")),
    "vit by torchvision": ("vit_small", 32, ("plain", "rescale")),
    "swin_v2_t": ("swin_v2_t", 64, ("plain", "rescale")),
    "convnextv2": ("convnextv2_atto", 64, ("plain", "rescale")),
    "maxvit": ("maxvit_small", 56, ("plain", "rescale")),
}


def alike(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def in_half(made: nn.Module, inputs: Tensor, rules: tuple[Rule, ...]) -> Outcome:
    with torch.autocast("cpu", torch.bfloat16):
        return outcome(lambda x: made(x).float(), inputs, 0.0, rules)


@pytest.mark.parametrize("case", HALF)
def test_half_precision_gives_nearly_the_same_gradients(case: str) -> None:
    name, size, rules = HALF[case]
    made, inputs = network(name, size, torch.float32), normalised(2, size, torch.float32)
    full, half = outcome(made, inputs, 0.0, rules), in_half(made, inputs, rules)
    assert torch.equal(half.outputs, half.own_outputs)
    assert not half.uncovered
    assert alike(half.gradients["plain"], half.own_gradient) > 0.999
    for rule in rules:
        assert half.gradients[rule].dtype == torch.float32
        assert bool(half.gradients[rule].isfinite().all())
        # Rounding closes and opens ReLUs, in torch's own gradient as well.
        least = 0.95 if rule == "plain" else 0.98
        assert alike(half.gradients[rule], full.gradients[rule]) > least


def test_a_network_that_is_in_half_precision_itself() -> None:
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.LayerNorm(6), nn.Flatten(), nn.Linear(288, 3))
    made = made.requires_grad_(False)
    inputs = normalised(2, 8, torch.float32)
    full = outcome(made, inputs)
    half = outcome(made.bfloat16(), inputs.bfloat16())
    for rule in ("plain", "rescale"):
        assert half.gradients[rule].dtype == torch.bfloat16
        assert alike(half.gradients[rule].float(), full.gradients[rule]) > 0.98


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_attention_is_torch_s_own_to_the_last_bit(dtype: torch.dtype, masked: bool) -> None:
    q, k, v = torch.randn(3, 2, 3, 197, 32, generator=torch.Generator().manual_seed(1)).to(dtype)
    mask = torch.rand(197, 197, generator=torch.Generator().manual_seed(2)) > 0.2 if masked else None
    own = F.scaled_dot_product_attention(q.clone().requires_grad_(), k, v, mask)
    with Rules():
        assert torch.equal(F.scaled_dot_product_attention(q.clone().requires_grad_(), k, v, mask), own)
