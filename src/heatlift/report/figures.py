"""The report's figures: plates, which are plain data, drawn as SVG.

Lengths are CSS pixels at the figure's natural width; a phone shows it at three quarters of that.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from heatlift.report import curve_figures, group_figures, interval_figures, marks
from heatlift.report.distributions import Kind
from heatlift.report.lift import figures as lift_figures
from heatlift.report.marks import COLOUR
from heatlift.report.plate import (
    Boxes,
    Cloud,
    Curves,
    Dots,
    Groups,
    Hills,
    Intervals,
    Plate,
    Risks,
    Scales,
)
from heatlift.report.scales import score_axis, tick
from heatlift.report.svg import INK, MUTED, RULE, SMALL, Drawing, drawing
from heatlift.report.wording import value_text
from heatlift.wording import shorten

WIDTH = 460.0
RIGHT = 14.0  # room for half of the last tick's label
FOOT = 46.0  # room for ticks and the axis' words


def draw(plate: Plate) -> str:
    """The plate as an ``<svg>`` element in the page's own colours; safe in threads."""
    match plate.content:
        case Dots() as content:
            return _dots(content, plate.identity, plate.alt)
        case Boxes() as content:
            return _boxes(content, plate.identity, plate.alt)
        case Hills() as content:
            return _hills(content, plate.identity, plate.alt)
        case Curves() as content:
            return lift_figures.curves(content, plate.identity, plate.alt)
        case Cloud() as content:
            return lift_figures.cloud(content, plate.identity, plate.alt)
        case Intervals() as content:
            return interval_figures.intervals(content, plate.identity, plate.alt)
        case Groups() as content:
            return group_figures.groups(content, plate.identity, plate.alt)
        case Risks() as content:
            return curve_figures.risks(content, plate.identity, plate.alt)
        case Scales() as content:
            return curve_figures.scales(content, plate.identity, plate.alt)


def _dots(content: Dots, identity: str, alt: str) -> str:
    """Dots with intervals on an axis from 0 to 1; the reference is a line with its interval as a band."""
    rows = content.rows
    noted = any(row.note for row in rows)
    left, top = 204.0 if noted else 110.0, 48.0 if content.legend else 24.0
    middles, bottom = marks.middles([row.control for row in rows], 19.5 if noted else 28.0)
    with drawing(WIDTH, top + bottom + FOOT) as d:
        axes = d.panel(left, top, WIDTH - left - RIGHT, bottom)
        axes.set(xlim=(-0.02, 1.02), ylim=(bottom, 0), xlabel="AUROC of correct against wrong")
        axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.xaxis.set_major_formatter(FuncFormatter(tick))
        marks.chance(axes, content.reference)
        marks.across(
            axes, [(m, -0.02, 1.02) for m in middles], color=RULE, linewidth=0.6, alpha=0.6, zorder=0
        )
        for row, middle in zip(rows, middles, strict=True):
            marks.dots(axes, row, middle)
            d.write(136, top + middle, d.name(shorten(row.note, 9)), color=MUTED, size=SMALL)
        marks.names(d, rows, middles, top, 16 if noted else 14)
        if content.legend:
            marks.legend(d, [(words, INK, "o") for words in content.legend], 0)
        return d.svg(identity, alt)


def _boxes(content: Boxes, identity: str, alt: str) -> str:
    """Lying down, so that names stay readable: correct above wrong, controls below a thin rule."""
    rows = content.rows
    kinds: list[Kind] = [kind for kind in COLOUR if any(kind in row.boxes for row in rows)]
    left, top = 132.0, 36.0
    middles, bottom = marks.middles([row.control for row in rows], 15.0 * len(kinds) + 8)
    foot = FOOT + (0 if content.axis.linear is None else 16)
    with drawing(WIDTH, top + bottom + foot) as d:
        axes = d.panel(left, top, WIDTH - left - RIGHT, bottom)
        score_axis(axes, content.axis, content.label)
        axes.set_ylim(bottom, 0)
        axes.axvline(0, color=RULE, linewidth=1, zorder=0)
        for place, kind in enumerate(kinds):
            shift = (place - (len(kinds) - 1) / 2) * 14
            for control in (False, True):
                chosen = [
                    (middle + shift, row.boxes[kind])
                    for row, middle in zip(rows, middles, strict=True)
                    if row.control is control and kind in row.boxes
                ]
                marks.boxes(axes, chosen, COLOUR[kind], light=control)
        marks.names(d, rows, middles, top, 18)
        _kinds(d, kinds, left)
        return d.svg(identity, alt)


def _hills(content: Hills, identity: str, alt: str) -> str:
    """Histograms one below the other, each as a share of its own kind of image."""
    panels = content.panels
    kinds: list[Kind] = [kind for kind in COLOUR if any(kind in p.distribution.shares for p in panels)]
    title, hill, first = 30.0 if len(panels) > 1 else 0.0, 78.0 if len(panels) > 1 else 130.0, 32.0
    each = title + hill + FOOT + 6
    with drawing(WIDTH, first + each * len(panels)) as d:
        for place, panel in enumerate(panels):
            top = first + place * each
            axes = d.panel(1, top + title, WIDTH - 1 - RIGHT, hill)
            marks.hills(axes, panel.distribution)
            axes.set_xlabel(panel.axis)
            axes.xaxis.set_major_locator(MaxNLocator(7))
            axes.xaxis.set_major_formatter(FuncFormatter(tick))
            d.write(0, top + 12, d.name(panel.title), color=INK, weight="bold")
            if panel.auroc is not None:
                d.write(WIDTH - RIGHT, top + 12, f"AUROC {value_text(panel.auroc, 2)}", color=INK, ha="right")
        _kinds(d, kinds, 0)
        return d.svg(identity, alt)


def _kinds(d: Drawing, kinds: Sequence[Kind], left: float) -> None:
    marks.legend(d, [("all images" if kind == "all" else kind, COLOUR[kind], "s") for kind in kinds], left)
