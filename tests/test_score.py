from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatlift import HeatliftError, co_score
from heatlift.score import class_probability, confidence_measures


def logits(n: int, classes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 5


def test_equals_the_paper_s_weighted_sum() -> None:
    before, after, labels = logits(6, 5, 1), logits(6, 5, 2), torch.tensor([0, 1, 2, 3, 4, 0])
    for i, label in enumerate(labels.tolist()):
        kappa = torch.full((5,), -1 / 4, dtype=torch.float64)
        kappa[label] = 1.0
        expected = (kappa * (after[i] - before[i])).sum()
        assert co_score(before, after, labels)[i] == pytest.approx(float(expected), rel=1e-12)


def test_equals_scaled_distance_from_the_mean() -> None:
    before, after, labels = logits(4, 7, 3), logits(4, 7, 4), torch.tensor([6, 0, 3, 3])
    delta = after - before
    expected = 7 / 6 * (delta.gather(1, labels[:, None])[:, 0] - delta.mean(dim=1))
    torch.testing.assert_close(co_score(before, after, labels), expected)


def test_unchanged_logits_score_exactly_zero() -> None:
    before = logits(5, 1000).float()
    assert co_score(before, before.clone(), torch.arange(5)).eq(0).all()


@settings(max_examples=25, deadline=None)
@given(st.floats(-100, 100), st.integers(2, 20))
def test_a_constant_on_all_logits_changes_nothing(shift: float, classes: int) -> None:
    before, after, labels = logits(3, classes, 5), logits(3, classes, 6), torch.tensor([0, 1, 0])
    torch.testing.assert_close(
        co_score(before, after + shift, labels), co_score(before, after, labels), atol=1e-10, rtol=0
    )


def test_two_classes_and_a_wrong_prediction_flip_the_sign() -> None:
    before, after = logits(8, 2, 7), logits(8, 2, 8)
    predicted = before.argmax(dim=1)
    assert torch.equal(co_score(before, after, 1 - predicted), -co_score(before, after, predicted))


def test_probabilities_are_refused() -> None:
    p = logits(4, 3).softmax(dim=1)
    with pytest.raises(HeatliftError, match=r"probabilities.*raw logits"):
        co_score(p, logits(4, 3, 1).softmax(dim=1), torch.zeros(4, dtype=torch.long))


def test_logits_that_happen_to_sum_to_one_are_not_refused() -> None:
    before = torch.tensor([[0.25, 0.75]])
    assert co_score(before, torch.tensor([[3.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("before", "after", "labels", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 3), torch.zeros(2), "one shape"),
        (torch.zeros(2, 1), torch.ones(2, 1), torch.zeros(2), r"two logits \(0, z\)"),
        (torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(3), "one per image"),
        (torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0, 3]), "classes 0 to 2"),
        (torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([-1, 0]), "classes 0 to 2"),
    ],
)
def test_what_does_not_fit_is_said(
    before: torch.Tensor, after: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(HeatliftError, match=message):
        co_score(before, after, labels)


def test_confidence_measures_against_hand_worked_values() -> None:
    # Softmax of (ln 6, ln 3, ln 1) is (0.6, 0.3, 0.1); the logsumexp is ln 10.
    measures = confidence_measures(torch.tensor([[6.0, 3.0, 1.0]], dtype=torch.float64).log())
    assert measures["confidence"].item() == pytest.approx(0.6)
    assert measures["margin"].item() == pytest.approx(0.3)
    assert measures["max_logit"].item() == pytest.approx(1.791759469228055)
    assert measures["entropy"].item() == pytest.approx(0.8979457248567797)
    assert measures["energy"].item() == pytest.approx(-2.302585092994046)


def test_certainty_has_no_nan() -> None:
    measures = confidence_measures(torch.tensor([[5000.0, 0.0, -5000.0]]))
    assert measures["entropy"].item() == 0.0
    assert all(bool(v.isfinite().all()) for v in measures.values())


def test_class_probability_picks_the_class() -> None:
    p = class_probability(torch.tensor([[0.0, 0.0], [0.0, 100.0]]), torch.tensor([1, 0]))
    assert p.tolist() == pytest.approx([0.5, 0.0])
