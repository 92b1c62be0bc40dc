"""A lift's certificates, and the images that did not get there, as rows of formatted cells."""

from __future__ import annotations

from collections.abc import Sequence

from heatlift.report.lift.outcomes import Outcome
from heatlift.report.lift.summary import Lifted
from heatlift.report.tables import Cell, Column, Row, Table, counted_cell
from heatlift.report.wording import count
from heatlift.wording import NOTHING, class_name, clean, number

MOST_MISSED = 30
"""Images that did not get there, in the page; the run's table has all."""

CERTIFICATES = {
    "reached": ("Reached", "share of the images", 2),
    "steps": ("Steps", "median", 0),
    "co": ("CO score", "median, of x′ as it is", None),
    "co_clipped": ("CO score, clipped", "median, of x′ within [0, 1]", None),
    "change": ("Change of a pixel", "mean |x′ − x|, clipped; a pixel’s range is 1", None),
    "p_before": ("Probability before", "mean, of the target class", 3),
    "p_after": ("Probability after", "mean", 3),
    "p_gain": ("Gain", "mean, after minus before", 3),
    "predicted_after": ("Predicted as target", "share, afterwards", 2),
    "p_verify_before": ("Second network before", "mean probability of the target class", 3),
    "p_verify_after": ("Second network after", "mean, of x′ within [0, 1]", 3),
    "p_verify_gain": ("Second network’s gain", "mean", 3),
    "verify_better": ("Second network gains", "share of the images", 2),
}
"""Each figure: its name, what it is, and its decimals, where a share or probability has fixed ones."""

GROUPS = {"all": "All images", "correct": "Correct before", "wrong": "Wrong before"}


def certificates_table(lift: Lifted) -> Table | None:
    """Every figure with its interval and n, by group of images; None where there is none."""
    groups = {group: title for group, title in GROUPS.items() if group in lift.figures}
    rows = []
    for name, (title, about, decimals) in CERTIFICATES.items():
        figures = [lift.figure(name, group) for group in groups]
        if any(figures):
            rows.append(
                Row(False, (Cell(title, about), *(counted_cell(figure, decimals) for figure in figures)))
            )
    if not rows:
        return None
    columns = (Column("Figure", numeric=False), *(Column(title) for title in groups.values()))
    return Table(
        "Measured in float32 on the finished heatmaps, with 95% intervals and the number of images.",
        columns,
        tuple(rows),
    )


def missed_table(outcomes: Sequence[Outcome], classes: Sequence[str] | None) -> Table | None:
    """The images that were lifted and did not get there, those that stayed furthest away first."""
    missed = [outcome for outcome in outcomes if outcome.ok and not outcome.reached]
    if not missed:
        return None
    missed.sort(key=lambda outcome: (outcome.co if outcome.co is not None else float("-inf"), outcome.image))
    cut = f" The {MOST_MISSED} furthest away; RUN/lift has all." if len(missed) > MOST_MISSED else ""
    return Table(
        f"{count(len(missed), 'image')} not reached.{cut}",
        (
            Column("Image", numeric=False),
            Column("Target class", numeric=False),
            Column("Predicted afterwards", numeric=False),
            Column("Steps"),
            Column("CO score"),
            Column("Probability before → after"),
        ),
        tuple(
            Row(
                False,
                (
                    Cell(clean(o.image)),
                    Cell(class_name(o.target, classes)),
                    Cell(class_name(o.predicted_after, classes)),
                    Cell(f"{o.steps:,}" if o.steps is not None else NOTHING, value=o.steps),
                    Cell(number(o.co), value=o.co),
                    Cell(f"{number(o.p_before)} → {number(o.p_after)}", value=o.p_after),
                ),
            )
            for o in missed[:MOST_MISSED]
        ),
    )
