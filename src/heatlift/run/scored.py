"""Every score of a run, a heatmap's or an indicator's, on its way from its table to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from heatlift.ranking import FloatArray
from heatlift.run.columns import IndicatorScores, Mask, PairScores, Predictions
from heatlift.run.evidence import Finding, adding_control
from heatlift.run.judgement import Judge, Judgement, Settings
from heatlift.run.verdicts import code, control_verdict, verdict
from heatlift.statistics import alike

Judged: TypeAlias = "Mapping[tuple[str, bool], Judgement]"
"""By name, and whether of the score with the label."""


@dataclass(frozen=True)
class Scored:
    """A score to be judged: of a method or control under one operation, or of an indicator.

    ``rows`` are the images with a label that it covers; values are given for all images.
    """

    name: str
    ok: Mask
    rows: Mask
    label_free: FloatArray
    with_label: FloatArray | None
    control: bool
    operation: str
    scale: float


def of_pair(pair: PairScores, labelled: Mask) -> Scored:
    """Of a method or control; ``labelled`` are the usable images with a label."""
    rows = pair.ok & labelled
    return Scored(
        pair.name, pair.ok, rows, pair.co_predicted, pair.co_label, pair.control, pair.operation, pair.scale
    )


def of_indicator(indicator: IndicatorScores, labelled: Mask) -> Scored:
    """Of an indicator; ``labelled`` are the usable images with a label."""
    rows = indicator.ok & labelled
    return Scored(indicator.indicator, indicator.ok, rows, indicator.values, None, False, "", 1.0)


def judged(scored: Sequence[Scored], predictions: Predictions, settings: Settings) -> Judged:
    """By name and whether with the label; scores that cover the same images share draws."""
    found: dict[tuple[str, bool], Judgement] = {}
    for rows, places in alike([one.rows for one in scored]):
        group = [scored[place] for place in places]
        scores = {(one.name, False): one.label_free[rows] for one in group}
        added = list(scores)
        scores |= {(one.name, True): one.with_label[rows] for one in group if one.with_label is not None}
        found |= Judge(predictions, rows, settings)(scores, added)
    return found


def finding(score: Scored, predictions: Predictions, judgements: Judged) -> Finding:
    """What the verdicts need to know of a score."""
    free, label = judgements[score.name, False], judgements.get((score.name, True))
    n_correct = int(predictions.correct[score.rows].sum())
    largest = np.abs(score.label_free[score.ok]).max(initial=0.0)
    if score.with_label is not None:
        largest = max(largest, np.abs(score.with_label[score.rows]).max(initial=0.0))
    return Finding(
        score.name,
        score.operation,
        score.scale,
        score.control,
        int(score.ok.sum()),
        n_correct,
        int(score.rows.sum()) - n_correct,
        None if label is None else label.figures["auroc"],
        free.figures["auroc"],
        free.figures["confidence"],
        free.added,
        float(largest),
    )


def conclusion(one: Finding, findings: Sequence[Finding], p: Mapping[str, float]) -> dict[str, Any]:
    """What is concluded of one score, in a word and in words."""
    control = adding_control(findings, one) if one.seems_to_add and not one.control else None
    return {
        "p_corrected": p.get(one.name),
        "finding": code(one, findings),
        "equalled_by": control.name if control is not None else None,
        "verdict": control_verdict(one) if one.control else verdict(one, findings),
    }
