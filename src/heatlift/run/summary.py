"""RUN/summary.json: the figures and verdicts that the report prints, from a run's tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heatlift.run.by_class import by_class
from heatlift.run.changes import changes
from heatlift.run.columns import (
    IndicatorScores,
    Mask,
    PairScores,
    Predictions,
    read_indicators,
    read_predictions,
    read_scores,
)
from heatlift.run.confidences import baselines
from heatlift.run.curves import curves
from heatlift.run.evidence import broken_findings, corrected
from heatlift.run.judgement import FEW_CLASSES, Settings
from heatlift.run.record import write_json
from heatlift.run.scored import Judged, Scored, conclusion, finding, judged, of_indicator, of_pair
from heatlift.run.verdicts import audit_verdict
from heatlift.statistics import alike, median, median_gap, share

FORMAT = 1
"""Raised whenever an entry changes its meaning or goes away."""

RESAMPLES = 1000
DRAWN = 15_000_000
"""Images drawn in all by one bootstrap at most, as long as that leaves it 200 resamples: of very many images
the intervals are narrow, and their ends need not be known as well."""


def write_summary(run: Path, seed: int = 0, resamples: int | None = None) -> dict[str, Any]:
    """Summarise a run and write RUN/summary.json, whole or not at all; gives what was written.

    Raises:
        HeatliftError: as `summarise`.
    """
    summary = summarise(run, seed, resamples)
    write_json(run / "summary.json", summary)
    return summary


def summarise(run: Path, seed: int = 0, resamples: int | None = None) -> dict[str, Any]:
    """The statistics of a run as plain JSON data; every figure is {value, low, high, n}, null if unknown.

    ``counts``: correct and wrong add up to labelled, the usable images with a label. Per method and
    operation n counts its usable rows; the others are counted by reason and enter no figure. Figures
    that compare correct with wrong images need two of each, those of what a score adds thirty.

    Args:
        run: the folder.
        seed: of bootstraps, folds and halves.
        resamples: of every bootstrap; by default 1000, and fewer, down to 200, from 15,000 images on.

    Raises:
        HeatliftError: a table is absent, or does not have one row for each image.
    """
    predictions = read_predictions(run)
    settings = Settings(seed, resamples or _affordable(len(predictions.ok)))
    pairs, indicators = list(read_scores(run, predictions)), list(read_indicators(run, predictions))
    labelled = predictions.ok & predictions.labelled
    scored = [of_pair(pair, labelled) for pair in pairs] + [
        of_indicator(indicator, labelled) for indicator in indicators
    ]
    judgements = judged(scored, predictions, settings)
    own, temperature = baselines(predictions, labelled, settings)
    findings = [finding(score, predictions, judgements) for score in scored]
    n, n_correct, n_ok = (
        int(labelled.sum()),
        int(predictions.correct[labelled].sum()),
        int(predictions.ok.sum()),
    )
    found_changes = _changes(pairs, predictions, labelled, settings)
    p = corrected(findings)
    return {
        "format": FORMAT,
        "run": _timing(run),
        "resamples": settings.resamples,
        "counts": {
            "images": len(predictions.ok),
            "ok": n_ok,
            "failed": len(predictions.ok) - n_ok,
            "labelled": n,
            "correct": n_correct,
            "wrong": n - n_correct,
            "failures": predictions.failures,
        },
        "classes": _classes(predictions, labelled),
        "accuracy": share(n_correct, n).as_json() if n else None,
        "sound": not broken_findings(findings),
        "verdict": audit_verdict(findings, n_ok, n_correct, n - n_correct),
        "temperature": temperature,
        "baselines": own,
        "methods": [
            _method(pair, predictions, judgements, settings) | changed | conclusion(one, findings, p)
            for pair, one, changed in zip(pairs, findings, found_changes, strict=False)
        ],
        "indicators": [
            _indicator(indicator, score, predictions, judgements) | conclusion(one, findings, p)
            for indicator, score, one in zip(
                indicators, scored[len(pairs) :], findings[len(pairs) :], strict=True
            )
        ],
        "by_class": by_class(predictions, {s.name: (s.ok, s.label_free) for s in scored}, settings),
        "curves": _curves(scored, predictions, labelled),
    }


def _affordable(images: int) -> int:
    return min(RESAMPLES, max(200, DRAWN // max(1, images)))


def _timing(run: Path) -> dict[str, Any]:
    """What run.json says of the run's pace, as it stands."""
    path = run / "run.json"
    timing = json.loads(path.read_text(encoding="utf-8")).get("timing") if path.exists() else None
    return {"images_per_second": None} | (timing or {})


