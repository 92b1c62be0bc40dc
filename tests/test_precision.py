"""bfloat16 passes: close to float32, with a last layer in float32, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from heatlift import Classifier, HeatliftError, attribute, load
from heatlift.precision import last_layer, resolved
from networks import calibrated, classifier, images


@pytest.fixture(scope="module")
def pair() -> tuple[Classifier, Classifier]:
    """The same network in both precisions."""
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=10)
    calibrated(network, torch.rand(4, 3, 64, 64))
    return Classifier(network, size=64), Classifier(network, size=64, precision="bf16")


def test_logits_are_near_those_of_float32_and_not_rounded_to_8_bits(
    pair: tuple[Classifier, Classifier],
) -> None:
    full, half = pair
    x = images(4, dtype=torch.float32)
    with torch.no_grad():
        exact, near = full(x), half(x)
    assert near.dtype == torch.float32
    assert not torch.equal(exact, near)
    assert float((near - exact).abs().max()) < 0.05 * float(exact.abs().max())
    # The last layer is in float32: its results are no numbers of bfloat16.
    assert not torch.equal(near, near.bfloat16().float())


def test_gradients_follow_those_of_float32(pair: tuple[Classifier, Classifier]) -> None:
    full, half = pair
    x = images(4, dtype=torch.float32)
    target = full(x).argmax(dim=1)
    # The plain gradient flips with every ReLU whose input is near zero; the others have no such sign.
    for method, least in (("saliency", 0.8), ("guided_backprop", 0.97), ("layer_gradcam", 0.97)):
        exact, near = (attribute(clf, x, method, target).flatten() for clf in (full, half))
        assert float(torch.corrcoef(torch.stack([exact, near]))[0, 1]) > least, method


def test_methods_with_a_certificate_run_in_float32_all_the_same(pair: tuple[Classifier, Classifier]) -> None:
    full, half = pair
    x = images(4, dtype=torch.float32)
    target = full(x).argmax(dim=1)
    exact, near = (attribute(clf, x, "deeplift", target, certificate=True) for clf in (full, half))
    assert torch.equal(near.heatmaps, exact.heatmaps)
    assert near.complete
    exact, near = (
        attribute(clf, x[:1], "integrated_gradients", target[:1], certificate=True, steps=8)
        for clf in (full, half)
    )
    assert torch.equal(near.heatmaps, exact.heatmaps)


def test_the_network_has_no_hooks_afterwards_and_autocast_is_off(pair: tuple[Classifier, Classifier]) -> None:
    _, half = pair
    half(images(1, dtype=torch.float32))
    with pytest.raises(RuntimeError):
        half(images(1, 16, dtype=torch.float32)[:, :, :0])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in half.network.modules())
    assert not torch.is_autocast_enabled("cpu")
    assert all(p.dtype == torch.float32 for p in half.network.parameters())


def test_the_last_layer_is_found_where_there_is_one() -> None:
    network = classifier("resnet18").network
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    assert last_layer(network, x) is network.fc
    assert (
        last_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Tanh()), torch.rand(1, 3, 2, 2)) is None
    )


def test_it_is_recorded_and_auto_means_what_the_hardware_has(monkeypatch: pytest.MonkeyPatch) -> None:
    clf = load("torchvision:squeezenet1_1", "random", num_classes=2, size=64, precision="bf16")
    assert clf.describe()["precision"] == "bf16"
    assert (
        load("torchvision:squeezenet1_1", "random", num_classes=2, size=64).describe()["precision"] == "fp32"
    )
    network, device = clf.network, torch.device("cpu")
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert resolved("auto", network, device) == "bf16"
    assert resolved("auto", nn.Linear(2, 2).double(), device) == "fp32"
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_bf16": False}, raising=False)
    assert resolved("auto", network, device) == "fp32"


def test_what_can_t_be_is_said() -> None:
    with pytest.raises(HeatliftError, match=r"bf16 is for networks in float32, not torch\.float64"):
        Classifier(classifier("resnet18").network, size=64, precision="bf16")
    with pytest.raises(HeatliftError, match="unknown precision 'fp8': choose auto, fp32 or bf16"):
        load("torchvision:squeezenet1_1", "random", num_classes=2, precision="fp8")  # type: ignore[arg-type]
