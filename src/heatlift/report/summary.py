"""What a finished run's two JSON files say, as typed records; a figure that is not known is None."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError
from heatlift.json_object import read_json
from heatlift.report.known import Known, known_figure, known_figures, mapping, plain
from heatlift.report.records import (
    ClassSummary,
    IndicatorSummary,
    MethodSummary,
    Temperature,
    read_class,
    read_indicator,
    read_method,
    read_temperature,
)
from heatlift.run.record import read_record
from heatlift.wording import clean

__all__ = [
    "FORMAT",
    "SIGNALS",
    "Audit",
    "Finished",
    "Known",
    "MethodSummary",
    "known_figure",
    "mapping",
    "read_audit",
    "read_summary",
]

FORMAT = 1
"""The format of summary.json that this report reads."""

SIGNALS = {
    "confidence": "largest softmax probability",
    "temperature": "confidence after temperature scaling",
    "max_logit": "largest raw logit",
    "margin": "largest minus second largest probability",
    "entropy": "of the softmax; low means sure",
    "energy": "of the logits; low means sure",
}
"""The classifier's own signals, which a heatmap's label-free score has to beat."""


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
    def note(self) -> str:
        """What the images' own note says of them."""
        return clean(self.section("data").get("note") or "")

    @property
    def among(self) -> str:
        """Of how many images the run's are, and what these images' note says."""
        return "; ".join(filter(None, (f"of {self.count('images'):,}", self.note)))

    @property
    def classes(self) -> Sequence[str] | None:
        """The names of the classes, where the run has them."""
        found = self.section("model").get("classes")
        return found if isinstance(found, list) else None


@dataclass(frozen=True)
class Audit(Finished):
    """A finished audit: besides, its figures.

    ``covered`` says how many images are behind a row of ``risk``; older summaries do not.
    """

    accuracy: Known | None
    verdict: str
    baselines: Mapping[str, Mapping[str, Known | None]]
    methods: tuple[MethodSummary, ...]
    temperature: Temperature | None = None
    indicators: tuple[IndicatorSummary, ...] = ()
    by_class: tuple[ClassSummary, ...] = ()
    coverage: tuple[float, ...] = ()
    risk: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    covered: Mapping[str, int] = field(default_factory=dict)

    @property
    def confidence(self) -> Known | None:
        """The AUROC of plain confidence."""
        return self.baselines.get("confidence", {}).get("auroc")

    @property
    def scale(self) -> float:
        """The scale that figures show: full scale, or the largest one where full scale was not run."""
        scales = {method.scale for method in self.methods}
        return max(scales, default=1.0) if 1.0 not in scales else 1.0

    @property
    def shown(self) -> tuple[MethodSummary, ...]:
        """The heatmaps and controls at that scale; tables have the others too."""
        return tuple(method for method in self.methods if method.scale == self.scale)


def read_audit(folder: Path) -> Audit:
    """Read RUN/run.json and RUN/summary.json.

    Raises:
        HeatliftError: the folder is not a run, has no summary yet, or is of another format.
    """
    run = read_record(folder)
    summary = read_summary(folder, "audit")
    curves = mapping(summary.get("curves"))
    return Audit(
        run=run,
        counts=mapping(summary.get("counts")),
        timing={**mapping(run.get("timing")), **mapping(summary.get("run"))},
        accuracy=known_figure(summary.get("accuracy")),
        verdict=str(summary.get("verdict") or ""),
        baselines={
            name: dict(known_figures(mapping(figures)))
            for name, figures in mapping(summary.get("baselines")).items()
        },
        methods=tuple(read_method(entry) for entry in summary.get("methods") or ()),
        temperature=read_temperature(summary.get("temperature")),
        indicators=tuple(read_indicator(entry) for entry in summary.get("indicators") or ()),
        by_class=tuple(read_class(entry) for entry in summary.get("by_class") or ()),
        coverage=tuple(map(float, curves.get("coverage") or ())),
        risk={name: tuple(map(plain, row)) for name, row in mapping(curves.get("risk")).items()},
        covered={name: int(n) for name, n in mapping(curves.get("n")).items()},
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
