"""The classifier's own signals as a run's summary has them, the temperature-scaled one among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from heatlift.run.columns import Mask, Predictions
from heatlift.run.judgement import Judge, Settings
from heatlift.temperature import TEMPERATURES, Tempered, tempered

LEAST_P = 1e-300
"""Stands for the probability of a label that double precision has none for."""


def baselines(
    predictions: Predictions, rows: Mask, settings: Settings
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The figures of each confidence, and the temperature of the one that is scaled."""
    scores = {name: values[rows] for name, values in predictions.confidences.items()}
    scaled = _tempered(predictions, rows, settings.seed)
    if scaled is not None:
        scores["temperature"] = scaled.log_confidence
    judged = Judge(predictions, rows, settings)(scores)
    return (
        {name: judgement.as_json() for name, judgement in judged.items()},
        None
        if scaled is None
        else {
            "value": scaled.whole,
            "halves": list(scaled.halves),
            "nll_before": scaled.nll[0],
            "nll_after": scaled.nll[1],
        },
    )


def _tempered(predictions: Predictions, rows: Mask, seed: int) -> Tempered | None:
    correct = predictions.correct[rows]
    if predictions.log_confidence_at is None or min(correct.sum(), (~correct).sum()) < 2:
        return None
    confidence = predictions.confidences["confidence"][rows]
    lag = np.log(confidence) - np.log(np.maximum(predictions.p_label[rows], LEAST_P))
    found = tempered(predictions.log_confidence_at[rows], np.where(correct, 0, lag), seed)
    # At an end of the grid nothing was fitted: so it is where one half has next to no errors.
    ends = (TEMPERATURES[0], TEMPERATURES[-1])
    return None if {found.whole, *found.halves} & set(ends) else found
