"""The figures of a run, or of several, as tidy rows: one figure a row, with its interval and count."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError
from heatlift.report.compared.runs import Beside
from heatlift.report.known import mapping
from heatlift.report.summary import read_summary
from heatlift.report.wording import listing
from heatlift.run.record import read_record
from heatlift.statistics import Figure
from heatlift.wording import clean

IDENTITY = {"method", "operation", "scale", "control", "indicator", "factor", "class"}
"""What names an entry of summary.json rather than being a figure of it."""

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class FigureRow:
    """One figure: of what kind of thing, of which one, its name, and the numbers; empty where unknown."""

    kind: str
    name: str
    operation: str = ""
    scale: float | None = None
    control: bool | None = None
    figure: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    run: str = ""


def as_csv(rows: Iterable[FigureRow]) -> str:
    """The rows under one header; ``run`` comes first where there are several runs, else it is left out."""
    found = [asdict(row) for row in rows]
    columns = [field.name for field in fields(FigureRow) if field.name != "run"]
    if any(row["run"] for row in found):
        columns.insert(0, "run")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in found)
    return file.getvalue()


def run_rows(folder: Path, run: str = "") -> Iterator[FigureRow]:
    """Every figure of a finished run's summary.

    Raises:
        HeatliftError: the folder is not a finished run, or one of a kind that is not known.
    """
    kind = str(read_record(folder).get("kind") or "audit")
    if kind not in KINDS:
        raise HeatliftError(
            f"{folder} is a run of another kind, '{clean(kind)}': figures are exported of {listing(KINDS)}"
        )
    summary = read_summary(folder, kind)
    for name, row, entry in KINDS[kind](summary):
        about = {key: entry.get(key) for key in ("scale", "control")}
        scale, control = about["scale"], about["control"]
        yield from (
            FigureRow(
                name,
                row,
                str(entry.get("operation") or ""),
                (1.0 if scale is None else float(scale)) if "method" in entry else None,
                bool(control) if "method" in entry else None,
                figure,
                *numbers,
                run,
            )
            for figure, numbers in _figures({k: v for k, v in entry.items() if k not in IDENTITY})
        )


def compared_rows(folders: Sequence[Path], beside: Beside) -> Iterator[FigureRow]:
    """Every figure of each run, then the differences to the first run."""
    for folder, side in zip(folders, beside.sides, strict=True):
        yield from run_rows(folder, side.name)
    first, *others = beside.sides
    for place, other in enumerate(others):
        run = f"{other.name} minus {first.name}"
        if beside.accuracies:
            found = beside.accuracies[place]
            yield _row("compared", "", "accuracy", found.difference, run)
            yield FigureRow(
                "compared", "", figure="mcnemar.p", value=found.turned.p, n=found.first.n, run=run
            )
        yield _row("compared", "", "same_prediction", beside.same[place], run)
        for name, ranks in (
            ("delta_p_label", beside.ranks),
            ("gap", beside.by_gap),
            ("auroc_label_free", beside.by_auroc),
        ):
            if place >= len(ranks):
                continue
            for figure, ranked in (("spearman", ranks[place].spearman), ("kendall", ranks[place].kendall)):
                yield replace(_row("compared", "", f"{figure}.{name}", ranked, run), n=ranked.n or None)
            yield FigureRow("compared", "", figure=f"heatmaps.{name}", value=ranks[place].heatmaps, run=run)
        for row in beside.heatmaps:
            summary, difference = row.summaries[0], row.differences[place]
            known = difference if difference is not None else Figure.unknown(0)
            yield FigureRow(
                "control" if row.control else "method",
                summary.name,
                summary.operation,
                summary.scale,
                row.control,
                "delta_p_label",
                known.value,
                known.low,
                known.high,
                known.n,
                run,
            )


def _row(kind: str, name: str, figure: str, found: Figure, run: str) -> FigureRow:
    return FigureRow(
        kind, name, figure=figure, value=found.value, low=found.low, high=found.high, n=found.n, run=run
    )


Entries = Iterator[tuple[str, str, Mapping[str, Any]]]


def _audit(summary: Mapping[str, Any]) -> Entries:
    """Kind, name and entry of everything in an audit's summary that has figures."""
    apart = {"run", "baselines", "methods", "indicators", "by_class", "curves"}
    yield "audit", "", {key: value for key, value in summary.items() if key not in apart}
    for name, entry in mapping(summary.get("baselines")).items():
        yield "baseline", name, mapping(entry)
    for entry in summary.get("methods") or ():
        yield "control" if entry.get("control") else "method", str(entry.get("method")), entry
    for entry in summary.get("indicators") or ():
        yield "indicator", str(entry.get("indicator")), entry
    for entry in summary.get("by_class") or ():
        yield "class", str(entry.get("class")), entry


def _lift(summary: Mapping[str, Any]) -> Entries:
    yield "lift", "", {"counts": summary.get("counts")}
    for name, entry in mapping(summary.get("figures")).items():
        yield "images", name, mapping(entry)


def _undesirable(summary: Mapping[str, Any]) -> Entries:
    yield "undesirable", "", {"counts": summary.get("counts")}
    for entry in summary.get("factors") or ():
        yield "factor", str(entry.get("factor")), entry


KINDS = {"audit": _audit, "lift": _lift, "undesirable": _undesirable}
"""What has figures in the summary of each kind of run."""


def _figures(entry: Mapping[str, Any], way: str = "") -> Iterator[tuple[str, tuple[Any, Any, Any, Any]]]:
    """Every figure and number below an entry, under the way to it: ``accuracy_at.0.8``, ``mcnemar.p``."""
    for key, value in entry.items():
        name = f"{way}{key}"
        if isinstance(value, Mapping):
            if "value" in value and "n" in value:
                yield name, (value.get("value"), value.get("low"), value.get("high"), value.get("n"))
            elif key != "failures":
                yield from _figures(value, f"{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and name != "format":
            yield name, (value, None, None, None)


def _cell(value: Cell) -> str:
    """Numbers as Python writes them, so that nothing is lost; unknown and not finite ones are empty."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
