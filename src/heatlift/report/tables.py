"""An audit's two tables; what any table is made of: formatted cells with the raw numbers they sort by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heatlift.report.summary import SIGNALS, Audit, Known, MethodSummary
from heatlift.report.wording import NOTHING, bounds_text, clean, number, value_text


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
    """A table with as many cells in each row as columns."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def methods_table(audit: Audit) -> Table:
    """Every heatmap and control; a column in which no row has anything to say is left out."""
    columns: dict[Column, Callable[[MethodSummary], Cell]] = {
        Column("Heatmap", numeric=False): lambda m: Cell(clean(m.name), "control" if m.control else ""),
        Column("Operation", numeric=False): lambda m: Cell(clean(m.operation)),
        Column("Images"): lambda m: Cell(f"{m.n:,}", f"{m.n_failed:,} failed" if m.n_failed else "", m.n),
        Column("Median CO score"): lambda m: _cell(None if audit.count("labelled") else m.co_predicted),
        Column("Gap"): lambda m: _cell(m.gap),
        Column("AUROC with label"): lambda m: _cell(m.auroc_label, 2),
        Column("AUROC without"): lambda m: _cell(m.auroc_label_free, 2),
        Column("Minus confidence"): lambda m: _cell(m.auroc_difference, 3),
        Column("Accuracy before → after"): _accuracy,
        Column("Change of label’s probability"): lambda m: _cell(m.delta_p_label, 3),
        Column("Completeness error"): _completeness,
        Column("Verdict", numeric=False): lambda m: Cell(clean(m.verdict)),
    }
    cells = {column: [make(method) for method in audit.methods] for column, make in columns.items()}
    kept = [
        column for column, found in cells.items() if any(cell.text not in ("", NOTHING) for cell in found)
    ]
    return Table(
        "Every heatmap and control under each operation, with 95% intervals.",
        tuple(kept),
        tuple(
            Row(method.control, tuple(cells[column][place] for column in kept))
            for place, method in enumerate(audit.methods)
        ),
    )


def baselines_table(audit: Audit) -> Table | None:
    """The classifier's own signals; None where no figure of theirs is known."""
    if not any(figure for figures in audit.baselines.values() for figure in figures.values()):
        return None
    titles = {"auroc": "AUROC", "aurc": "AURC", "augrc": "AUGRC", "fpr95": "FPR95"}
    return Table(
        "The classifier’s own signals, with 95% intervals. AUROC: higher is better; the others: lower.",
        (Column("Signal", numeric=False), *(Column(title) for title in titles.values())),
        tuple(_signal(name, figures, tuple(titles)) for name, figures in audit.baselines.items()),
    )


def _signal(name: str, figures: Mapping[str, Known | None], keys: tuple[str, ...]) -> Row:
    cells = (_cell(figures.get(key), 3 if key in ("aurc", "augrc") else 2) for key in keys)
    return Row(False, (Cell(clean(name), SIGNALS.get(name, "")), *cells))


def _cell(figure: Known | None, decimals: int | None = None) -> Cell:
    """The value above its interval; ``decimals`` keeps a column of shares or differences aligned."""
    return Cell(value_text(figure, decimals), bounds_text(figure, decimals), figure.value if figure else None)


def counted_cell(figure: Known | None, decimals: int | None = None) -> Cell:
    """The value above its interval and the number of images."""
    if figure is None:
        return Cell(NOTHING)
    detail = "; ".join(filter(None, (bounds_text(figure, decimals), f"n = {figure.n:,}")))
    return Cell(value_text(figure, decimals), detail, figure.value)


def _accuracy(method: MethodSummary) -> Cell:
    before, after = method.accuracy_before, method.accuracy_after
    if before is None or after is None:
        return Cell(NOTHING)
    return Cell(f"{value_text(before, 2)} → {value_text(after, 2)}", bounds_text(after, 2), after.value)


def _completeness(method: MethodSummary) -> Cell:
    median, worst = method.completeness_median, method.completeness_worst
    return Cell(number(median), f"worst {number(worst)}" if worst is not None else "", median)
