"""heatlift's methods in Quantus's terms: an ``explain_func`` for its metrics.

Quantus itself is not imported: it calls the function with what it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from heatlift.attribution import attribute
from heatlift.classifier import Classifier
from heatlift.errors import HeatliftError
from heatlift.registry import MethodName
from heatlift.types import Framing


def explain_func(
    model: Any,
    inputs: Any,
    targets: Any,
    *,
    method: MethodName = "saliency",
    layer: str | None = None,
    baseline: float = 0.0,
    device: Any = None,
    **options: Any,
) -> NDArray[Any]:
    """Heatmaps of one method for Quantus: ``explain_func=explain_func, explain_func_kwargs={"method": ...}``.

    The network is looked at anew in each call (a few passes of two images), since Quantus's randomisation
    metrics call it with other weights.

    Args:
        model: the network as Quantus passes it, which takes ``inputs`` as they are.
        inputs: (n, 3, h, w), what the network itself takes: normalised, if it wants that.
        targets: the class explained of each image, (n,).
        method: what `heatlift.attribute` takes.
        layer: for methods that take one.
        baseline: for methods that take one.
        device: where to run, which Quantus adds where it was given one; by default where the network is.
        options: of the method.

    Returns:
        (n, 3, h, w), signed and raw: whether a metric takes absolute values or normalises is its own setting.

    Raises:
        HeatliftError: no PyTorch network, or one that returns probabilities; inputs that are no images; an
            unknown method or option.
        Refused: the method would be wrong on this network.

    Example:
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
        >>> explain_func(network, np.ones((2, 3, 8, 8), "float32"), np.array([1, 3]), method="deeplift").shape
        (2, 3, 8, 8)
    """
    if not isinstance(model, nn.Module):
        raise HeatliftError(f"model of type {type(model).__name__}: heatlift explains PyTorch's nn.Module")
    images = torch.as_tensor(inputs)
    if images.ndim != 4 or images.shape[1] != 3:
        raise HeatliftError(f"inputs of shape {tuple(images.shape)}: expected (n, 3, height, width)")
    height, width = images.shape[2:]
    classifier = Classifier(model, framing=Framing(min(height, width), (height, width)), device=device)
    target = None if targets is None else torch.as_tensor(np.asarray(targets))
    heatmaps = attribute(
        classifier, images, method, target, "model", layer=layer, baseline=baseline, **options
    )
    return np.asarray(heatmaps.cpu().numpy())
