"""Risk against coverage: how many errors remain among the images that a score ranks best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from heatlift.ranking import FloatArray, risk_curve
from heatlift.run.columns import Mask

COVERAGES = tuple(round(k / 50, 2) for k in range(1, 51))

BEST_POSSIBLE = "best possible"
"""The curve of a score that ranks every correct image above every wrong one."""


def curves(scores: Mapping[str, tuple[Mask, FloatArray]], correct: Mask, labelled: Mask) -> dict[str, Any]:
    """Selective risk of every score at fifty coverages.

    Args:
        scores: by name, which images it covers (n,), and its values of those.
        correct: (n,).
        labelled: the usable images with a label, (n,).
    """
    risk = {
        name: risk_curve(values, correct[rows], COVERAGES)
        for name, (rows, values) in scores.items()
        if len(values)
    }
    counts = {name: len(scores[name][1]) for name in risk}
    if labelled.any():
        right = correct[labelled]
        risk[BEST_POSSIBLE], counts[BEST_POSSIBLE] = (
            risk_curve(right.astype(np.float64), right, COVERAGES),
            len(right),
        )
    return {"coverage": list(COVERAGES), "risk": risk, "n": counts}
