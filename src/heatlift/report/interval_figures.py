"""Drawings of estimates with their intervals, beside what a paper printed."""

from __future__ import annotations

from matplotlib.axes import Axes

from heatlift.report import marks
from heatlift.report.plate import IntervalRow, Intervals
from heatlift.report.scales import score_axis
from heatlift.report.svg import CONTROL, INK, PAGE, RULE, drawing

WIDTH, LEFT, RIGHT = 460.0, 166.0, 14.0
LINE, FOOT, BETWEEN = 25.0, 46.0, 18.0
LONGEST = 23
"""Characters of a row's name."""


def intervals(content: Intervals, identity: str, alt: str) -> str:
    """Panels one below the other; controls below a thin rule, printed values as hollow marks."""
    top = 30.0 if content.printed else 6.0
    placed = []
    for panel in content.panels:
        middles, bottom = marks.middles([row.control for row in panel.rows], LINE)
        placed.append((panel, top, middles, bottom))
        top += bottom + FOOT + (0 if panel.axis.linear is None else 16) + BETWEEN
    with drawing(WIDTH, top - BETWEEN) as d:
        for panel, start, middles, bottom in placed:
            axes = d.panel(LEFT, start, WIDTH - LEFT - RIGHT, bottom)
            score_axis(axes, panel.axis, panel.label)
            axes.set_ylim(bottom, 0)
            axes.axvline(0, color=RULE, linewidth=1.4, zorder=0)
            axes.hlines(
                middles, panel.axis.low, panel.axis.high, color=RULE, linewidth=0.6, alpha=0.6, zorder=0
            )
            for row, middle in zip(panel.rows, middles, strict=True):
                _row(axes, row, middle)
            marks.names(d, panel.rows, middles, start, LONGEST)
        if content.printed:
            marks.legend(d, [("measured here", INK, "o"), (content.printed, INK, "o")], 0)
        return d.svg(identity, alt)


def _row(axes: Axes, row: IntervalRow, middle: float) -> None:
    colour = CONTROL if row.control else INK
    shift = 3.2 if row.printed else 0.0
    if row.known.low is not None and row.known.high is not None:
        axes.hlines(middle - shift, row.known.low, row.known.high, color=colour, linewidth=1.8)
    for values, y, fill in (
        (row.printed, middle + shift, PAGE),
        ((row.known.value,), middle - shift, colour),
    ):
        axes.plot(
            values,
            [y] * len(values),
            linestyle="",
            marker="o",
            markersize=6.5,
            color=colour,
            markerfacecolor=fill,
            markeredgewidth=1.3,
            zorder=3,
        )
