"""Two pixels, two classes, everything in closed form: the example of section 2 of Tjoa 2022.

An image is ``x = W a``: its pixels are seen, its components ``a = (a1, a2)`` decide. The classifier
``f(x) = sigma(W^-1 x)`` finds them without error, and class 1 is right where a1 > a2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

RATE = 1.2
"""k eta of figures 1 and 6: steps of gradient ascent, times what each goes."""

SLOPE = 0.01
"""Of LeakyReLU below zero; the paper prints none, this is torch's own."""


def rotation(theta: ArrayLike) -> Values:
    """W, the rotation by each angle: (...) in radians -> (..., 2, 2)."""
    angle = np.asarray(theta, dtype=np.float64)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def pixels(transform: ArrayLike, components: ArrayLike) -> Values:
    """x = a1 x(1) + a2 x(2), that is W a: W (..., 2, 2), a (..., 2) -> (..., 2)."""
    w, a = _arrays(transform, components)
    found: Values = np.einsum("...ij,...j->...i", w, a)
    return found


def seen(transform: ArrayLike, image: ArrayLike) -> Values:
    """W^-1 x, the components that the classifier finds: W (..., 2, 2), x (..., 2) -> (..., 2)."""
    w, x = _arrays(transform, image)
    found: Values = np.einsum("...ij,...j->...i", np.linalg.inv(w), x)
    return found


def gradient(transform: ArrayLike, components: ArrayLike) -> Values:
    """The gradient of `advantage` by the weights, which it is linear in: (..., 2) (eq. 4)."""
    inverse = np.linalg.inv(np.asarray(transform, dtype=np.float64))
    found: Values = (inverse[..., 0, :] - inverse[..., 1, :]) * pixels(transform, components)
    return found


def advantage(transform: ArrayLike, components: ArrayLike, weights: ArrayLike) -> Values:
    """Delta = A - B: how much more the heatmap h = w * x has of class 1 than of class 2: (...) (eq. 3).

    Args:
        transform: W, (..., 2, 2).
        components: a, (..., 2).
        weights: w, (..., 2).
    """
    found: Values = (np.asarray(weights, dtype=np.float64) * gradient(transform, components)).sum(-1)
    return found


def heatmap(
    transform: ArrayLike, components: ArrayLike, rate: float = RATE, weights: ArrayLike = (1.0, 1.0)
) -> Values:
    """h = (w + k dw) * x, what k steps of gradient ascent on `advantage` make of w: (..., 2) (eq. 4).

    Args:
        transform: W, (..., 2, 2).
        components: a, (..., 2).
        rate: k eta.
        weights: where they start, (..., 2).
    """
    risen = np.asarray(weights, dtype=np.float64) + rate * gradient(transform, components)
    found: Values = risen * pixels(transform, components)
    return found


def leaky_relu(values: Values) -> Values:
    """LeakyReLU."""
    return np.where(values > 0, values, SLOPE * values)


def sigmoid(values: Values) -> Values:
    """1 / (1 + exp(-v)), in (0, 1)."""
    found: Values = (1 + np.tanh(values / 2)) / 2
    return found


def co_score(
    transform: ArrayLike,
    image: ArrayLike,
    heatmaps: ArrayLike,
    activation: Callable[[Values], Values] = leaky_relu,
) -> Values:
    """(1, -1) . (f(x + h) - f(x)), the CO score of class 1 with f = sigma(W^-1 x): (...) (eq. 1).

    Args:
        transform: W, (..., 2, 2).
        image: x, (..., 2).
        heatmaps: h, (..., 2).
        activation: sigma.
    """
    x = np.asarray(image, dtype=np.float64)
    before = activation(seen(transform, x))
    change = activation(seen(transform, x + np.asarray(heatmaps, dtype=np.float64))) - before
    found: Values = change[..., 0] - change[..., 1]
    return found


def _arrays(matrices: ArrayLike, vectors: ArrayLike) -> tuple[Values, Values]:
    return np.asarray(matrices, dtype=np.float64), np.asarray(vectors, dtype=np.float64)
