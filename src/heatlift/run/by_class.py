"""How scores rank correct above wrong images among those that are predicted to be of one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from heatlift.ranking import FloatArray, Ranking
from heatlift.run.columns import Mask, Predictions
from heatlift.run.judgement import Settings
from heatlift.statistics import Figure, alike, bootstrap, percentiles, share

MOST = 12
"""Classes shown: those with the most wrong images."""


def by_class(
    predictions: Predictions, scores: Mapping[str, tuple[Mask, FloatArray]], settings: Settings
) -> list[dict[str, Any]]:
    """AUROC of confidence and of every score in each class that is predicted wrongly most often.

    Args:
        predictions: of the run.
        scores: by name, which images it covers (n,), and its values for all images (n,).
        settings: of the bootstrap.
    """
    usable = predictions.ok & predictions.labelled
    predicted, correct = predictions.predicted[usable], predictions.correct[usable]
    classes = np.unique(predicted)
    wrong = np.array([int((~correct[predicted == one]).sum()) for one in classes])
    found = []
    for place in np.argsort(-wrong, kind="stable")[:MOST]:
        rows = usable & (predictions.predicted == classes[place])
        n_wrong, n_correct = int(wrong[place]), int((rows & predictions.correct).sum())
        if min(n_wrong, n_correct) < 2:
            continue
        confidence = {"confidence": (rows, predictions.confidences["confidence"])}
        aurocs = _aurocs(confidence | dict(scores), rows, predictions.correct, settings)
        found.append(
            {
                "class": int(classes[place]),
                "n_correct": n_correct,
                "n_wrong": n_wrong,
                "accuracy": share(n_correct, n_correct + n_wrong).as_json(),
                "confidence": aurocs.pop("confidence"),
                "methods": aurocs,
            }
        )
    return found


def _aurocs(
    scores: Mapping[str, tuple[Mask, FloatArray]], rows: Mask, correct: Mask, settings: Settings
) -> dict[str, Any]:
    """Of each score on those of the rows that it covers; scores that cover the same ones share resamples."""
    every, found = list(scores), dict[str, Any]()
    for covered, places in alike([ok & rows for ok, _ in scores.values()]):
        names = [every[place] for place in places]
        right = correct[covered]
        n, n_correct = len(right), int(right.sum())
        if min(n_correct, n - n_correct) < 2:
            found |= dict.fromkeys(names, Figure.unknown(n).as_json())
            continue
        rankings = [Ranking.of(scores[name][1][covered], right) for name in names]
        drawn = bootstrap(
            [ranking.statistic("auroc") for ranking in rankings],
            n_correct,
            n - n_correct,
            settings.resamples,
            settings.seed,
        )
        found |= {
            name: percentiles(ranking.value("auroc"), draws, n).as_json()
            for name, ranking, draws in zip(names, rankings, drawn, strict=True)
        }
    return {name: found[name] for name in scores}