def _classes(predictions: Predictions, labelled: Mask) -> dict[str, Any]:
    """How many classes are met, as a label or a prediction."""
    met = np.union1d(predictions.label[labelled], predictions.predicted[labelled])
    return {"n": len(met), "few": bool(0 < len(met) <= FEW_CLASSES)}


def _changes(
    pairs: Sequence[PairScores], predictions: Predictions, labelled: Mask, settings: Settings
) -> list[dict[str, Any]]:
    """Of every pair, before and after; those that cover the same images share draws."""
    found: dict[int, dict[str, Any]] = {}
    for rows, places in alike([pair.ok & labelled for pair in pairs]):
        changed = changes([pairs[place] for place in places], rows, predictions, settings)
        found |= zip(places, changed, strict=True)
    return [found[place] for place in range(len(pairs))]


def _method(
    pair: PairScores,
    predictions: Predictions,
    judgements: Judged,
    settings: Settings,
) -> dict[str, Any]:
    """One entry of ``methods``, its changes and conclusion aside."""
    rows = pair.ok & predictions.labelled
    correct, wrong = rows & predictions.correct, rows & ~predictions.correct
    n_ok = int(pair.ok.sum())
    seeded = (settings.resamples, settings.seed)
    label = median_gap(pair.co_label[correct], pair.co_label[wrong], *seeded)
    predicted = median_gap(pair.co_predicted[correct], pair.co_predicted[wrong], *seeded)
    completeness = np.abs(pair.completeness[pair.ok & np.isfinite(pair.completeness)])
    free, with_label = judgements[pair.name, False], judgements[pair.name, True]
    return {
        "method": pair.method,
        "operation": pair.operation,
        "scale": pair.scale,
        "control": pair.control,
        "n": n_ok,
        "n_correct": int(correct.sum()),
        "n_wrong": int(wrong.sum()),
        "n_failed": len(pair.ok) - n_ok,
        "failures": pair.failures,
        "median_correct": {"co_label": label[0].as_json(), "co_predicted": predicted[0].as_json()},
        "median_wrong": {"co_label": label[1].as_json(), "co_predicted": predicted[1].as_json()},
        "gap": label[2].as_json(),
        "gap_label_free": predicted[2].as_json(),
        "auroc_label": with_label.figures["auroc"].as_json(),
        "auroc_label_free": free.figures["auroc"].as_json(),
        "auroc_difference": free.figures["difference"].as_json(),
        "ks_label": with_label.figures["ks"].as_json(),
        "ks_label_p": with_label.ks_p,
        "within_label": with_label.figures["within"].as_json(),
        **{name: figures for name, figures in free.as_json().items() if name != "auroc"},
        "added": free.added_json(),
        "co_predicted": median(pair.co_predicted[pair.ok], *seeded).as_json(),
        "completeness_median": float(np.median(completeness)) if len(completeness) else None,
        "completeness_worst": float(completeness.max()) if len(completeness) else None,
    }


def _indicator(
    indicator: IndicatorScores,
    score: Scored,
    predictions: Predictions,
    judgements: Judged,
) -> dict[str, Any]:
    """One entry of ``indicators``, its conclusion aside."""
    judgement = judgements[score.name, False]
    n_correct = int(predictions.correct[score.rows].sum())
    return {
        "indicator": indicator.indicator,
        "n": int(indicator.ok.sum()),
        "n_correct": n_correct,
        "n_wrong": int(score.rows.sum()) - n_correct,
        "n_failed": int((~indicator.ok).sum()),
        "failures": indicator.failures,
        **judgement.as_json(),
        "auroc_difference": judgement.figures["difference"].as_json(),
        "added": judgement.added_json(),
    }


def _curves(scored: Sequence[Scored], predictions: Predictions, labelled: Mask) -> dict[str, Any]:
    scores = {name: (labelled, values[labelled]) for name, values in predictions.confidences.items()}
    scores |= {one.name: (one.rows, one.label_free[one.rows]) for one in scored}
    return curves(scores, predictions.correct, labelled)
