"""A run, or several, as one JSON document: what it was made with, and every figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from heatlift import __version__
from heatlift.report.compared.runs import Beside
from heatlift.report.summary import read_summary
from heatlift.run.compared import Ranks
from heatlift.run.record import read_record

FORMAT = 1
"""Raised whenever an entry of the document changes its meaning or goes away."""


def document(folder: Path) -> dict[str, Any]:
    """``run``: run.json, and ``summary``: summary.json, both as they are; numbers that are none are null.

    Raises:
        HeatliftError: the folder is not a finished run.
    """
    record = read_record(folder)
    summary = read_summary(folder, str(record.get("kind") or "audit"))
    return {"format": FORMAT, "heatlift": __version__, "run": _finite(record), "summary": _finite(summary)}


def compared_document(folders: Sequence[Path], beside: Beside) -> dict[str, Any]:
    """``runs``: the document of each, and ``compared``: each further run against the first."""
    first, *others = beside.sides
    ranks = {"delta_p_label": beside.ranks, "gap": beside.by_gap, "auroc_label_free": beside.by_auroc}
    compared = [
        {
            "run": other.name,
            "to": first.name,
            "accuracy": asdict(beside.accuracies[place]) if beside.accuracies else None,
            "same_prediction": asdict(beside.same[place]),
            "ranks": {name: _ranks(found[place]) for name, found in ranks.items()},
            "delta_p_label": {
                row.name: asdict(difference) if (difference := row.differences[place]) is not None else None
                for row in beside.heatmaps
            },
        }
        for place, other in enumerate(others)
    ]
    runs = {side.name: document(folder) for side, folder in zip(beside.sides, folders, strict=True)}
    return {
        "format": FORMAT,
        "heatlift": __version__,
        "images": len(beside.paired.names),
        "runs": runs,
        "compared": _finite(compared),
    }


def _ranks(ranks: Ranks) -> dict[str, Any]:
    """``n`` of a correlation is null where the runs' own images are behind it, which are not the same."""
    found = asdict(ranks)
    for name in ("spearman", "kendall"):
        found[name]["n"] = found[name]["n"] or None
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
