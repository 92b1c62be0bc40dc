"""The indicators of several audits: which run tested which, and what was found."""

from __future__ import annotations

from collections.abc import Iterator

from heatlift.report.added_words import ADDS, FOUND, reservation
from heatlift.report.compared.runs import Beside
from heatlift.report.compared.tables import figure_cell
from heatlift.report.records import IndicatorSummary
from heatlift.report.tables import Cell, Column, Row, Table, gain
from heatlift.wording import NOTHING, clean


def indicators_table(beside: Beside) -> Table | None:
    """What every indicator adds to confidence in the runs that tested it; None where no run did."""
    names = list(dict.fromkeys(one.name for side in beside.sides for one in side.audit.indicators))
    found = [{one.name: one for one in side.audit.indicators} for side in beside.sides]
    if not names:
        return None
    return Table(
        "What each indicator adds to the AUROC of confidence in each run, on all of its images, with 95% "
        "intervals, and what the run’s summary found.",
        (
            Column("Indicator", numeric=False),
            *(
                column
                for side in beside.sides
                for column in (
                    Column(f"Added to confidence, {side.short}"),
                    Column(f"Found in {side.short}", numeric=False),
                )
            ),
        ),
        tuple(
            Row(False, (Cell(clean(name)), *(cell for each in found for cell in _tested(each.get(name)))))
            for name in names
        ),
    )


def _tested(one: IndicatorSummary | None) -> Iterator[Cell]:
    if one is None:
        yield from (Cell(NOTHING), Cell("not tested"))
        return
    yield figure_cell(gain(one.added), 3)
    aside = reservation(one.added) if one.finding == ADDS else ""
    yield Cell(FOUND.get(one.finding, NOTHING), aside)
