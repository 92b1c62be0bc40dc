"""RUN/summary.json: the figures and verdicts that the report prints, from a run's tables."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heatlift.comparison import Comparison, compare
from heatlift.ranking import FigureName, FloatArray, Ranking
from heatlift.run.columns import Mask, PairScores, Predictions, read_predictions, read_scores
from heatlift.run.evidence import Finding, broken_findings
from heatlift.run.record import write_json
from heatlift.run.verdicts import audit_verdict, control_verdict, method_verdict
from heatlift.statistics import (
    Figure,
    bootstrap,
    bootstrap_means,
    mean,
    median,
    median_gap,
    percentiles,
    share,
)

FORMAT = 1
"""Raised whenever an entry changes its meaning or goes away."""

BASELINE_FIGURES: tuple[FigureName, ...] = ("auroc", "aurc", "augrc", "fpr95")


@dataclass(frozen=True)
class Settings:
    """Of every bootstrap in one summary."""

    seed: int
    resamples: int


@dataclass(frozen=True)
class Resampled:
    """What one pair takes from resamples that it shares with the others that cover the same images."""

    auroc_label: Figure
    compared: Comparison | None
    delta_p_label: Figure


def write_summary(run: Path, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
    """Summarise a run and write RUN/summary.json, whole or not at all; gives what was written.

    Raises:
        HeatliftError: as `summarise`.
    """
    summary = summarise(run, seed, resamples)
    write_json(run / "summary.json", summary)
    return summary


def summarise(run: Path, seed: int = 0, resamples: int = 1000) -> dict[str, Any]:
    """The statistics of a run as plain JSON data; every figure is {value, low, high, n}, null if unknown.

    ``counts``: correct and wrong add up to labelled, the usable images with a label. Per method and
    operation n counts its usable rows; the others are counted by reason and enter no figure. Figures
    that compare correct with wrong images need two of each.

    Raises:
        HeatliftError: a table is absent, or does not have one row for each image.
    """
    settings = Settings(seed, resamples)
    predictions = read_predictions(run)
    pairs = list(read_scores(run, predictions))
    resampled = _resample(pairs, predictions, settings)
    findings = [_finding(pair, predictions, drawn) for pair, drawn in zip(pairs, resampled, strict=True)]
    labelled = predictions.ok & predictions.labelled
    n, n_correct = int(labelled.sum()), int((labelled & predictions.correct).sum())
    n_ok = int(predictions.ok.sum())
    return {
        "format": FORMAT,
        "run": _timing(run),
        "counts": {
            "images": len(predictions.ok),
            "ok": n_ok,
            "failed": len(predictions.ok) - n_ok,
            "labelled": n,
            "correct": n_correct,
            "wrong": n - n_correct,
            "failures": predictions.failures,
        },
        "accuracy": share(n_correct, n).as_json() if n else None,
        "sound": not broken_findings(findings),
        "verdict": audit_verdict(findings, n_ok, n_correct, n - n_correct),
        "baselines": _baselines(predictions, labelled, settings),
        "methods": [
            _method(pair, predictions, drawn, settings)
            | {"verdict": control_verdict(finding) if pair.control else method_verdict(finding, findings)}
            for pair, drawn, finding in zip(pairs, resampled, findings, strict=True)
        ],
    }


def _timing(run: Path) -> dict[str, Any]:
    """What run.json says of the run's pace, as it stands."""
    path = run / "run.json"
    timing = json.loads(path.read_text(encoding="utf-8")).get("timing") if path.exists() else None
    return {"images_per_second": None} | (timing or {})


def _baselines(predictions: Predictions, rows: Mask, settings: Settings) -> dict[str, Any]:
    """AUROC, AURC, AUGRC and FPR95 of each confidence."""
    correct = predictions.correct[rows]
    n, n_correct = len(correct), int(correct.sum())
    if min(n_correct, n - n_correct) < 2:
        unknown = {figure: Figure.unknown(n).as_json() for figure in BASELINE_FIGURES}
        return dict.fromkeys(predictions.confidences, unknown)
    rankings = {name: Ranking.of(values[rows], correct) for name, values in predictions.confidences.items()}
    statistics = [ranking.statistic(*BASELINE_FIGURES) for ranking in rankings.values()]
    drawn = iter(bootstrap(statistics, n_correct, n - n_correct, settings.resamples, settings.seed))
    return {
        name: {
            figure: percentiles(ranking.value(figure), next(drawn), n).as_json()
            for figure in BASELINE_FIGURES
        }
        for name, ranking in rankings.items()
    }


