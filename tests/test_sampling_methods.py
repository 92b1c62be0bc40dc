"""Integrated gradients and SmoothGrad against independent computations."""

from __future__ import annotations

import pytest
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from heatlift import Classifier, HeatliftError, attribute
from networks import classifier, images, small


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 3, 8, 8, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", inputs, self.weight)


def test_integrated_gradients_of_a_linear_network_is_its_weight_times_the_difference() -> None:
    network = Linear()
    clf, x = Classifier(network, size=8), images(2, 8)
    found = attribute(clf, x, "integrated_gradients", target=1, baseline=0.25)
    torch.testing.assert_close(found, (x - 0.25) * network.weight[1].detach())


def test_integrated_gradients_equals_captum_s_with_very_many_steps() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 16, 3)
    ).double()
    clf, x = Classifier(network, size=8), images(2, 8)
    target = torch.tensor([0, 2])
    expected = IntegratedGradients(network).attribute(x, torch.zeros_like(x), target, n_steps=500)
    found = attribute(clf, x, "integrated_gradients", target, certificate=True, steps=512)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.heatmaps, expected, rtol=0.01, atol=0.01 * scale)
    assert float(found.completeness.max()) <= 0.01


def test_each_image_takes_as_many_steps_as_it_needs() -> None:
    clf, x = small(), images(3, 32, torch.float32)
    found = attribute(clf, x, "integrated_gradients", certificate=True)
    assert float(found.completeness.max()) <= 0.01
    for i in range(3):
        alone = attribute(clf, x[i : i + 1], "integrated_gradients")
        torch.testing.assert_close(alone[0], found.heatmaps[i], rtol=1e-5, atol=1e-6)
    coarse = attribute(clf, x, "integrated_gradients", certificate=True, steps=8)
    assert not torch.allclose(coarse.heatmaps, found.heatmaps)


def test_smoothgrad_without_noise_is_the_gradient() -> None:
    clf, x = classifier("resnet18", 32), images(2, 32)
    torch.testing.assert_close(
        attribute(clf, x, "smoothgrad", noise=0.0, samples=2), attribute(clf, x, "saliency")
    )


def test_smoothgrad_of_a_quadratic_has_the_expected_spread() -> None:
    class Quadratic(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            q = inputs.square().sum(dim=(1, 2, 3)) / 2
            return torch.stack([q, -q], dim=1)

    clf, x = Classifier(Quadratic(), size=64), images(1, dtype=torch.float32)
    # The gradient of |x|^2 / 2 is x: SmoothGrad is x plus the mean of 16 draws of noise.
    noise = attribute(clf, x, "smoothgrad", target=0, samples=16, noise=0.2, seed=3) - x
    expected = 0.2 * float(x.max() - x.min()) / 4
    assert float(noise.std()) == pytest.approx(expected, rel=0.05)
    assert abs(float(noise.mean())) < 5 * expected / noise.numel() ** 0.5


def test_smoothgrad_s_noise_belongs_to_seed_and_image() -> None:
    clf, x = small(), images(2, 32, torch.float32)
    first = attribute(clf, x, "smoothgrad", seed=1, samples=3)
    assert torch.equal(first, attribute(clf, x, "smoothgrad", seed=1, samples=3))
    assert not torch.equal(first, attribute(clf, x, "smoothgrad", seed=2, samples=3))
    turned = attribute(clf, x.flip(0), "smoothgrad", seed=1, samples=3)
    torch.testing.assert_close(turned.flip(0), first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("integrated_gradients", {"steps": 2}, "2 steps for integrated_gradients: give at least 8"),
        ("smoothgrad", {"samples": 0}, "smoothgrad with 0 samples"),
        ("smoothgrad", {"noise": -1.0}, "noise -1.0"),
        ("smoothgrad", {"steps": 4}, "smoothgrad takes no option 'steps': it takes samples, noise, seed"),
        ("saliency", {"steps": 4}, "saliency takes no option 'steps': it takes none"),
    ],
)
def test_bad_options_are_said(method: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(HeatliftError, match=message):
        attribute(small(), images(1, 32, torch.float32), method, **options)  # type: ignore[call-overload]
