"""Temperature scaling: confidences from logits divided by one number, fitted on images not judged by it.

The one number is chosen from a fixed grid. What a prediction then needs to be known of is the largest
softmax probability at each temperature of the grid, which is kept instead of the logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heatlift.ranking import FloatArray

TEMPERATURES: tuple[float, ...] = tuple(2.0 ** (k / 8) for k in range(-24, 25))
"""From 1/8 to 8, each 9% above the one before."""


@dataclass(frozen=True)
class Tempered:
    """Temperature-scaled confidences, each image's at the temperature fitted on the other half.

    Attributes:
        log_confidence: logarithm of the largest softmax probability at that temperature, (n,).
        halves: the temperature fitted on each half.
        whole: the one fitted on all images.
        nll: mean negative log-likelihood of the labels before, and after, each at its own temperature.
    """

    log_confidence: FloatArray
    halves: tuple[float, float]
    whole: float
    nll: tuple[float, float]


def tempered(log_confidence: FloatArray, lag: FloatArray, seed: int = 0) -> Tempered:
    """Fit a temperature on each half of the images and use it on the other (Guo et al. 2017).

    Args:
        log_confidence: `heatlift.score.log_confidence_at` of each image at `TEMPERATURES`, (n, 49).
        lag: how far the label's logit lies below the largest one, (n,), 0 where it is the largest.
        seed: of the halves.
    """
    grid = np.asarray(TEMPERATURES)
    nll = lag[:, None] / grid - log_confidence
    order = np.random.default_rng(seed).permutation(len(nll))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    fitted = [int(nll[half].mean(axis=0).argmin()) for half in (first, second)]
    place = np.empty(len(nll), dtype=np.intp)
    place[first], place[second] = fitted[1], fitted[0]
    rows = np.arange(len(nll))
    one = TEMPERATURES.index(1.0)
    return Tempered(
        log_confidence[rows, place],
        (TEMPERATURES[fitted[0]], TEMPERATURES[fitted[1]]),
        TEMPERATURES[int(nll.mean(axis=0).argmin())],
        (float(nll[:, one].mean()), float(nll[rows, place].mean())),
    )
