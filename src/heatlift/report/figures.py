"""The report's figures: plates, which are plain data, drawn as SVG.

Lengths are CSS pixels at the figure's natural width; a phone shows it at three quarters of that.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from heatlift.report import lift_figures, marks
from heatlift.report.distributions import Axis, Kind
from heatlift.report.marks import COLOUR
from heatlift.report.plate import Boxes, BoxRow, Cloud, Curves, DotRow, Dots, Hills, Plate
from heatlift.report.svg import CONTROL, INK, MUTED, RULE, SMALL, Drawing, drawing
from heatlift.report.wording import shorten, value_text

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


def _dots(content: Dots, identity: str, alt: str) -> str:
    """Dots with intervals on an axis from 0 to 1; the reference is a line with its interval as a band."""
    rows = content.rows
    noted = any(row.note for row in rows)
    left, top = 190.0 if noted else 110.0, 48.0 if content.legend else 24.0
    middles, bottom = _middles([row.control for row in rows], 19.5 if noted else 28.0)
    with drawing(WIDTH, top + bottom + FOOT) as d:
        axes = d.panel(left, top, WIDTH - left - RIGHT, bottom)
        axes.set(xlim=(-0.02, 1.02), ylim=(bottom, 0), xlabel="AUROC of correct against wrong")
        axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
        marks.chance(axes, content.reference)
        axes.hlines(middles, -0.02, 1.02, color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
        for row, middle in zip(rows, middles, strict=True):
            marks.dots(axes, row, middle)
            d.write(122, top + middle, d.name(shorten(row.note, 9)), color=MUTED, size=SMALL)
        _names(d, rows, middles, top, 16)
        if content.legend:
            marks.legend(d, [(words, INK, "o") for words in content.legend], 0)
        return d.svg(identity, alt)


def _boxes(content: Boxes, identity: str, alt: str) -> str:
    """Lying down, so that names stay readable: correct above wrong, controls below a thin rule."""
    rows = content.rows
    kinds: list[Kind] = [kind for kind in COLOUR if any(kind in row.boxes for row in rows)]
    left, top = 132.0, 36.0
    middles, bottom = _middles([row.control for row in rows], 15.0 * len(kinds) + 8)
    foot = FOOT + (0 if content.axis.linear is None else 16)
    with drawing(WIDTH, top + bottom + foot) as d:
        axes = d.panel(left, top, WIDTH - left - RIGHT, bottom)
        _score_axis(axes, content.axis, content.label)
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
        _names(d, rows, middles, top, 18)
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
            axes.xaxis.set_major_formatter(FuncFormatter(_tick))
            d.write(0, top + 12, d.name(panel.title), color=INK, weight="bold")
            if panel.auroc is not None:
                d.write(WIDTH - RIGHT, top + 12, f"AUROC {value_text(panel.auroc, 2)}", color=INK, ha="right")
        _kinds(d, kinds, 0)
        return d.svg(identity, alt)


def _middles(controls: Sequence[bool], line: float) -> tuple[list[float], float]:
    """Where each row's middle is, with a gap before the first control, and the height of all."""
    gap = 14.0
    first = controls.index(True) if True in controls else 0
    middles = [
        4 + (place + 0.5) * line + (gap if first and place >= first else 0) for place in range(len(controls))
    ]
    return middles, middles[-1] + line / 2 + 4


def _names(
    d: Drawing, rows: Sequence[DotRow | BoxRow], middles: Sequence[float], top: float, length: int
) -> None:
    """The rows' names at the left edge, and a rule between the heatmaps and the controls."""
    for place, (row, middle) in enumerate(zip(rows, middles, strict=True)):
        d.write(0, top + middle, d.name(shorten(row.name, length)), color=CONTROL if row.control else INK)
        if row.control and place and not rows[place - 1].control:
            d.rule(top + (middles[place - 1] + middle) / 2)


def _kinds(d: Drawing, kinds: Sequence[Kind], left: float) -> None:
    marks.legend(d, [("all images" if kind == "all" else kind, COLOUR[kind], "s") for kind in kinds], left)


def _score_axis(axes: Axes, axis: Axis, label: str) -> None:
    if axis.linear is None:
        axes.set(xlim=(axis.low, axis.high), xlabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
    else:
        axes.set_xscale("symlog", linthresh=axis.linear)
        axes.set(xlim=(axis.low, axis.high), xlabel=f"{label}\nlogarithmic beyond ±{_tick(axis.linear)}")
        axes.xaxis.set_major_locator(FixedLocator(_decades(axis.low, axis.high, axis.linear)))
        axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))


def _decades(low: float, high: float, linear: float) -> list[float]:
    """Zero and the powers of ten within the axis, thinned so that their labels do not touch.

    >>> _decades(-200.0, 30.0, 1.0)
    [-100.0, -10.0, -1.0, 0.0, 1.0, 10.0]
    """
    powers = [linear * 10.0**power for power in range(16)]
    below, above = [p for p in powers if p <= -low], [p for p in powers if p <= high]
    step = 1 + (len(below) + len(above)) // 7
    return [*(-p for p in reversed(below[step - 1 :: step])), 0.0, *above[step - 1 :: step]]


def _tick(value: float, _: int | None = None) -> str:
    return f"{value:.6g}".replace("-", "−")
