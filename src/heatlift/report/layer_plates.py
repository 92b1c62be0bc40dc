"""Which layer: one method at every stage of the network, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from heatlift.report.added_plates import spanning
from heatlift.report.distributions import Axis
from heatlift.report.findings import DONE, enough
from heatlift.report.known import Known, mapping
from heatlift.report.plate import GroupRow, Groups, Plate, Role
from heatlift.report.records import MethodSummary
from heatlift.report.summary import Audit
from heatlift.report.wording import interval, value_text
from heatlift.wording import clean

AUROCS: tuple[tuple[str, Role], ...] = (("without the label", "ink"), ("with the label", "hollow"))
KINDS: tuple[tuple[str, Role], ...] = (("correct", "correct"), ("wrong", "wrong"))


@dataclass(frozen=True)
class Stage:
    """One layer at which a method was asked for."""

    base: str
    method: str
    layer: str
    size: str


def read_stages(audit: Audit) -> tuple[Stage, ...]:
    """The stages that the run was asked for, in the order in which the network runs them."""
    return tuple(
        Stage(
            str(entry.get("base") or ""),
            str(entry.get("method") or ""),
            clean(entry.get("layer") or ""),
            "×".join(str(side) for side in entry.get("size") or ()),
        )
        for entry in map(mapping, audit.run.get("stages") or ())
    )


def layer_plates(audit: Audit) -> tuple[Plate, ...]:
    """For each method that was taken at every stage, and each operation: what tells, and what helps."""
    stages = read_stages(audit)
    return tuple(
        plate
        for place, base in enumerate(dict.fromkeys(stage.base for stage in stages))
        for number, operation in enumerate(dict.fromkeys(m.operation for m in audit.shown))
        for plate in _of_base(
            audit, [stage for stage in stages if stage.base == base], operation, f"layers-{place}-{number}"
        )
    )


def _of_base(audit: Audit, stages: Sequence[Stage], operation: str, identity: str) -> Iterator[Plate]:
    found = {m.name: m for m in audit.shown if m.operation == operation}
    pairs = [(stage, found[stage.method]) for stage in stages if stage.method in found]
    if not pairs:
        return
    what = f"{clean(pairs[0][0].base)}, {DONE.get(operation, operation).lower()}"
    rows = _rows(pairs, lambda m: (m.auroc_label_free, m.auroc_label))
    if _anything(rows):
        yield _plate(
            f"{identity}-tells",
            f"{what}: {_best_layer(audit, rows)}",
            rows,
            AUROCS,
            Axis(-0.02, 1.02),
            "AUROC of correct against wrong",
            0.5,
        )
    rows = _rows(pairs, lambda m: tuple(_change(m, kind) for kind, _ in KINDS))
    if _anything(rows):
        helping = sum(m.delta_p_label is not None and m.delta_p_label.above(0) for _, m in pairs)
        yield _plate(
            f"{identity}-helps",
            f"{what}: the label’s mean probability rises, with its whole interval, at {helping} of "
            f"{len(rows)} layers",
            rows,
            KINDS,
            spanning((known for row in rows for known in row.known), 0.0),
            "mean change of the label’s probability",
            0.0,
        )


def _rows(
    pairs: Sequence[tuple[Stage, MethodSummary]],
    take: Callable[[MethodSummary], tuple[Known | None, ...]],
) -> tuple[GroupRow, ...]:
    return tuple(GroupRow(stage.layer, stage.size, False, take(method)) for stage, method in pairs)


def _anything(rows: Sequence[GroupRow]) -> bool:
    return any(known is not None for row in rows for known in row.known)


def _plate(
    identity: str,
    title: str,
    rows: tuple[GroupRow, ...],
    series: tuple[tuple[str, Role], ...],
    axis: Axis,
    label: str,
    line: float,
) -> Plate:
    n = max(known.n for row in rows for known in row.known if known is not None)
    return Plate(
        identity,
        title,
        "Layers from the first to the last, with the height and width of their maps. Bars: 95% bootstrap "
        f"intervals; n up to {n:,}.",
        f"{label}: "
        + "; ".join(
            f"{row.name} ({row.note}): "
            + ", ".join(
                f"{words} {interval(known)}" for (words, _), known in zip(series, row.known, strict=True)
            )
            for row in rows
        ),
        Groups(rows, series, axis, label, line, joined=True),
    )


def _best_layer(audit: Audit, rows: Sequence[GroupRow]) -> str:
    known = [(row, figure) for row in rows if (figure := row.known[0]) is not None]
    if not known or not enough(audit):
        return "AUROC over the layers"
    best, figure = max(known, key=lambda pair: pair[1].value)
    plain = f"; confidence has {value_text(audit.confidence, 2)}" if audit.confidence else ""
    return f"without the label, AUROC is highest at {best.name}, {value_text(figure, 2)}{plain}"


def _change(method: MethodSummary, kind: str) -> Known | None:
    part = method.improvement.get(kind)
    return part.delta_p_label if part is not None else None
