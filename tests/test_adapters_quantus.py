"""Our methods in Quantus: its real metrics call the function, on real networks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heatlift import HeatliftError, attribute
from heatlift.adapters.quantus import explain_func
from networks import images, small

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import quantus


@pytest.fixture(autouse=True)
def _quantus_warns() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


pytestmark = pytest.mark.usefixtures("one_thread")


def given() -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """A classifier, images, and as Quantus has them: what the network takes, and the classes predicted."""
    clf, x = small(), images(3, 32, torch.float32)
    clf.network.eval()  # Quantus wants it
    return clf, x, clf.normalise(x).numpy(), clf(x).argmax(dim=1).numpy()


@pytest.mark.parametrize("method", ["saliency", "deeplift", "layer_gradcam", "captum:InputXGradient"])
def test_heatmaps_are_those_of_heatlift(method: str) -> None:
    clf, x, inputs, _ = given()
    targets = np.array([2, 0, 1])
    found = explain_func(model=clf.network, inputs=inputs, targets=targets, method=method)
    expected = attribute(clf, x, method, torch.tensor([2, 0, 1]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)


METRICS = {
    "FaithfulnessCorrelation": {"nr_runs": 10, "subset_size": 96},
    "PixelFlipping": {"features_in_step": 512},
    "MaxSensitivity": {"nr_samples": 3},
    "Sparseness": {},
    "RandomLogit": {"num_classes": 3, "seed": 1},
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_explain_as_they_would_be_given_the_heatmaps(name: str) -> None:
    clf, x, inputs, targets = given()
    metric = getattr(quantus, name)(**METRICS[name], disable_warnings=True, display_progressbar=False)
    settings = {"explain_func": explain_func, "explain_func_kwargs": {"method": "input_x_gradient"}}
    found = []
    for heatmaps in (None, attribute(clf, x, "input_x_gradient", torch.from_numpy(targets)).numpy()):
        np.random.seed(0)
        found.append(
            metric(
                model=clf.network, x_batch=inputs, y_batch=targets, a_batch=heatmaps, device="cpu", **settings
            )
        )
    assert np.isfinite(np.asarray(found[0], dtype=float)).all()
    np.testing.assert_allclose(
        np.asarray(found[0], dtype=float), np.asarray(found[1], dtype=float), rtol=1e-3, atol=1e-5
    )


def test_randomised_weights_are_those_explained() -> None:
    """Quantus passes a network with other weights: a method that read the old ones would seem insensitive."""
    clf, _, inputs, targets = given()
    metric = quantus.MPRT(disable_warnings=True, display_progressbar=False, similarity_func=_difference)
    settings = {"explain_func": explain_func, "explain_func_kwargs": {"method": "saliency"}}
    found = metric(model=clf.network, x_batch=inputs, y_batch=targets, device="cpu", **settings)
    assert max(found.pop("original")) == 0
    assert set(found) == {"conv1", "conv2", "head"}
    assert all(difference > 0 for differences in found.values() for difference in differences)


def _difference(a: np.ndarray, b: np.ndarray, batched: bool) -> np.ndarray:
    return np.abs(a - b).max(axis=1)


def test_what_can_t_be_right_is_refused() -> None:
    clf, _, inputs, targets = given()
    with pytest.raises(HeatliftError, match="model of type str: heatlift explains PyTorch"):
        explain_func("resnet", inputs, targets)
    with pytest.raises(
        HeatliftError, match=r"inputs of shape \(3, 32, 32, 3\): expected \(n, 3, height, width\)"
    ):
        explain_func(clf.network, inputs.transpose(0, 2, 3, 1), targets)
    with pytest.raises(HeatliftError, match="saliency takes no option 'xai_lib'"):
        explain_func(clf.network, inputs, targets, xai_lib="captum")
    with pytest.raises(HeatliftError, match="returns probabilities, not raw logits"):
        explain_func(nn.Sequential(clf.network, nn.Softmax(dim=1)), inputs, targets)
