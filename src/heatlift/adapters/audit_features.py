"""An audit as features to learn from: the confidence's logit, and the label-free scores beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heatlift.added_value import log_odds
from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray
from heatlift.reading import Run, read
from heatlift.run.columns import Mask, Predictions, read_indicators, read_predictions, read_scores
from heatlift.temperature import TEMPERATURES


@dataclass(frozen=True)
class AuditFeatures:
    """What an audit knows of each image, in the order of its table of predictions.

    Attributes:
        images: their names.
        scores: the names of the scores.
        features: (n, 1 + k), the logit of the confidence and then the scores; NaN where a figure is missing.
        usable: all features are there, (n,).
        labelled: the label is known, (n,).
        correct: the label is predicted, (n,).
    """

    images: tuple[str, ...]
    scores: tuple[str, ...]
    features: FloatArray
    usable: Mask
    labelled: Mask
    correct: Mask


def audit_features(run: str | Path | Run, scores: Sequence[str] | None = None) -> AuditFeatures:
    """The features of an audit's images.

    Args:
        run: its folder, or what `heatlift.read` gives.
        scores: names as the summary has them (``saliency/add``, ``saliency/add x0.3``), or indicators'; None
            is all of them but the controls', as far as any image has them.

    Raises:
        HeatliftError: not an audit, a damaged one, or one without such a score.
    """
    run = run if isinstance(run, Run) else read(run)
    if run.record.get("kind", "audit") != "audit":
        raise HeatliftError(f"{run.folder} is no audit: give the folder of `heatlift audit`")
    predictions = read_predictions(run.folder)
    pairs = list(read_scores(run.folder, predictions))
    found = {pair.name: (pair.ok, pair.co_predicted) for pair in pairs}
    found |= {one.indicator: (one.ok, one.values) for one in read_indicators(run.folder, predictions)}
    if scores is None:
        controls = {pair.name for pair in pairs if pair.control}
        scores = [name for name, (ok, _) in found.items() if ok.any() and name not in controls]
    for name in scores:
        if name not in found:
            raise HeatliftError(f"{run.folder} has no score '{name}': it has {', '.join(found)}")
    features = np.column_stack([_logit(predictions), *(found[name][1] for name in scores)])
    usable = predictions.ok.copy()
    for name in scores:
        usable &= found[name][0]
    features[~usable] = np.nan
    images: Any = predictions.images
    return AuditFeatures(
        tuple(images.to_pylist()),
        tuple(scores),
        features,
        usable,
        predictions.labelled,
        predictions.correct,
    )


def _logit(predictions: Predictions) -> FloatArray:
    """Of the confidence, (n,), from its logarithm where that was kept; NaN for failed images."""
    if predictions.log_confidence_at is not None:
        return log_odds(predictions.log_confidence_at[:, TEMPERATURES.index(1.0)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return log_odds(np.log(predictions.confidences["confidence"]))
