from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heatlift import HeatliftError, co_score
from heatlift.score import class_probability, confidence_measures, log_remainder, relative_improvement


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


def exact_remainder(row: list[float], k: int) -> Decimal:
    """The other classes' softmax probability, to fifty digits."""
    with localcontext() as context:
        context.prec = 50
        terms = [Decimal(z).exp() for z in row]
        return sum((t for j, t in enumerate(terms) if j != k), Decimal()) / sum(terms)


def exact_phi(before: list[float], after: list[float], k: int) -> float:
    with localcontext() as context:
        context.prec = 50
        return float(100 * (1 - exact_remainder(after, k) / exact_remainder(before, k)))


@pytest.mark.parametrize("classes", [2, 3, 1000])
def test_phi_is_equation_8_where_probabilities_are_moderate(classes: int) -> None:
    before, after, k = logits(9, classes, 1) / 4, logits(9, classes, 2) / 4, torch.arange(9) % classes
    f, q = (z.softmax(dim=1)[torch.arange(9), k] for z in (before, after))
    expected = 100 * (q - f) / (1 - f)
    torch.testing.assert_close(relative_improvement(before, after, k), expected, rtol=1e-9, atol=1e-9)
    assert bool((expected < 0).any())
    assert bool((expected > 0).any())


def test_phi_by_hand() -> None:
    # From 1/4 to 1/2: a third of what was missing. From 1/2 to 1/4: as much again got lost.
    quarter, half = torch.tensor([[1.0, 1.0, 2.0]]).log(), torch.tensor([[2.0, 1.0, 1.0]]).log()
    k = torch.tensor([0])
    assert relative_improvement(quarter, half, k).item() == pytest.approx(100 / 3, rel=1e-5)
    assert relative_improvement(half, quarter, k).item() == pytest.approx(-50, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_phi_of_what_has_not_changed_is_exactly_zero(dtype: torch.dtype) -> None:
    z = torch.cat([logits(4, 7), 20 * logits(4, 7, 1), torch.eye(7, dtype=torch.float64)[:4] * 200]).to(dtype)
    k = torch.tensor([0, 1, 2, 3] * 3)
    assert torch.equal(relative_improvement(z, z.clone(), k), torch.zeros(12, dtype=dtype))


def test_phi_of_certainty_is_a_hundred_and_no_more() -> None:
    before = logits(6, 5, 1).float()
    after = before.clone()
    after[:, 2] = 500.0
    assert relative_improvement(before, after, torch.full((6,), 2)).tolist() == [100.0] * 6
    assert bool((relative_improvement(before, logits(6, 5, 2).float(), torch.full((6,), 2)) <= 100).all())


def test_phi_is_right_where_float32_takes_the_class_for_certain() -> None:
    before = torch.tensor([[30.0, 1.0, 0.5], [25.0, 0.0, -3.0], [60.0, 2.0, 2.5], [18.0, -2.0, 0.0]])
    after = torch.tensor([[31.0, 1.5, 0.0], [22.0, 0.0, 1.0], [5.0, 2.0, 2.0], [-50.0, 0.0, 0.0]])
    k = torch.zeros(4, dtype=torch.long)
    assert torch.equal(class_probability(before, k), torch.ones(4))
    expected = [exact_phi(b, a, 0) for b, a in zip(before.tolist(), after.tolist(), strict=True)]
    found = relative_improvement(before, after, k)
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert 50 < found[0] < 100
    assert found[2] < -1e20
    assert relative_improvement(before.double(), after.double(), k).tolist() == pytest.approx(
        expected, rel=1e-12
    )


def test_phi_is_right_where_the_class_is_far_off() -> None:
    before, after = torch.tensor([[-90.0, 3.0, 0.0]]), torch.tensor([[3.0, 2.0, 0.0]])
    k = torch.tensor([0])
    assert relative_improvement(before, after, k).item() == pytest.approx(
        exact_phi(before[0].tolist(), after[0].tolist(), 0), rel=1e-5
    )
    assert relative_improvement(before, before + 1e-3, k).item() == pytest.approx(0, abs=1e-3)


def test_phi_does_not_see_a_constant_on_all_logits() -> None:
    before, after, k = logits(5, 4, 1), logits(5, 4, 2), torch.tensor([0, 1, 2, 3, 0])
    torch.testing.assert_close(
        relative_improvement(before + 11, after - 60, k), relative_improvement(before, after, k)
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_the_remainder_is_what_the_others_have(classes: int) -> None:
    z, k = 8 * logits(6, classes, 3), torch.arange(6) % classes
    expected = [float(exact_remainder(row, i).ln()) for row, i in zip(z.tolist(), k.tolist(), strict=True)]
    assert log_remainder(z, k).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-13)
    assert log_remainder(z.float(), k).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert log_remainder(z, k.int()).tolist() == log_remainder(z, k).tolist()


def test_of_two_classes_the_remainder_is_the_other_one() -> None:
    z = 4 * logits(8, 2, 3)
    torch.testing.assert_close(log_remainder(z, torch.zeros(8)), z.log_softmax(dim=1)[:, 1])


def test_the_remainder_has_a_gradient_where_float32_takes_the_class_for_certain() -> None:
    z = torch.tensor([[40.0, 1.0, 0.0], [0.0, 1.0, 40.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(log_remainder(z, torch.zeros(2)).sum(), z)
    # d log r / dz_k = -f_k; of another class its share of r, less its probability.
    assert gradient[0].tolist() == pytest.approx(
        [-1, 1 / (1 + 0.36787944), 0.36787944 / 1.36787944], rel=1e-5
    )
    assert bool(gradient.isfinite().all())
    assert float(gradient[1].abs().max()) < 1e-15
