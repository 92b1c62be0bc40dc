"""Total variation, sparsity and the two factors against hand values and plain loops."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from heatlift.regularise import centred, non_target_factor, sparsity, target_factor, total_variation

# Differences down: -3/4, -1/2; to the right: -1/2 in the first row, -1/4 in the second.
MASK = torch.tensor([[[[1.0, 0.5], [0.25, 0.0]]]], dtype=torch.float64)


def randoms(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def logits(n: int, classes: int, seed: int = 0) -> Tensor:
    return 10 * (randoms(n, classes, seed=seed) - 0.5)


@pytest.mark.parametrize(
    ("form", "beta", "expected", "atol"),
    [
        # The constant under the root: 1e-4 in the corner that has no differences.
        ("isotropic", 2.0, sqrt(0.75**2 + 0.5**2) + 0.5 + 0.25 + 1e-4, 1e-7),
        ("power", 2.0, 1.125, 1e-15),
        ("power", 1.0, 2.0, 1e-15),
        ("power", 3.0, 0.6875, 1e-15),
    ],
)
def test_total_variation_by_hand(form: Any, beta: float, expected: float, atol: float) -> None:
    assert total_variation(MASK, form, beta, "sum").item() == pytest.approx(expected, abs=atol, rel=0)
    assert total_variation(MASK, form, beta, "mean").item() == pytest.approx(expected / 4, abs=atol, rel=0)
    assert total_variation(MASK, form, beta).item() == pytest.approx(expected / 4, abs=atol, rel=0)


def test_isotropic_is_the_form_by_default() -> None:
    assert torch.equal(total_variation(MASK), total_variation(MASK, "isotropic"))


@pytest.mark.parametrize("form", ["isotropic", "power"])
@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_total_variation_is_the_printed_sum(form: Any, beta: float) -> None:
    masks = randoms(3, 1, 5, 7)
    expected = []
    for mask in masks[:, 0].tolist():
        total = 0.0
        for i in range(5):
            for j in range(7):
                down = mask[i + 1][j] - mask[i][j] if i < 4 else 0.0
                right = mask[i][j + 1] - mask[i][j] if j < 6 else 0.0
                if form == "isotropic":
                    total += sqrt(down**2 + right**2 + 1e-8)
                else:
                    total += abs(down) ** beta + abs(right) ** beta
        expected.append(total)
    assert total_variation(masks, form, beta, "sum").tolist() == pytest.approx(expected, rel=1e-12)
    assert (35 * total_variation(masks, form, beta, "mean")).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("side", [1, 2, 28])
@pytest.mark.parametrize(
    ("form", "beta"), [("isotropic", 2.0), ("power", 1.0), ("power", 1.5), ("power", 2.0)]
)
def test_a_constant_mask_has_a_gradient_of_zero(
    form: Any, beta: float, side: int, dtype: torch.dtype
) -> None:
    masks = torch.ones(2, 1, side, side, dtype=dtype, requires_grad=True)
    found = total_variation(masks, form, beta)
    assert float(found.detach().max()) <= 1.01e-4
    (gradient,) = torch.autograd.grad(found.sum(), masks)
    assert torch.equal(gradient, torch.zeros_like(masks))


@pytest.mark.parametrize(("form", "beta"), [("isotropic", 2.0), ("power", 1.5), ("power", 2.0)])
def test_the_gradient_of_total_variation(form: Any, beta: float) -> None:
    masks = randoms(2, 1, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: total_variation(m, form, beta, "sum"), masks)


def test_sparsity_by_hand() -> None:
    masks = torch.cat([MASK, torch.ones_like(MASK), torch.zeros_like(MASK)])
    assert sparsity(masks, "sum").tolist() == [2.25, 0.0, 4.0]
    assert sparsity(masks, "mean").tolist() == sparsity(masks).tolist() == [0.5625, 0.0, 1.0]
    # L1 also on the other side.
    assert sparsity(torch.full((1, 1, 2, 2), 1.5)).tolist() == [0.5]


def test_the_factors_by_hand() -> None:
    before = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    after = torch.tensor([[5.0, 1.0, 2.0, 1.0], [3.0, -1.0, -2.0, 6.0]], dtype=torch.float64)
    classes = torch.tensor([0, 3])
    # The others move by -1, -1, -3 and by 3, -1, -2: signs count within the mean.
    assert target_factor(before, after, classes).tolist() == pytest.approx([5 / 3, 0.0], abs=1e-15)
    assert non_target_factor(before, after, classes).tolist() == [4.0, 6.0]


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_factors_are_equations_4_and_6(classes: int) -> None:
    before, after, target = logits(6, classes, 1), logits(6, classes, 2), torch.arange(6) % classes
    for i, k in enumerate(target.tolist()):
        delta = (after[i] - before[i]).tolist()
        others = [delta[j] for j in range(classes) if j != k]
        expected = abs(sum(others)) / (classes - 1)
        assert target_factor(before, after, target)[i].item() == pytest.approx(expected, rel=1e-12)
        assert non_target_factor(before, after, target)[i].item() == pytest.approx(abs(delta[k]), rel=1e-12)


@pytest.mark.parametrize("factor", [target_factor, non_target_factor])
def test_factors_of_what_has_not_moved_are_zero(factor: Any) -> None:
    before, target = logits(4, 5), torch.tensor([0, 4, 2, 2])
    after = before.clone().requires_grad_()
    found = factor(before, after, target)
    assert torch.equal(found, torch.zeros_like(found))
    (gradient,) = torch.autograd.grad(found.sum(), after)
    assert bool(gradient.isfinite().all())


def test_each_factor_is_blind_to_the_other_s_logits() -> None:
    before, after, target = logits(4, 6, 1), logits(4, 6, 2), torch.tensor([0, 1, 5, 3])
    of_target = torch.nn.functional.one_hot(target, 6).double()
    torch.testing.assert_close(
        target_factor(before, after + 7 * of_target, target), target_factor(before, after, target)
    )
    torch.testing.assert_close(
        non_target_factor(before, after + 7 * (1 - of_target), target),
        non_target_factor(before, after, target),
    )


@pytest.mark.parametrize("factor", [target_factor, non_target_factor])
def test_constants_on_all_logits(factor: Any) -> None:
    before, after, target = logits(4, 6, 1), logits(4, 6, 2), torch.tensor([0, 1, 5, 3])
    shift = torch.tensor([[3.0], [-40.0], [0.5], [7.0]], dtype=torch.float64)
    plain = factor(before, after, target)
    # The same on both: nothing; on one of them: the factor sees it as a move of all logits.
    torch.testing.assert_close(factor(before + shift, after + shift, target), plain)
    assert not bool(torch.isclose(factor(before, after + shift, target), plain).any())
    moved = factor(before, before + shift, target)
    torch.testing.assert_close(moved, shift[:, 0].abs())
    # Centred it sees neither.
    torch.testing.assert_close(
        factor(centred(before), centred(after + shift), target),
        factor(centred(before), centred(after), target),
    )
    torch.testing.assert_close(
        factor(centred(before), centred(before + shift), target), torch.zeros_like(plain), atol=1e-12, rtol=0
    )


def test_centred_logits_are_the_logits_less_their_mean() -> None:
    found = centred(torch.tensor([[1.0, 2.0, 6.0], [-1.0, -1.0, -1.0]]))
    assert found.tolist() == [[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0]]


def test_equation_7_s_sum_over_the_others_is_the_rest_of_the_probability() -> None:
    z, target = logits(5, 7).requires_grad_(), torch.tensor([0, 1, 2, 6, 3])
    p = z.softmax(dim=1)
    others = torch.stack([sum(p[i, j] for j in range(7) if j != k) for i, k in enumerate(target.tolist())])  # type: ignore[misc]
    own = -torch.stack([p[i, k] for i, k in enumerate(target.tolist())])
    torch.testing.assert_close(others, 1 + own, rtol=1e-12, atol=0)
    (of_others,) = torch.autograd.grad(others.sum(), z, retain_graph=True)
    (of_own,) = torch.autograd.grad(own.sum(), z)
    torch.testing.assert_close(of_others, of_own, rtol=1e-10, atol=1e-15)
    assert float(of_own.abs().max()) > 1e-3
