"""How well probabilities agree with what happens: calibration curve and error, Brier score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from heatlift.ranking import FloatArray
from heatlift.statistics import LEVEL, Figure, bootstrap_means, percentiles, share

DRAWS = 2000
"""Of the noise from which the calibration error's interval is had."""


@dataclass(frozen=True)
class Bin:
    """Images of about the same probability: what was said of them on average, and how many were right."""

    said: float
    right: Figure


@dataclass(frozen=True)
class Calibration:
    """How well the probabilities of being correct agree with how often images are correct.

    Attributes:
        brier: mean squared difference between probability and outcome, in [0, 1]; low is good (Brier 1950).
        ece: expected calibration error, in [0, 1], with the part taken out that chance alone puts there: see
            `expected_calibration_error`.
        ece_plain: as it is commonly computed, which is above 0 for perfect probabilities as well.
        curve: bins of equally many images, from the lowest probability up.
    """

    brier: Figure
    ece: Figure
    ece_plain: float
    curve: tuple[Bin, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON data; a figure is {value, low, high, n}."""
        return asdict(self)


def calibration(probabilities: FloatArray, correct: Any, bins: int = 10, seed: int = 0) -> Calibration:
    """The calibration of probabilities (n,) in [0, 1] of being ``correct`` (n,) bool.

    Args:
        probabilities: said of images that had no part in what says them.
        correct: what happened.
        bins: how many; images of one probability are all in one, so that there may be fewer.
        seed: of the intervals.
    """
    correct = np.asarray(correct, dtype=bool)
    # As scikit-learn's calibration_curve has it (strategy="quantile").
    edges = np.quantile(probabilities, np.linspace(0, 1, bins + 1)[1:-1])
    places = np.searchsorted(edges, probabilities)
    parts = [places == place for place in np.unique(places)]
    squared = (probabilities - correct) ** 2
    ece, plain = expected_calibration_error(probabilities, correct, parts, seed)
    return Calibration(
        percentiles(float(squared.mean()), bootstrap_means(squared[None], seed=seed)[0], len(squared)),
        ece,
        plain,
        tuple(
            Bin(float(probabilities[part].mean()), share(int(correct[part].sum()), int(part.sum())))
            for part in parts
        ),
    )


def brier_difference(ours: FloatArray, theirs: FloatArray, correct: Any, seed: int = 0) -> Figure:
    """Brier score of probabilities (n,) less that of others, of the same images; negative is better."""
    correct = np.asarray(correct, dtype=bool)
    difference = (ours - correct) ** 2 - (theirs - correct) ** 2
    return percentiles(
        float(difference.mean()), bootstrap_means(difference[None], seed=seed)[0], len(difference)
    )


def expected_calibration_error(
    probabilities: FloatArray, correct: Any, parts: list[Any], seed: int = 0
) -> tuple[Figure, float]:
    """Mean distance between the share that is right and what was said, over bins weighted by their images.

    As it is commonly computed (Naeini et al. 2015) it is above 0 for perfect probabilities, too, and a
    bootstrap adds the same once more. So the interval is had by asking which true errors would give so large
    an estimate: the observed distances, times any factor from 0 on, are taken for the truth, normal noise of
    each bin's own size is added, and the factors kept for which 2.5% to 97.5% of such estimates are no larger
    than the one at hand. The value is that at 50%.

    Args:
        probabilities: (n,).
        correct: (n,) bool.
        parts: masks (n,), one for each bin.
        seed: of the noise.

    Returns:
        The error with its interval, and as it is commonly computed.
    """
    size = np.array([part.sum() for part in parts], dtype=np.float64)
    right = np.array([correct[part].sum() for part in parts], dtype=np.float64)
    distance = right / size - np.array([probabilities[part].mean() for part in parts])
    weight = size / size.sum()
    plain = float(weight @ np.abs(distance))
    # Never 0, as it would be where all images of a bin are right.
    likely = (right + 1) / (size + 2)
    noise = np.random.default_rng(seed).normal(size=(DRAWS, len(parts))) * np.sqrt(
        likely * (1 - likely) / size
    )

    def at_most(factor: float) -> float:
        """The share of estimates that are no larger than the one at hand."""
        return float((np.abs(factor * distance + noise) @ weight <= plain).mean())

    low, value, high = (plain * _factor(at_most, level) for level in ((1 + LEVEL) / 2, 0.5, (1 - LEVEL) / 2))
    return Figure(value, low, high, int(size.sum())), plain


def _factor(at_most: Callable[[float], float], level: float) -> float:
    """Where a falling function comes down to a level; 0 where it is below from the start."""
    if at_most(0.0) <= level:
        return 0.0
    end = 1.0
    while at_most(end) > level:
        end *= 2
    return float(brentq(lambda factor: at_most(factor) - level, 0.0, end, xtol=1e-4))
