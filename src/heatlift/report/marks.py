"""The marks that figures are made of: dots with intervals, boxes, histograms, legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from heatlift.report.distributions import Box, Distribution, Kind
from heatlift.report.known import Known
from heatlift.report.plate import BoxRow, DotRow, GroupRow, IntervalRow, Role
from heatlift.report.svg import ALL, CONTROL, CORRECT, INK, MUTED, PAGE, SMALL, WRONG, Drawing
from heatlift.report.wording import brief, value_text

COLOUR: Mapping[Kind, str] = {"correct": CORRECT, "wrong": WRONG, "all": ALL}
"""One meaning, one colour, everywhere in the report."""

ROLES: Mapping[Role, str] = {
    "ink": INK,
    "hollow": INK,
    "correct": CORRECT,
    "wrong": WRONG,
    "all": ALL,
    "control": CONTROL,
    "bound": MUTED,
    "chance": MUTED,
}
"""The colours of what is not a kind of image; plain confidence has that of all images."""


def dots(axes: Axes, row: DotRow, middle: float) -> None:
    """A filled and a hollow dot with their intervals, the filled one slightly higher."""
    colour = CONTROL if row.control else INK
    shift = 3.2 if row.hollow is not None else 0.0
    for known, y, fill in ((row.hollow, middle + shift, PAGE), (row.filled, middle - shift, colour)):
        if known is None:
            continue
        if known.low is not None and known.high is not None:
            axes.hlines(y, known.low, known.high, color=colour, linewidth=1 if fill == PAGE else 1.8)
        axes.plot(
            [known.value],
            [y],
            marker="o",
            markersize=6.5,
            color=colour,
            markerfacecolor=fill,
            markeredgewidth=1.3,
            zorder=3,
        )


def across(axes: Axes, lines: Sequence[tuple[float, float, float]], **style: Any) -> None:
    """Level lines, each a height with its two ends, as one path: a page has thousands of marks otherwise."""
    gap = float("nan")
    x = [end for _, low, high in lines for end in (low, high, gap)]
    y = [part for height, _, _ in lines for part in (height, height, gap)]
    axes.plot(x, y, **style)


def chance(axes: Axes, confidence: Known | None) -> None:
    """A dashed line at 0.5, and confidence as a line with its interval as a band, both named above."""
    axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    if confidence is None:
        _above(axes, 0.5, "chance", MUTED, "center")
        return
    if confidence.low is not None and confidence.high is not None:
        axes.axvspan(confidence.low, confidence.high, color=ALL, alpha=0.16, linewidth=0, zorder=0)
    axes.axvline(confidence.value, color=ALL, linewidth=2, zorder=1)
    words = f"confidence {value_text(confidence, 2)}"
    if confidence.value > 0.65:  # as far right as it fits, clear of the other name
        _above(axes, min(max(confidence.value + 0.2, 0.95), 1.06), words, ALL, "right")
    else:
        _above(axes, confidence.value, words, ALL, "left" if confidence.value > 0.5 else "right")
    _above(axes, 0.5, "chance", MUTED, "right" if confidence.value > 0.5 else "left")


def _above(axes: Axes, x: float, words: str, colour: str, align: str) -> None:
    axes.annotate(
        words,
        (x, 1),
        ({"left": 3, "right": -3, "center": 0}[align], 9),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset pixels",
        ha=align,
        va="center_baseline",
        color=colour,
        size=SMALL,
    )


def boxes(axes: Axes, drawn: Sequence[tuple[float, Box]], colour: str, light: bool) -> None:
    """Boxes at these heights: middle half, median, whiskers, and the few values beyond."""
    if not drawn:
        return
    y = [height for height, _ in drawn]
    fade = 0.45 if light else 1.0
    low, high = [box.low for _, box in drawn], [box.high for _, box in drawn]
    lower = [box.lower for _, box in drawn]
    widths = [box.upper - box.lower for _, box in drawn]
    axes.hlines(y, low, high, color=colour, alpha=fade, linewidth=1.4)
    axes.barh(y, widths, 10, lower, color=colour, alpha=fade, linewidth=0, zorder=2)
    medians = [box.median for _, box in drawn]
    axes.vlines(medians, [h - 6 for h in y], [h + 6 for h in y], color=INK, linewidth=2, zorder=3)
    points = [(value, height) for height, box in drawn for value in box.beyond]
    axes.plot(
        [value for value, _ in points],
        [height for _, height in points],
        linestyle="",
        marker="o",
        markersize=2.8,
        markeredgewidth=0,
        color=colour,
        alpha=fade,
    )


def hills(axes: Axes, distribution: Distribution) -> None:
    """A histogram for each kind of image, see-through so that the overlap shows."""
    axes.set_xlim(distribution.edges[0], distribution.edges[-1])
    axes.set_ylim(0, 1.06 * max(max(shares) for shares in distribution.shares.values()))
    for kind, shares in distribution.shares.items():
        axes.stairs(shares, distribution.edges, fill=True, color=COLOUR[kind], alpha=0.36, linewidth=0)
        axes.stairs(shares, distribution.edges, color=COLOUR[kind], linewidth=1.6)


def middles(controls: Sequence[bool], line: float) -> tuple[list[float], float]:
    """Where each row's middle is, with a gap before the first control, and the height of all."""
    gap = 14.0
    first = controls.index(True) if True in controls else 0
    middles = [
        4 + (place + 0.5) * line + (gap if first and place >= first else 0) for place in range(len(controls))
    ]
    return middles, middles[-1] + line / 2 + 4


def names(
    d: Drawing,
    rows: Sequence[DotRow | BoxRow | IntervalRow | GroupRow],
    heights: Sequence[float],
    top: float,
    length: int,
) -> None:
    """The rows' names at the left edge, and a rule between the heatmaps and the controls."""
    for place, (row, middle) in enumerate(zip(rows, heights, strict=True)):
        d.write(0, top + middle, d.name(brief(row.name, length)), color=CONTROL if row.control else INK)
        if row.control and place and not rows[place - 1].control:
            d.rule(top + (heights[place - 1] + middle) / 2)


def legend(d: Drawing, entries: Sequence[tuple[str, str, str]], left: float) -> None:
    """Words beside their marks, along the top: (words, colour, marker); of two dots the second is hollow."""
    for place, (words, colour, marker) in enumerate(entries):
        hollow = marker == "o" and place > 0
        d.figure.add_artist(
            Line2D(
                [(left + 5) / d.width],
                [1 - 11 / d.height],
                transform=d.figure.transFigure,
                marker=marker,
                markersize=6.5 if marker == "o" else 9,
                color=colour,
                markerfacecolor=PAGE if hollow else colour,
                markeredgewidth=1.3 if marker == "o" else 0,
            )
        )
        d.write(left + 16, 11, d.name(words), color=MUTED, size=SMALL)
        left += 16 + len(words) * 7 + 18
