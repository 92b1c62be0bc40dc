"""The two-pixel example of Tjoa 2022: by hand, by autograd, and as GAX itself does it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import heatlift as hl
from heatlift.optimise import EPSILON, Given, Optimiser, Problem
from heatlift.reproduce.tjoa2022 import two_dimensions as toy
from heatlift.reproduce.tjoa2022.toy import figure_1
from heatlift.types import Framing

ROOT = np.sqrt(0.5)
COMPONENTS = [(0.95, 0.05), (0.7, 0.3), (0.51, 0.49)]
ANGLES = np.linspace(-np.pi, 2 * np.pi, 37)


@pytest.mark.parametrize("a", COMPONENTS)
def test_heatmaps_are_those_worked_by_hand(a: tuple[float, float]) -> None:
    a1, a2 = a
    by_hand = {
        # W = 1: x = (a1, a2); Delta = w1 a1 - w2 a2
        0.0: ((a1, a2), ((1 + 1.2 * a1) * a1, (1 - 1.2 * a2) * a2)),
        # W^-1 = [[1, 1], [-1, 1]] / sqrt 2: its rows differ in the first column only, by sqrt 2
        np.pi / 4: (
            ((a1 - a2) * ROOT, (a1 + a2) * ROOT),
            ((1 + 1.2 * (a1 - a2)) * (a1 - a2) * ROOT, (a1 + a2) * ROOT),
        ),
        # W^-1 = [[0, 1], [-1, 0]]: x = (-a2, a1); Delta = w1 x1 + w2 x2
        np.pi / 2: ((-a2, a1), ((1 - 1.2 * a2) * -a2, (1 + 1.2 * a1) * a1)),
    }
    for theta, (x, h) in by_hand.items():
        w = toy.rotation(theta)
        np.testing.assert_allclose(toy.pixels(w, a), x, atol=1e-15)
        np.testing.assert_allclose(toy.heatmap(w, a), h, atol=1e-15)


@pytest.mark.parametrize("a", COMPONENTS)
def test_the_advantage_is_a_minus_b_by_way_of_the_inverse(a: tuple[float, float]) -> None:
    weights = np.random.default_rng(0).normal(size=(len(ANGLES), 2))
    w = toy.rotation(ANGLES)
    both = np.stack([np.linalg.solve(w[i], weights[i] * (w[i] @ a)) for i in range(len(ANGLES))])
    np.testing.assert_allclose(toy.advantage(w, a, weights), both[:, 0] - both[:, 1], atol=1e-12)


def test_the_closed_form_holds_for_any_invertible_transform() -> None:
    w, a = np.random.default_rng(1).normal(size=(20, 2, 2)), np.random.default_rng(2).normal(size=(20, 2))
    weights = np.random.default_rng(3).normal(size=(20, 2))
    for one in range(20):
        (i11, i12), (i21, i22) = np.linalg.inv(w[one])
        (w11, w12), (w21, w22) = w[one]
        (a1, a2), (w1, w2) = a[one], weights[one]
        printed = w1 * (i11 - i21) * (a1 * w11 + a2 * w12) - w2 * (i22 - i12) * (a1 * w21 + a2 * w22)
        assert toy.advantage(w[one], a[one], weights[one]) == pytest.approx(printed, rel=1e-10)


@pytest.mark.parametrize("a", COMPONENTS)
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_gradient_ascent_by_autograd_ends_at_equation_4(a: tuple[float, float], steps: int) -> None:
    for theta in ANGLES[::4]:
        w = torch.tensor(toy.rotation(theta))
        x = w @ torch.tensor(a, dtype=torch.float64)
        weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
        for _ in range(steps):
            big, small = torch.linalg.solve(w, weights * x)
            (slope,) = torch.autograd.grad(big - small, weights)
            weights = (weights + 1.2 / steps * slope).detach().requires_grad_()
        h = toy.heatmap(toy.rotation(theta), a)
        np.testing.assert_allclose((weights * x).detach().numpy(), h, atol=1e-12)


@pytest.mark.parametrize("a", COMPONENTS)
def test_a_step_raises_the_advantage_by_eta_times_the_squared_gradient(a: tuple[float, float]) -> None:
    w = toy.rotation(ANGLES)
    slope = toy.gradient(w, a)
    before, after = toy.advantage(w, a, np.ones(2)), toy.advantage(w, a, 1 + 0.4 * slope)
    np.testing.assert_allclose(after, before + 0.4 * (slope**2).sum(-1), atol=1e-12)
    assert (after >= before).all()
    # w = 1 is the image itself, of which class 1 has a1 and class 2 has a2 at every angle.
    np.testing.assert_allclose(before, a[0] - a[1], atol=1e-12)


@pytest.mark.parametrize("a", COMPONENTS)
def test_the_image_as_its_own_heatmap_scores_a1_less_a2(a: tuple[float, float]) -> None:
    w = toy.rotation(ANGLES)
    x = toy.pixels(w, a)
    np.testing.assert_allclose(toy.co_score(w, x, x), a[0] - a[1], atol=1e-12)
    expected = np.diff(torch.sigmoid(torch.tensor([a[::-1], [2 * each for each in a[::-1]]])).numpy())
    scores = toy.co_score(w, x, x, toy.sigmoid)
    np.testing.assert_allclose(scores, float(expected[1, 0] - expected[0, 0]), atol=1e-6)


@pytest.mark.parametrize("a", COMPONENTS)
def test_section_2_s_formula_has_a1_less_a2_more_than_equation_1(a: tuple[float, float]) -> None:
    """As "What differs" says: s = σ(a1) − σ(a2) + σ(A) − σ(B), of which eq. 1 has A − B where σ is linear."""
    w = toy.rotation(ANGLES)
    h = toy.heatmap(w, a)
    big, small = np.moveaxis(toy.seen(w, h), -1, 0)
    score = toy.co_score(w, toy.pixels(w, a), h, activation=lambda values: values)
    np.testing.assert_allclose(score, big - small, atol=1e-12)
    formula = a[0] - a[1] + big - small
    np.testing.assert_allclose(formula - score, a[0] - a[1], atol=1e-12)
    (said,) = (words for words in figure_1().differs if "σ(A)" in words)
    assert "is not eq. 1’s: where σ is linear, eq. 1 is A − B" in said


def test_the_left_panel_says_what_its_own_text_prints() -> None:
    printed = {line.what: line for line in figure_1().lines}
    middle = printed["left: largest |h| at θ = π/4"]
    assert middle.printed == "still high"
    assert "less prominent" in middle.note


def test_negative_outputs_keep_a_hundredth_under_leaky_relu() -> None:
    # x = (1, -1) and h = (0, -2) at W = 1: f goes from (1, -0.01) to (1, -0.03)
    assert toy.co_score(np.eye(2), (1.0, -1.0), (0.0, -2.0)) == pytest.approx(0.02)


@pytest.mark.parametrize("a", COMPONENTS)
@pytest.mark.parametrize("theta", [0.0, np.pi / 8, np.pi / 4])
def test_the_heatmap_raises_the_score_above_that_of_the_image(a: tuple[float, float], theta: float) -> None:
    w = toy.rotation(theta)
    x = toy.pixels(w, a)
    assert toy.co_score(w, x, toy.heatmap(w, a)) > toy.co_score(w, x, x)


class _TwoPixels(nn.Module):
    """Logits W^-1 x of the two pixels of the first channel, times a factor."""

    def __init__(self, theta: float, factor: float) -> None:
        super().__init__()
        self.inverse = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.inverse.weight.copy_(torch.tensor(factor * np.linalg.inv(toy.rotation(theta))))

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.inverse(inputs[:, 0, 0])
        return out


def _classifier(theta: float, factor: float, dtype: torch.dtype = torch.float32) -> hl.Classifier:
    return hl.Classifier(_TwoPixels(theta, factor).to(dtype), framing=Framing(2, (1, 2)), device="cpu")


TINY, SMALL = 1e-14, 1e-3
"""Of logits and of pixels; see `test_gax_itself_ends_at_equation_4`."""


@pytest.mark.parametrize("a", COMPONENTS)
@pytest.mark.parametrize("theta", [0.0, np.pi / 8, np.pi / 4])
@pytest.mark.parametrize("steps", [1, 6])
def test_gax_itself_ends_at_equation_4(a: tuple[float, float], theta: float, steps: int) -> None:
    """GAX differs from eq. 4 by Adam, tanh and the similarity loss, and each of them can be taken away.

    Adam divides by the gradient's size plus 1e-8: where gradients are far below that, it is plain gradient
    ascent by lr / 1e-8. Of small pixels tanh is the identity; pixels c times as large, with k eta 1 / c
    times as large, have heatmaps c times as large. The weight of the similarity loss is 0.
    """
    w = toy.rotation(theta)
    classifier = _classifier(theta, TINY)
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0, 0] = torch.tensor(SMALL * toy.pixels(w, a))
    lr = (1.2 / SMALL / steps) * EPSILON / TINY
    gax = hl.GAX(max_steps=steps, lr=lr, similarity=0.0, precision="fp32")
    found = gax(classifier, images, torch.tensor([0]))
    assert found.steps.tolist() == [steps]
    h = found.heatmaps[0, 0, 0].double().numpy() / SMALL
    np.testing.assert_allclose(h, toy.heatmap(w, a), rtol=2e-5, atol=1e-6)
    assert float(found.score[0]) > 0


@pytest.mark.parametrize("theta", [0.0, np.pi / 8, np.pi / 4])
def test_gax_as_it_is_goes_the_way_of_equation_4(theta: float) -> None:
    """One step of Adam goes lr in the sign of eq. 4's gradient, which tanh scales but never turns."""
    a = (0.95, 0.05)
    w = toy.rotation(theta)
    images = torch.zeros(1, 3, 1, 2)
    images[0, 0, 0] = torch.tensor(toy.pixels(w, a))
    gax = hl.GAX(max_steps=1, lr=0.1, similarity=0.0, precision="fp32")
    found = gax(_classifier(theta, 1.0), images, torch.tensor([0]))
    weights = torch.atanh(found.heatmaps[0, 0, 0]) / images[0, 0, 0]
    slope = np.sign(toy.gradient(w, a).round(12))
    # At pi / 4 the second gradient is 0 but for rounding, of which Adam may make a step.
    known = slope != 0
    np.testing.assert_allclose(weights.double().numpy()[known], (1 + 0.1 * slope)[known], atol=1e-4)


