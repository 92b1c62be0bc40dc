"""Agreement of masks against numpy, scipy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from skimage.metrics import structural_similarity

from heatlift import HeatliftError
from heatlift.agreement import agreement
from pictures import photographs


def pair(height: int = 60, width: int = 50) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two that are alike: a photograph's luminance and a noisy, distorted copy; no value occurs twice."""
    first = photographs(1, 64)[0].double().mean(dim=0).numpy()[:height, :width]
    noise = np.random.default_rng(0).random((2, height, width))
    first = 0.98 * first + 0.02 * noise[0]
    return first, 0.7 * first**2 + 0.3 * noise[1]


def reference_ssim(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    settings = {"sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    return float(structural_similarity(first, second, gaussian_weights=True, **settings))  # type: ignore[no-untyped-call]


def jaccard(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    one, other = (set(np.flatnonzero(part).tolist()) for part in (first, second))
    return len(one & other) / len(one | other)


def test_against_numpy_scipy_and_scikit_image() -> None:
    first, second = pair()
    found = agreement(first, second, 0.6)
    assert found.iou == pytest.approx(jaccard(first > 0.6, second > 0.6))
    assert found.iou not in (None, 0, 1)
    # 4% of 3000 pixels.
    tops = [part >= np.sort(part, axis=None)[-120] for part in (first, second)]
    assert [int(top.sum()) for top in tops] == [120, 120]
    assert found.iou_top == pytest.approx(jaccard(*tops))
    assert found.iou_top not in (None, 0, 1)
    assert found.correlation == pytest.approx(stats.pearsonr(first.ravel(), second.ravel()).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(first.ravel(), second.ravel()).statistic)
    assert found.spearman != pytest.approx(found.correlation, abs=1e-3)
    assert found.ssim == pytest.approx(reference_ssim(first, second), rel=1e-9)
    assert 0.1 < found.ssim < 0.95


def test_spearman_shares_ranks_of_equal_values() -> None:
    first, second = (np.round(8 * part) / 8 for part in pair())
    expected = stats.spearmanr(first.ravel(), second.ravel()).statistic
    assert agreement(first, second, 0.6).spearman == pytest.approx(expected)


@pytest.mark.parametrize(("height", "width"), [(11, 11), (12, 30)])
def test_structural_similarity_of_small_masks(height: int, width: int) -> None:
    first, second = pair(height, width)
    assert agreement(first, second, 0.6).ssim == pytest.approx(reference_ssim(first, second), rel=1e-9)


def test_masks_that_are_smaller_than_the_window_still_have_one() -> None:
    first, second = pair(7, 40)
    assert agreement(first, first, 0.6).ssim == pytest.approx(1)
    assert -1 <= agreement(first, second, 0.6).ssim < 1


def test_it_does_not_matter_which_is_first() -> None:
    first, second = pair()
    one, other = agreement(first, second, 0.6), agreement(second, first, 0.6)
    assert (one.iou, one.iou_top) == (other.iou, other.iou_top)
    assert one.correlation == pytest.approx(other.correlation)
    assert one.spearman == pytest.approx(other.spearman)
    assert one.ssim == pytest.approx(other.ssim)


def test_a_mask_agrees_with_itself() -> None:
    first, _ = pair()
    found = agreement(first, first.copy(), 0.6)
    assert (found.iou, found.iou_top) == (1.0, 1.0)
    assert [found.correlation, found.spearman, found.ssim] == pytest.approx([1, 1, 1], abs=1e-12)


def test_intersection_over_union_by_hand() -> None:
    first, second = np.zeros((10, 10)), np.zeros((10, 10))
    first[0, :6], second[0, 4:] = 0.9, 0.7
    second[5, 5] = 0.6
    # 4 and 5 of row 0 in both of ten; what is at the threshold is not above it.
    assert agreement(first, second, 0.6).iou == pytest.approx(2 / 10)
    assert agreement(first, second, 0.8).iou == 0.0


def test_the_top_counts_as_many_pixels_in_every_mask() -> None:
    # 4 of 100: of the first mask 0 to 3, of the second 2 to 5, however flat the one and steep the other.
    first, second = (np.linspace(0.3, 0.2, 100), np.linspace(0.5, 0.0, 100) ** 3)
    second[:2] = 0.0
    found = agreement(first.reshape(10, 10), second.reshape(10, 10), 0.6)
    assert found.iou_top == pytest.approx(2 / 6)
    assert found.iou is None


def test_opposites() -> None:
    first, _ = pair()
    found = agreement(first, 1 - first, 0.6)
    assert found.correlation == pytest.approx(-1)
    assert found.spearman == pytest.approx(-1)
    assert found.iou == found.iou_top == 0.0
    assert found.ssim < 0


def test_empty_against_empty_is_not_scored() -> None:
    first, second = pair()
    found = agreement(first / 2, second / 2, 0.6)
    assert found.iou is None
    assert found.iou_top is not None
    assert found.correlation is not None
    # Empty against something is no agreement.
    assert agreement(first / 2, second, 0.6).iou == 0.0


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_of_a_flat_mask_only_some_can_be_said(value: float) -> None:
    flat, (first, _) = np.full((60, 50), value), pair()
    for one, other in [(flat, first), (first, flat), (flat, flat)]:
        found = agreement(one, other, 0.6)
        assert (found.iou_top, found.correlation, found.spearman) == (None, None, None)
        assert np.isfinite(found.ssim)
    assert agreement(flat, flat, 0.6).ssim == pytest.approx(1)
    assert agreement(flat, flat, 0.6).iou == (1.0 if value > 0.6 else None)


def test_masks_in_float32_are_measured_in_float64() -> None:
    first, second = (part.astype(np.float32) for part in pair())
    found = agreement(first, second, 0.6)  # type: ignore[arg-type]
    same = agreement(first.astype(np.float64), second.astype(np.float64), 0.6)
    assert found == same


def test_what_is_not_touched_is_no_top() -> None:
    first, second = np.zeros((50, 50)), np.zeros((50, 50))
    first[:5, :5], second[40:45, 40:45] = 0.9, 0.9
    found = agreement(first, second, 0.6)
    assert found.iou == found.iou_top == 0
    assert agreement(first, first, 0.6).iou_top == 1


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(HeatliftError, match=r"masks \(4, 4\) and \(4, 5\)"):
        agreement(np.zeros((4, 4)), np.zeros((4, 5)), 0.6)
