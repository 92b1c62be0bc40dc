"""Drawings of several estimates per row: heatmaps, classes or layers, with a colour for each series."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from heatlift.report import marks
from heatlift.report.known import Known
from heatlift.report.marks import ROLES
from heatlift.report.plate import GroupRow, Groups, Role
from heatlift.report.scales import score_axis
from heatlift.report.svg import CONTROL, MUTED, PAGE, RULE, SMALL, drawing
from heatlift.wording import shorten

WIDTH, RIGHT, FOOT = 460.0, 14.0, 46.0
BESIDE = 10.0
"""Between the marks of one row."""

LONGEST = 16
"""Characters of a row's name."""


def groups(content: Groups, identity: str, alt: str) -> str:
    """Rows with their names at the left; controls below a thin rule, their marks in grey or pale."""
    rows, series = content.rows, content.series
    noted = any(row.note for row in rows)
    left, top = (204.0 if noted else 146.0), (36.0 if len(series) > 1 else 10.0)
    line = max(19.5, BESIDE * len(series) + 9)
    middles, bottom = marks.middles([row.control for row in rows], line)
    foot = FOOT + (0 if content.axis.linear is None else 16)
    with drawing(WIDTH, top + bottom + foot) as d:
        axes = d.panel(left, top, WIDTH - left - RIGHT, bottom)
        score_axis(axes, content.axis, content.label)
        axes.set_ylim(bottom, 0)
        axes.axvline(content.line, color=MUTED, linewidth=1.2, zorder=1)
        ends = content.axis.low, content.axis.high
        marks.across(axes, [(m, *ends) for m in middles], color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
        for place, (_, role) in enumerate(series):
            heights = [middle + (place - (len(series) - 1) / 2) * BESIDE for middle in middles]
            if content.joined:
                _joined(axes, rows, place, heights, role)
            for control in (False, True):
                found = [
                    (known, height)
                    for row, height in zip(rows, heights, strict=True)
                    if row.control is control and (known := row.known[place]) is not None
                ]
                _marks(axes, found, role, control)
        for row, middle in zip(rows, middles, strict=True):
            d.write(136, top + middle, d.name(shorten(row.note, 9)), color=MUTED, size=SMALL)
        marks.names(d, rows, middles, top, LONGEST)
        if len(series) > 1:
            hollow = any(role == "hollow" for _, role in series)
            marks.legend(d, [(words, ROLES[role], "o" if hollow else "s") for words, role in series], 0)
        return d.svg(identity, alt)


def _marks(axes: Axes, found: Sequence[tuple[Known, float]], role: Role, control: bool) -> None:
    """Dots with their intervals, all in one colour."""
    if not found:
        return
    colour, fade = _colour(role, control)
    bounded = [(y, k.low, k.high) for k, y in found if k.low is not None and k.high is not None]
    marks.across(axes, bounded, color=colour, alpha=fade, linewidth=1 if role == "hollow" else 1.8)
    axes.plot(
        [known.value for known, _ in found],
        [height for _, height in found],
        linestyle="",
        marker="o",
        markersize=6.0,
        color=colour,
        alpha=fade,
        markerfacecolor=PAGE if role == "hollow" else colour,
        markeredgewidth=1.3,
        zorder=3,
    )


def _joined(axes: Axes, rows: Sequence[GroupRow], place: int, heights: Sequence[float], role: Role) -> None:
    points = [
        (known.value, height)
        for row, height in zip(rows, heights, strict=True)
        if (known := row.known[place]) is not None
    ]
    axes.plot(
        [value for value, _ in points],
        [height for _, height in points],
        color=ROLES[role],
        linewidth=1,
        alpha=0.5,
        zorder=2,
    )


def _colour(role: Role, control: bool) -> tuple[str, float]:
    """A control's heatmap is grey; its correct and wrong images keep their colours, paler."""
    if control and role in ("ink", "hollow"):
        return CONTROL, 1.0
    return ROLES[role], 0.5 if control else 1.0
