"""What a heatmap does to the predictions: the label's probability, and which images turn right or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from heatlift.improvement import mcnemar
from heatlift.run.columns import Mask, PairScores, Predictions
from heatlift.run.judgement import Settings
from heatlift.statistics import Figure, bootstrap_means, mean, share


def changes(
    pairs: Sequence[PairScores], rows: Mask, predictions: Predictions, settings: Settings
) -> list[dict[str, Any]]:
    """Of each pair, all of which cover the same labelled images ``rows`` (n,): before and after."""
    correct = predictions.correct[rows]
    kinds = {"all": np.ones(len(correct), dtype=bool), "correct": correct, "wrong": ~correct}
    raised = {kind: _raised([pair.delta_p_label[rows] for pair in pairs], among, settings)
              for kind, among in kinds.items()}  # fmt: skip
    return [_changed(pair, rows, predictions, {kind: found[k] for kind, found in raised.items()})
            for k, pair in enumerate(pairs)]  # fmt: skip


def _raised(columns: Sequence[Any], among: Mask, settings: Settings) -> list[dict[str, Any]]:
    """Of each column the mean change and the share that rose, over some of its images."""
    values = np.stack(columns)[:, among]
    n = values.shape[1]
    draws = bootstrap_means(values, settings.resamples, settings.seed) if n >= 2 else [None] * len(values)
    return [
        {
            "n": n,
            "raised_share": share(int((row > 0).sum()), n).as_json(),
            "delta_p_label": mean(row, drawn).as_json() if n else Figure.unknown(0).as_json(),
        }
        for row, drawn in zip(values, draws, strict=True)
    ]


def _changed(
    pair: PairScores, rows: Mask, predictions: Predictions, improvement: Mapping[str, Any]
) -> dict[str, Any]:
    before, after = predictions.correct[rows], pair.predicted_after[rows] == predictions.label[rows]
    n = len(before)
    return {
        "accuracy_before": share(int(before.sum()), n).as_json(),
        "accuracy_after": share(int(after.sum()), n).as_json(),
        "delta_p_label": improvement["all"]["delta_p_label"],
        "raised_share": improvement["all"]["raised_share"],
        "improvement": dict(improvement),
        "mcnemar": mcnemar(before, after).as_json() if n else None,
    }