def test_the_loop_without_tanh_ends_at_equation_4_at_any_angle() -> None:
    """`heatlift.optimise` with h = w * x: also where pixels are negative, which images can't be."""
    a = (0.7, 0.3)
    x = torch.tensor(toy.pixels(toy.rotation(ANGLES), a))
    inverse = torch.tensor(np.linalg.inv(toy.rotation(ANGLES)))

    def loss(logits: Sequence[Tensor], h: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        found = torch.einsum("nij,nj->ni", given["inverse"], h[:, 0, 0])
        ascent = (found[:, 0] - found[:, 1]) * TINY
        return -ascent - 0 * logits[0].sum(dim=1), ascent

    problem = Problem(
        lambda parameters, given: parameters[0] * given["x"],
        lambda h, given, step: h.expand(-1, 3, -1, -1),
        loss,
    )
    network = _classifier(0.0, 1.0, torch.float64)
    start = (torch.ones(len(ANGLES), 1, 1, 2, dtype=torch.float64),)
    given = {"x": x[:, None, None], "inverse": inverse}
    loop = Optimiser(problem, [network], max_steps=4, lr=1.2 / 4 * EPSILON / TINY)
    weights = loop(start, given).parameters[0]
    h = (weights * given["x"])[:, 0, 0].numpy()
    np.testing.assert_allclose(h, toy.heatmap(toy.rotation(ANGLES), a), atol=1e-5)
