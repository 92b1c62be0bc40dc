"""Constructed audits whose truth is known: what the verdicts make of scores beside a confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from heatlift.run.columns import Predictions
from heatlift.run.evidence import Finding
from heatlift.run.judgement import Judge, Settings
from heatlift.statistics import Figure

CONTROLS = ("zero", "noise", "shuffled", "image")


def predictions(
    correct: np.ndarray, confidence: np.ndarray, classes: int = 100, seed: int = 0
) -> Predictions:
    """Predictions of so many classes; ``confidence`` is any number, the higher the surer."""
    rng = np.random.default_rng(seed)
    n = len(correct)
    predicted = rng.integers(0, classes, n)
    probability = 1 / (1 + np.exp(-confidence))
    return Predictions(
        images=pa.array([f"{i}.png" for i in range(n)]),
        ok=np.ones(n, dtype=bool),
        failures={},
        labelled=np.ones(n, dtype=bool),
        label=np.where(correct, predicted, (predicted + 1) % classes),
        predicted=predicted,
        correct=correct,
        confidences={
            "confidence": probability,
            "max_logit": confidence,
            "margin": probability,
            "entropy": probability,
            "energy": confidence,
        },
        log_confidence_at=None,
        p_label=np.where(correct, probability, (1 - probability) / classes),
    )


def findings(
    said: Predictions,
    scores: Mapping[str, np.ndarray],
    label: Mapping[str, tuple[float, float, float]] | None = None,
    resamples: int = 200,
) -> list[Finding]:
    """Findings of label-free scores by name, such as ``noise/add``; ``label``: AUROCs with the label."""
    rows = np.ones(len(said.correct), dtype=bool)
    judged = Judge(said, rows, Settings(0, resamples))(scores, list(scores))
    n, n_correct = len(said.correct), int(said.correct.sum())
    found = []
    for name, judgement in judged.items():
        method, _, operation = name.partition("/")
        auroc: Any = Figure(*(label or {}).get(name, (0.5, 0.4, 0.6)), n) if operation else None
        found.append(
            Finding(
                name,
                operation,
                1.0,
                method in CONTROLS,
                n,
                n_correct,
                n - n_correct,
                auroc,
                judgement.figures["auroc"],
                judgement.figures["confidence"],
                judgement.added,
                10.0,
            )
        )
    return found
