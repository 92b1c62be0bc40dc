"""How often the interval of the calibration error holds the truth, on simulated data.

True chances are those of the logit times a factor: 1 is a perfect calibration, whose error is 0; below it the
probabilities are too sure, above it not sure enough. Prints the share of draws whose 95% interval holds the
true error, for every number of images and factor.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit

from heatlift.adapters.calibration import calibration

IMAGES = (100, 300, 1000)
FACTORS = (1.0, 0.8, 0.5, 1.5)
MEAN, SPREAD = 1.0, 1.2
"""Of the logits: about seven of ten predictions are right."""


def truth(factor: float, bins: int = 10) -> float:
    """The true error of bins of equally many images, from very many."""
    logits = np.sort(np.random.default_rng(0).normal(MEAN, SPREAD, 1_000_000))
    lost = (expit(factor * logits) - expit(logits)).reshape(bins, -1)
    return float(np.abs(lost.mean(axis=1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=300)
    draws = parser.parse_args().draws
    print(f"{'images':>6} {'factor':>6} {'true error':>10} {'held':>6}   of {draws} draws")
    for factor in FACTORS:
        true = truth(factor)
        for n in IMAGES:
            draw, held = np.random.default_rng([n, int(100 * factor)]), 0
            for _ in range(draws):
                logits = draw.normal(MEAN, SPREAD, n)
                found = calibration(expit(logits), draw.random(n) < expit(factor * logits)).ece
                assert found.low is not None
                assert found.high is not None
                held += found.low <= true <= found.high
            print(f"{n:>6} {factor:>6} {true:>10.3f} {held / draws:>6.3f}", flush=True)


if __name__ == "__main__":
    main()
