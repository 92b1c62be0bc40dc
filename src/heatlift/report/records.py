"""What summary.json says of one heatmap, one indicator or one class, as typed records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heatlift.report.known import Known, known_figure, known_figures, mapping, plain
from heatlift.run.columns import pair_name

DESIGNS = {
    "confidence": "Beside confidence",
    "signals": "Beside all own signals",
    "predicted_class": "Predicted class known",
    "label": "Label known",
}
"""What a score was added to, as the report names it."""


@dataclass(frozen=True)
class Added:
    """What a score adds to other signals: AUROC and AURC with it minus without it."""

    auroc: Known | None
    aurc: Known | None
    before: float | None
    after: float | None
    p: float | None


@dataclass(frozen=True)
class Improvement:
    """How the probability of the label changed, over some of the images."""

    n: int
    raised_share: Known | None
    delta_p_label: Known | None


@dataclass(frozen=True)
class Turned:
    """McNemar's test: how many predictions became right or wrong, and how likely by chance."""

    right: int
    wrong: int
    p: float | None


@dataclass(frozen=True)
class Temperature:
    """The temperature that calibrates the classifier, and what it gains."""

    value: float
    halves: tuple[float, ...]
    before: float | None
    after: float | None


@dataclass(frozen=True)
class MethodSummary:
    """One heatmap under one operation, at one scale."""

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
    scale: float = 1.0
    finding: str = ""
    equalled_by: str = ""
    figures: Mapping[str, Known | None] = field(default_factory=dict)
    added: Mapping[str, Added] = field(default_factory=dict)
    p_corrected: float | None = None
    improvement: Mapping[str, Improvement] = field(default_factory=dict)
    turned: Turned | None = None

    @property
    def label(self) -> str:
        """``saliency/add``, or ``saliency/add x0.3`` where the scale is not 1."""
        return pair_name(self.name, self.operation, self.scale)


@dataclass(frozen=True)
class IndicatorSummary:
    """One indicator of the user's own, put to the same test as the heatmaps."""

    name: str
    n: int
    n_failed: int
    failures: Mapping[str, int]
    figures: Mapping[str, Known | None]
    auroc_difference: Known | None
    added: Mapping[str, Added]
    p_corrected: float | None
    finding: str
    verdict: str

    @property
    def label(self) -> str:
        """Its name, as of a heatmap."""
        return self.name


@dataclass(frozen=True)
class ClassSummary:
    """The images predicted to be one class; AUROCs of telling correct from wrong among them."""

    index: int
    n_correct: int
    n_wrong: int
    accuracy: Known | None
    confidence: Known | None
    methods: Mapping[str, Known | None]


def read_method(entry: Mapping[str, Any]) -> MethodSummary:
    """A heatmap's entry; what an earlier version did not write is unknown."""

    def figure(name: str) -> Known | None:
        return known_figure(entry.get(name))

    scale = plain(entry.get("scale"))
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
        completeness_median=plain(entry.get("completeness_median")),
        completeness_worst=plain(entry.get("completeness_worst")),
        verdict=str(entry.get("verdict") or ""),
        scale=1.0 if scale is None else scale,
        finding=str(entry.get("finding") or ""),
        equalled_by=str(entry.get("equalled_by") or ""),
        figures=dict(known_figures(entry)),
        added=_added(entry),
        p_corrected=plain(entry.get("p_corrected")),
        improvement={name: _improvement(part) for name, part in mapping(entry.get("improvement")).items()},
        turned=_turned(entry.get("mcnemar")),
    )


def read_indicator(entry: Mapping[str, Any]) -> IndicatorSummary:
    """An indicator's entry."""
    return IndicatorSummary(
        name=str(entry["indicator"]),
        n=int(entry.get("n") or 0),
        n_failed=int(entry.get("n_failed") or 0),
        failures=mapping(entry.get("failures")),
        figures=dict(known_figures(entry)),
        auroc_difference=known_figure(entry.get("auroc_difference")),
        added=_added(entry),
        p_corrected=plain(entry.get("p_corrected")),
        finding=str(entry.get("finding") or ""),
        verdict=str(entry.get("verdict") or ""),
    )


def read_class(entry: Mapping[str, Any]) -> ClassSummary:
    """A predicted class's entry."""
    return ClassSummary(
        index=int(entry["class"]),
        n_correct=int(entry.get("n_correct") or 0),
        n_wrong=int(entry.get("n_wrong") or 0),
        accuracy=known_figure(entry.get("accuracy")),
        confidence=known_figure(entry.get("confidence")),
        methods={name: known_figure(figure) for name, figure in mapping(entry.get("methods")).items()},
    )


def read_temperature(entry: object) -> Temperature | None:
    """The fitted temperature; None where none could be fitted."""
    fields = mapping(entry)
    value = plain(fields.get("value"))
    if value is None:
        return None
    halves = tuple(half for half in map(plain, fields.get("halves") or ()) if half is not None)
    return Temperature(value, halves, plain(fields.get("nll_before")), plain(fields.get("nll_after")))


def _added(entry: Mapping[str, Any]) -> dict[str, Added]:
    """The designs that were computed, in the report's order."""
    found = mapping(entry.get("added"))
    return {
        design: Added(
            known_figure(found[design].get("auroc")),
            known_figure(found[design].get("aurc")),
            plain(found[design].get("auroc_before")),
            plain(found[design].get("auroc_after")),
            plain(found[design].get("p")),
        )
        for design in DESIGNS
        if isinstance(found.get(design), dict)
    }


def _improvement(part: object) -> Improvement:
    fields = mapping(part)
    return Improvement(
        int(fields.get("n") or 0),
        known_figure(fields.get("raised_share")),
        known_figure(fields.get("delta_p_label")),
    )


def _turned(entry: object) -> Turned | None:
    if not isinstance(entry, dict):
        return None
    return Turned(
        int(entry.get("turned_right") or 0), int(entry.get("turned_wrong") or 0), plain(entry.get("p"))
    )
