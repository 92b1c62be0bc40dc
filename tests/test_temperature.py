"""Temperature scaling against direct computation, scipy, and logits whose temperature is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from heatlift.score import log_confidence_at
from heatlift.temperature import TEMPERATURES, tempered

STEP = TEMPERATURES[1] / TEMPERATURES[0]


def drawn(temperature: float, n: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are right at a temperature: the labels are drawn from softmax(logits / temperature)."""
    generator = torch.Generator().manual_seed(3)
    logits = 4 * torch.randn(n, 6, generator=generator, dtype=torch.float64)
    labels = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]
    return logits, labels


def lag(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    return (logits.amax(1) - logits.gather(1, labels[:, None])[:, 0]).numpy()


def test_confidences_are_those_of_the_scaled_logits() -> None:
    logits = 9 * torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    found = log_confidence_at(logits, TEMPERATURES)
    assert found.shape == (7, len(TEMPERATURES))
    for place, temperature in enumerate(TEMPERATURES):
        expected = (logits.double() / temperature).softmax(1).amax(1)
        assert torch.allclose(found[:, place].exp(), expected, rtol=1e-9)


def test_a_sure_confidence_keeps_what_is_missing_to_one() -> None:
    found = log_confidence_at(torch.tensor([[0.0, 45.0]]), TEMPERATURES)[0, TEMPERATURES.index(1.0)]
    assert -float(found.float()) == pytest.approx(np.exp(-45), rel=1e-6, abs=0)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_that_the_labels_were_drawn_at_is_found(truth: float) -> None:
    logits, labels = drawn(truth)
    found = tempered(log_confidence_at(logits, TEMPERATURES).numpy(), lag(logits, labels))

    def nll(log_t: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / np.exp(log_t), labels))

    best = np.exp(minimize_scalar(nll, bounds=(-2, 2), method="bounded").x)
    assert best / STEP < found.whole < best * STEP
    assert all(truth / STEP**1.5 < half < truth * STEP**1.5 for half in found.halves)
    assert found.nll[0] == pytest.approx(nll(0.0))
    assert found.nll[1] <= found.nll[0] + 1e-3


def test_each_half_is_judged_at_the_temperature_of_the_other() -> None:
    """Two kinds of images that want different temperatures: no image may get that of its own half."""
    logits, labels = drawn(1.0, 60)
    log_confidence, behind = log_confidence_at(logits, TEMPERATURES).numpy(), lag(logits, labels)
    found = tempered(log_confidence, behind, seed=4)
    order = np.random.default_rng(4).permutation(60)
    nll = behind[:, None] / np.asarray(TEMPERATURES) - log_confidence
    for own, other in ((order[:30], order[30:]), (order[30:], order[:30])):
        place = nll[other].mean(axis=0).argmin()
        assert found.log_confidence[own] == pytest.approx(log_confidence[own, place])