def _resample(pairs: Sequence[PairScores], predictions: Predictions, settings: Settings) -> list[Resampled]:
    """The bootstraps that go over the images; pairs that cover the same images share the draws."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        alike[(pair.ok & predictions.labelled).tobytes()].append(place)
    found: dict[int, Resampled] = {}
    for places in alike.values():
        found |= zip(
            places, _resample_alike([pairs[place] for place in places], predictions, settings), strict=True
        )
    return [found[place] for place in range(len(pairs))]


def _resample_alike(
    pairs: Sequence[PairScores], predictions: Predictions, settings: Settings
) -> list[Resampled]:
    rows = pairs[0].ok & predictions.labelled
    correct = predictions.correct[rows]
    n, n_correct = len(correct), int(correct.sum())
    changes: list[FloatArray | None] = [None] * len(pairs)
    if n >= 2:
        columns = np.stack([pair.delta_p_label[rows] for pair in pairs])
        changes = list(bootstrap_means(columns, settings.resamples, settings.seed))
    means = [mean(pair.delta_p_label[rows], draws) for pair, draws in zip(pairs, changes, strict=True)]
    if min(n_correct, n - n_correct) < 2:
        return [Resampled(Figure.unknown(n), None, change) for change in means]
    scores = [predictions.confidences["confidence"]]
    scores += [score for pair in pairs for score in (pair.co_label, pair.co_predicted)]
    rankings = [Ranking.of(score[rows], correct) for score in scores]
    statistics = [ranking.statistic("auroc") for ranking in rankings]
    drawn = bootstrap(statistics, n_correct, n - n_correct, settings.resamples, settings.seed)
    values = [ranking.value("auroc") for ranking in rankings]
    return [
        Resampled(
            percentiles(values[at], drawn[at], n),
            compare(values[at + 1], drawn[at + 1], values[0], drawn[0], n),
            change,
        )
        for at, change in zip(range(1, len(scores), 2), means, strict=True)
    ]


def _finding(pair: PairScores, predictions: Predictions, drawn: Resampled) -> Finding:
    rows = pair.ok & predictions.labelled
    n_correct = int((rows & predictions.correct).sum())
    scores = np.concatenate([pair.co_predicted[pair.ok], pair.co_label[rows]])
    return Finding(
        pair.method,
        pair.operation,
        pair.control,
        int(pair.ok.sum()),
        n_correct,
        int(rows.sum()) - n_correct,
        drawn.auroc_label,
        drawn.compared,
        float(np.abs(scores).max(initial=0.0)),
    )


def _method(
    pair: PairScores, predictions: Predictions, drawn: Resampled, settings: Settings
) -> dict[str, Any]:
    """One entry of ``methods``, the verdict aside."""
    rows = pair.ok & predictions.labelled
    correct, wrong = rows & predictions.correct, rows & ~predictions.correct
    n, n_ok = int(rows.sum()), int(pair.ok.sum())
    seeded = (settings.resamples, settings.seed)
    label = median_gap(pair.co_label[correct], pair.co_label[wrong], *seeded)
    predicted = median_gap(pair.co_predicted[correct], pair.co_predicted[wrong], *seeded)
    right_after = int((pair.predicted_after[rows] == predictions.label[rows]).sum())
    completeness = np.abs(pair.completeness[pair.ok & np.isfinite(pair.completeness)])
    compared, unknown = drawn.compared, Figure.unknown(n)
    return {
        "method": pair.method,
        "operation": pair.operation,
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
        "auroc_label": drawn.auroc_label.as_json(),
        "auroc_label_free": (compared.score if compared else unknown).as_json(),
        "auroc_difference": (compared.difference if compared else unknown).as_json(),
        "accuracy_before": share(int(correct.sum()), n).as_json(),
        "accuracy_after": share(right_after, n).as_json(),
        "delta_p_label": drawn.delta_p_label.as_json(),
        "raised_share": share(int((pair.delta_p_label[rows] > 0).sum()), n).as_json(),
        "co_predicted": median(pair.co_predicted[pair.ok], *seeded).as_json(),
        "completeness_median": float(np.median(completeness)) if len(completeness) else None,
        "completeness_worst": float(completeness.max()) if len(completeness) else None,
    }
