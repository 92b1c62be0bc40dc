"""An audit's table of everything; what tables are made of: formatted cells with the numbers they sort by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from heatlift.report.known import Known
from heatlift.report.records import Added, MethodSummary
from heatlift.report.summary import Audit
from heatlift.report.wording import bounds_text, p_text, p_words, value_text
from heatlift.wording import NOTHING, clean, number


@dataclass(frozen=True)
class Cell:
    """A table's cell: the text, a smaller second line, and the raw number that it sorts by.

    ``link`` is the place in the page that the text leads to; ``mark`` (``correct`` or ``wrong``) colours
    the second line.
    """

    text: str
    detail: str = ""
    value: float | None = None
    link: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """A table's column; numbers are aligned to the right and sort as numbers."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """A table's row; controls are printed in grey."""

    control: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table with as many cells in each row as columns; the title is what it is folded under."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    title: str = ""


def methods_table(audit: Audit) -> Table:
    """Every heatmap and control; a column in which no row has anything to say is left out."""
    columns: dict[Column, Callable[[MethodSummary], Cell]] = {
        Column("Heatmap", numeric=False): lambda m: Cell(clean(m.name), "control" if m.control else ""),
        Column("Operation", numeric=False): lambda m: Cell(clean(m.operation)),
        Column("Scale"): lambda m: _scale(audit, m),
        Column("Images"): lambda m: Cell(f"{m.n:,}", f"{m.n_failed:,} failed" if m.n_failed else "", m.n),
        Column("Median CO score"): lambda m: cell(None if audit.count("labelled") else m.co_predicted),
        Column("Gap"): lambda m: cell(m.gap),
        Column("AUROC with label"): lambda m: cell(m.auroc_label, 2),
        Column("AUROC without"): lambda m: cell(m.auroc_label_free, 2),
        Column("Minus confidence"): lambda m: cell(m.auroc_difference, 3),
        Column("Gain beside confidence"): lambda m: cell(gain(m.added), 3),
        Column("p, corrected"): lambda m: p_cell(m.p_corrected),
        Column("Within classes"): lambda m: cell(m.figures.get("within"), 2),
        Column("KS"): lambda m: cell(m.figures.get("ks"), 2),
        Column("KS with label"): lambda m: cell(m.figures.get("ks_label"), 2),
        Column("Accuracy of surest 80%"): lambda m: cell(m.figures.get("accuracy_at 0.8"), 3),
        Column("AURC"): lambda m: cell(m.figures.get("aurc"), 3),
        Column("AUGRC"): lambda m: cell(m.figures.get("augrc"), 3),
        Column("FPR95"): lambda m: cell(m.figures.get("fpr95"), 2),
        Column("Completeness error"): _completeness,
        Column("Verdict", numeric=False): lambda m: Cell(clean(m.verdict)),
    }
    return spoken(
        "Every heatmap and control under each operation, with 95% intervals; KS with p.",
        columns,
        audit.methods,
    )


def spoken(
    caption: str,
    columns: Mapping[Column, Callable[[MethodSummary], Cell]],
    methods: Sequence[MethodSummary],
    title: str = "",
) -> Table:
    """A row for each heatmap; columns in which no row has anything to say are left out."""
    cells = {column: [make(method) for method in methods] for column, make in columns.items()}
    kept = [column for column, found in cells.items() if any(one.text not in ("", NOTHING) for one in found)]
    return Table(
        caption,
        tuple(kept),
        tuple(
            Row(method.control, tuple(cells[column][place] for column in kept))
            for place, method in enumerate(methods)
        ),
        title,
    )


def gain(added: Mapping[str, Added], design: str = "confidence") -> Known | None:
    """The AUROC gained beside what the design has."""
    return added[design].auroc if design in added else None


def cell(figure: Known | None, decimals: int | None = None) -> Cell:
    """The value above its interval, or its p; ``decimals`` keeps shares or differences aligned."""
    if figure is None:
        return Cell(NOTHING)
    detail = bounds_text(figure, decimals) if figure.p is None else p_words(figure.p)
    return Cell(value_text(figure, decimals), detail, figure.value)


def p_cell(p: float | None) -> Cell:
    """A p-value, sorted by its exact size."""
    return Cell(p_text(p), value=p)


def counted_cell(figure: Known | None, decimals: int | None = None) -> Cell:
    """The value above its interval and the number of images."""
    if figure is None:
        return Cell(NOTHING)
    detail = "; ".join(filter(None, (bounds_text(figure, decimals), f"n = {figure.n:,}")))
    return Cell(value_text(figure, decimals), detail, figure.value)


def _completeness(method: MethodSummary) -> Cell:
    median, worst = method.completeness_median, method.completeness_worst
    return Cell(number(median), f"worst {number(worst)}" if worst is not None else "", median)


def _scale(audit: Audit, method: MethodSummary) -> Cell:
    """Nothing where all are at full scale."""
    if all(one.scale == 1 for one in audit.methods):
        return Cell("")
    return Cell(f"{method.scale:g}", value=method.scale)
