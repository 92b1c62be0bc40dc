from __future__ import annotations

import pytest
import torch

from heatlift import HeatliftError, augment, rescale


def test_rescale_gives_each_image_a_largest_absolute_value_of_one(generator: torch.Generator) -> None:
    h = torch.randn(4, 3, 8, 8, generator=generator) * torch.tensor([1e-6, 1.0, 30.0, 1e6]).view(4, 1, 1, 1)
    scaled = rescale(h)
    assert torch.equal(scaled.abs().amax(dim=(1, 2, 3)), torch.ones(4))
    torch.testing.assert_close(scaled * h.abs().amax(dim=(1, 2, 3), keepdim=True), h)


def test_a_zero_heatmap_stays_zero() -> None:
    assert rescale(torch.zeros(2, 3, 4, 4)).eq(0).all()


def test_rescale_is_per_image_not_per_batch() -> None:
    assert rescale(torch.tensor([[[[2.0]]], [[[-8.0]]]])).flatten().tolist() == [1.0, -1.0]


def test_operations(generator: torch.Generator) -> None:
    x, h = torch.rand(2, 3, 4, 4, generator=generator), torch.randn(2, 3, 4, 4, generator=generator)
    assert torch.equal(augment(x, h, "add"), x + h)
    assert torch.equal(augment(x, h, "multiply"), x * h)
    assert torch.equal(augment(x, h, lambda a, b: a * (1 + b)), x * (1 + h))
    assert torch.equal(augment(x, torch.zeros_like(h), "add"), x)


def test_what_does_not_fit_is_said() -> None:
    x = torch.zeros(2, 3, 4, 4)
    with pytest.raises(HeatliftError, match="unknown operation 'blend': choose from add, multiply"):
        augment(x, x, "blend")  # type: ignore[arg-type]
    with pytest.raises(HeatliftError, match="can't be combined"):
        augment(x, torch.zeros(2, 3, 5, 5))
    with pytest.raises(HeatliftError, match="must keep the images' shape"):
        augment(x, x, lambda a, b: a[:1])
