"""What takes a masked pixel's place, and views of images, against scipy and plain loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from heatlift import HeatliftError
from heatlift.perturbation import perturbed, reference_images
from heatlift.views import drawn_views, viewed
from pictures import photographs


@pytest.fixture(scope="module")
def x() -> Tensor:
    return photographs(3, 64)[:, :, :40]


def gaussian(image: NDArray[np.float64], kernel: int, sigma: float) -> NDArray[np.float64]:
    """One colour (h, w), convolved with a window of exactly that size; edges reflected, not repeated."""
    offsets = np.arange(kernel) - kernel // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (0, 1):
        image = ndimage.correlate1d(image, weights, axis=axis, mode="mirror")
    return image


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kernel", "sigma"), [(11, 5.0), (5, 1.3), (31, 10.0), (1, 2.0)])
def test_the_blur_is_a_gaussian_s(x: Tensor, dtype: torch.dtype, kernel: int, sigma: float) -> None:
    found = reference_images(x.to(dtype), "blur", kernel, sigma)
    expected = np.array([[gaussian(c, kernel, sigma) for c in image] for image in x.double().numpy()])
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found.numpy(), expected, rtol=0, atol=5e-6 if dtype == torch.float32 else 1e-12
    )


@pytest.mark.parametrize("reference", ["blur", "mean", "local_mean", torch.zeros_like, lambda x: 1 - x])
def test_one_keeps_the_image_and_zero_gives_the_reference_exactly(x: Tensor, reference: Any) -> None:
    g = reference_images(x, reference, 11, 5.0)
    ones = torch.ones(3, 1, 40, 64)
    assert torch.equal(perturbed(x, ones, g), x)
    assert torch.equal(perturbed(x, 0 * ones, g), g)
    assert not torch.equal(g, x)


def test_between_them_it_is_equation_1(x: Tensor) -> None:
    masks = torch.rand(3, 1, 40, 64, generator=torch.Generator().manual_seed(0))
    g = reference_images(x, "blur", 11, 5.0)
    found = perturbed(x, masks, g).double().numpy()
    m = masks.double().numpy()
    expected = x.double().numpy() * m + g.double().numpy() * (1 - m)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_the_mean_is_each_colour_s(x: Tensor) -> None:
    found = reference_images(x, "mean", 999, 5.0)
    assert found.shape == x.shape
    for image, g in zip(x.double().numpy(), found.numpy(), strict=True):
        for colour, value in zip(image, g, strict=True):
            np.testing.assert_allclose(value, colour.mean(), rtol=1e-5)


def test_the_local_mean_is_that_of_a_square(x: Tensor) -> None:
    found = reference_images(x, "local_mean", 7, 5.0).numpy()
    padded = np.pad(x.double().numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    for i, j in [(0, 0), (39, 63), (17, 0), (2, 30), (20, 33)]:
        expected = padded[:, :, i : i + 7, j : j + 7].mean(axis=(2, 3))
        np.testing.assert_allclose(found[:, :, i, j], expected, rtol=0, atol=1e-6)


def test_a_function_sees_the_images_and_takes_no_gradient(x: Tensor) -> None:
    weight = torch.tensor(0.5, requires_grad=True)
    found = reference_images(x, lambda images: weight * images, 11, 5.0)
    torch.testing.assert_close(found, x / 2)
    assert not found.requires_grad


@pytest.mark.parametrize("reference", ["blur", "local_mean"])
def test_too_small_images_are_refused(reference: Any) -> None:
    with pytest.raises(HeatliftError, match="images of 64 x 5 pixels are too small for a window of 11"):
        reference_images(torch.rand(1, 3, 5, 64), reference, 11, 5.0)
    assert reference_images(torch.rand(1, 3, 6, 64), reference, 11, 5.0).shape == (1, 3, 6, 64)


@pytest.mark.parametrize(
    "reference",
    [
        lambda x: x[:1],
        lambda x: x.mean(dim=(2, 3), keepdim=True),
        lambda x: x / 0,
        lambda x: x * torch.nan,
        lambda x: x.numpy(),
        lambda x: None,
        lambda x: x + 1,
    ],
)
def test_functions_that_give_no_such_images_are_refused(x: Tensor, reference: Callable[..., Any]) -> None:
    with pytest.raises(HeatliftError, match=r"must give images in \[0, 1\] of shape \(3, 3, 40, 64\)"):
        reference_images(x, reference, 11, 5.0)


def test_a_function_may_do_with_its_images_what_it_likes(x: Tensor) -> None:
    before = x.clone()
    assert torch.equal(reference_images(x, lambda images: images.mul_(0), 11, 5.0), torch.zeros_like(x))
    assert torch.equal(x, before)
    assert reference_images(x, lambda images: images.double(), 11, 5.0).dtype == torch.float32


def test_views_are_what_each_pixel_s_shift_says(x: Tensor) -> None:
    views = torch.tensor([[3, -4, 1], [-4, 4, 0], [0, 1, 1]])
    found = viewed(x, views, 4)
    for image, seen, (down, right, mirrored) in zip(x, found, views.tolist(), strict=True):
        expected = torch.empty_like(image)
        for i in range(40):
            for j in range(64):
                column = 63 - j if mirrored else j
                expected[:, i, j] = image[:, min(max(i - down, 0), 39), min(max(column - right, 0), 63)]
        assert torch.equal(seen, expected)


def test_views_of_no_margin_are_the_images_themselves(x: Tensor) -> None:
    assert torch.equal(viewed(x, torch.zeros(3, 3, dtype=torch.long), 0), x)
    assert torch.equal(viewed(x, torch.tensor([[0, 0, 1]] * 3), 0), x.flip(3))


def test_views_pass_gradients_on(x: Tensor) -> None:
    images = x[:1, :, :4, :4].clone().requires_grad_()
    viewed(images, torch.tensor([[1, 0, 0]]), 2).sum().backward()
    assert images.grad is not None
    # The first row is seen twice, the last has left.
    assert images.grad[0, 0, :, 0].tolist() == [2, 1, 1, 0]


def test_views_are_drawn_from_all_there_are(x: Tensor) -> None:
    drawn = drawn_views(x, (200, 2), 2, True, 0)
    assert drawn.shape == (3, 200, 2, 3)
    assert set(drawn[..., 0].flatten().tolist()) == set(range(-2, 3)) == set(drawn[..., 1].flatten().tolist())
    assert 0.4 < float(drawn[..., 2].double().mean()) < 0.6
    # Down is not right, one view is not the next, one image's are not another's.
    assert not torch.equal(drawn[..., 0], drawn[..., 1])
    assert not torch.equal(drawn[:, :, 0], drawn[:, :, 1])
    assert not torch.equal(drawn[0], drawn[1])
    still = drawn_views(x, (20, 2), 0, False, 0)
    assert not bool(still.any())
    assert not bool(drawn_views(x, (200, 2), 2, False, 0)[..., 2].any())


def test_views_belong_to_the_image_the_seed_and_the_purpose(x: Tensor) -> None:
    drawn = drawn_views(x, (20, 1), 8, True, 0)
    assert torch.equal(drawn_views(x.flip(0), (20, 1), 8, True, 0), drawn.flip(0))
    assert torch.equal(drawn_views(x[1:2].double(), (20, 1), 8, True, 0), drawn[1:2])
    assert not torch.equal(drawn_views(x, (20, 1), 8, True, 1), drawn)
    assert not torch.equal(drawn_views(x, (20, 1), 8, True, 0, "views/1"), drawn)
