"""What a finished run's two JSON files say, as typed records; a figure that is not known is None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError
from heatlift.json_object import read_json
from heatlift.run.record import read_record
from heatlift.statistics import Figure

FORMAT = 1
"""The format of summary.json that this report reads."""

SIGNALS = {
    "confidence": "largest softmax probability",
    "max_logit": "largest raw logit",
    "margin": "largest minus second largest probability",
    "entropy": "of the softmax; low means sure",
    "energy": "of the logits; low means sure",
}
"""The classifier's own signals, which a heatmap's label-free score has to beat."""


@dataclass(frozen=True)
class Known(Figure):
    """A figure that could be computed; one that could not is None throughout the report."""

    value: float


@dataclass(frozen=True)
class MethodSummary:
    """One heatmap under one operation."""

    name: str
    operation: str
    control: bool
    n: int
    n_failed: int
    failures: Mapping[str, int]
    gap: Known | None
    auroc_label: Known | None
    auroc_label_free: Known | None
    auroc_difference: Known | None
    accuracy_before: Known | None
    accuracy_after: Known | None
    delta_p_label: Known | None
    co_predicted: Known | None
    completeness_median: float | None
    completeness_worst: float | None
    verdict: str


@dataclass(frozen=True)
class Finished:
    """What every finished run has: the whole of run.json, and summary.json's counts."""

    run: Mapping[str, Any]
    counts: Mapping[str, Any]
    timing: Mapping[str, Any]

    def count(self, what: str) -> int:
        """How many images are ``images``, ``ok``, ``failed`` or of another kind that is counted."""
        return int(self.counts.get(what) or 0)

    def section(self, name: str) -> Mapping[str, Any]:
        """A part of run.json; empty where it has none."""
        return mapping(self.run.get(name))

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the classes, where the run has them."""
        found = self.section("model").get("classes")
        return found if isinstance(found, list) else None


@dataclass(frozen=True)
class Audit(Finished):
    """A finished audit: besides, its figures."""

    accuracy: Known | None
    verdict: str
    baselines: Mapping[str, Mapping[str, Known | None]]
    methods: tuple[MethodSummary, ...]

    @property
    def confidence(self) -> Known | None:
        """The AUROC of plain confidence."""
        return self.baselines.get("confidence", {}).get("auroc")


def read_audit(folder: Path) -> Audit:
    """Read RUN/run.json and RUN/summary.json.

    Raises:
        HeatliftError: the folder is not a run, has no summary yet, or is of another format.
    """
    run = read_record(folder)
    summary = read_summary(folder, "audit")
    return Audit(
        run=run,
        counts=mapping(summary.get("counts")),
        timing={**mapping(run.get("timing")), **mapping(summary.get("run"))},
        accuracy=known_figure(summary.get("accuracy")),
        verdict=str(summary.get("verdict") or ""),
        baselines={
            name: {key: known_figure(entry) for key, entry in mapping(figures).items()}
            for name, figures in mapping(summary.get("baselines")).items()
        },
        methods=tuple(_method(entry) for entry in summary.get("methods") or ()),
    )


def read_summary(folder: Path, command: str) -> Mapping[str, Any]:
    """RUN/summary.json.

    Raises:
        HeatliftError: there is none yet (``command`` would finish the run), or it is of another format.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise HeatliftError(
            f"{folder} has no summary yet: start the same `heatlift {command}` again, it finishes the run"
        )
    summary = read_json(path)
    if summary.get("format") != FORMAT:
        raise HeatliftError(
            f"{path} has format {summary.get('format')}, this heatlift reads {FORMAT}: "
            "use the version that wrote it"
        )
    return summary


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def known_figure(entry: object) -> Known | None:
    """A figure of summary.json; None where it is absent or no number."""
    fields = mapping(entry)
    value = _number(fields.get("value"))
    if value is None:
        return None
    return Known(value, _number(fields.get("low")), _number(fields.get("high")), int(fields.get("n") or 0))


def _method(entry: Mapping[str, Any]) -> MethodSummary:
    def figure(name: str) -> Known | None:
        return known_figure(entry.get(name))

    return MethodSummary(
        name=str(entry["method"]),
        operation=str(entry["operation"]),
        control=bool(entry.get("control")),
        n=int(entry.get("n") or 0),
        n_failed=int(entry.get("n_failed") or 0),
        failures=mapping(entry.get("failures")),
        gap=figure("gap"),
        auroc_label=figure("auroc_label"),
        auroc_label_free=figure("auroc_label_free"),
        auroc_difference=figure("auroc_difference"),
        accuracy_before=figure("accuracy_before"),
        accuracy_after=figure("accuracy_after"),
        delta_p_label=figure("delta_p_label"),
        co_predicted=figure("co_predicted"),
        completeness_median=_number(entry.get("completeness_median")),
        completeness_worst=_number(entry.get("completeness_worst")),
        verdict=str(entry.get("verdict") or ""),
    )
