"""The gradient of a strided convolution as a plain one, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from heatlift.strided import StridedConvolution, applies

GEOMETRIES = [
    # kernel, stride, padding, side of the image
    (7, 2, 3, 32),
    (3, 2, 1, 15),
    (3, 2, 0, 16),
    (11, 4, 2, 35),
    (4, 4, 0, 18),
    (5, 3, 4, 13),
    (2, 5, 0, 17),
    (1, 2, 0, 8),
    (1, 3, 2, 8),
    ((3, 5), 2, 1, 16),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_gradient_is_torch_s_own(
    geometry: tuple[int | tuple[int, int], int, int, int], channels: int
) -> None:
    kernel, stride, padding, side = geometry
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(channels, 6, kernel, stride, padding).double()
    x = torch.randn(2, channels, side, side + 3, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(x, layer.weight, layer.bias, stride, padding)
    found = StridedConvolution.apply(x, layer.weight.detach(), layer.bias.detach(), stride, padding)
    assert torch.equal(found, expected)
    above = torch.randn_like(expected)
    (theirs,) = torch.autograd.grad(expected, x, above)
    (ours,) = torch.autograd.grad(found, x, above)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_it_takes_the_place_of_no_other_convolution() -> None:
    image, maps = torch.rand(1, 3, 8, 8, requires_grad=True), torch.rand(1, 16, 8, 8, requires_grad=True)
    assert applies(image, ((2, 2), (3, 3), (1, 1), 1)) == (2, 3)
    assert applies(image, (2,)) == (2, 0)
    assert applies(image, (2, "valid")) is None
    assert applies(image, (1, 1)) is None
    assert applies(image, ((2, 1), 1)) is None
    assert applies(image, (2, (1, 2))) is None
    assert applies(image, (2, 1, 2)) is None
    assert applies(image, (2, 1, 1, 3)) is None
    assert applies(maps, (2, 1)) is None
    assert applies(image.detach(), (2, 1)) is None
    with torch.no_grad():
        assert applies(image, (2, 1)) is None
