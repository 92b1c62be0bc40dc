"""Drawings of curves: selective risk over coverage, and estimates over the heatmap's scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from heatlift.report import marks
from heatlift.report.marks import ROLES
from heatlift.report.plate import Risks, Role, ScalePanel, Scales
from heatlift.report.scales import tick
from heatlift.report.svg import CONTROL, INK, MUTED, RULE, SMALL, Drawing, drawing
from heatlift.report.wording import brief

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

WIDTH, LEFT, RIGHT, FOOT = 460.0, 46.0, 14.0, 46.0
HEIGHT = 240.0
STYLES: dict[Role, tuple[float, LineStyleType]] = {
    "all": (2.6, "solid"),
    "ink": (1.8, "solid"),
    "hollow": (1.8, (0, (5, 2))),
    "control": (1.8, "solid"),
    "bound": (1.5, (0, (1, 2))),
    "chance": (1.0, (0, (4, 3))),
}
"""Width and dashes of the curve of each role."""

LONGEST = 30
"""Characters of a name beside its line."""

COLUMNS, PANEL, BETWEEN = 3, 74.0, 46.0


def risks(content: Risks, identity: str, alt: str) -> str:
    """A line for each way of ranking the images; what chance would do is dashed across."""
    entries = [(line.name, line.role) for line in content.lines]
    entries += [("chance", "chance")] if content.random is not None else []
    places, rows = _wrapped([brief(name, LONGEST) for name, _ in entries])
    top = 22.0 * rows + 34
    with drawing(WIDTH, top + HEIGHT + FOOT) as d:
        axes = d.panel(LEFT, top, WIDTH - LEFT - RIGHT, HEIGHT)
        highest = [risk for line in content.lines for risk in line.risk if risk is not None]
        highest += [content.random or 0.0]
        axes.set(xlim=(0, 1), ylim=(0, 1.06 * max(*highest, 0.01)))
        axes.set_xlabel("share of the images kept, surest first")
        for line in content.lines:
            width, dashes = STYLES[line.role]
            known = [(c, r) for c, r in zip(content.coverage, line.risk, strict=True) if r is not None]
            axes.plot(
                [coverage for coverage, _ in known],
                [risk for _, risk in known],
                color=ROLES[line.role],
                linewidth=width,
                linestyle=dashes,
                zorder=2 if line.role == "control" else 3,
            )
        if content.random is not None:
            width, dashes = STYLES["chance"]
            axes.axhline(content.random, color=ROLES["chance"], linewidth=width, linestyle=dashes, zorder=1)
        axes.xaxis.set_major_locator(FixedLocator([0, 0.2, 0.4, 0.6, 0.8, 1]))
        _grid(axes)
        d.write(0, top - 16, "share of them that are wrong (lower: better)", color=MUTED, size=SMALL)
        _line_legend(d, entries, places)
        return d.svg(identity, alt)


def scales(content: Scales, identity: str, alt: str) -> str:
    """One small panel for each heatmap, all on the same axes; intervals as upright bars."""
    panels = content.panels
    rows = -(-len(panels) // COLUMNS)
    known = [k for panel in panels for series in panel.known for k in series if k is not None]
    ends = [bound for k in known for bound in (k.value, k.low, k.high) if bound is not None]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    pad = 0.06 * (high - low) or 0.01
    top, each = 58.0, PANEL + BETWEEN
    with drawing(WIDTH, top + rows * each + 18) as d:
        width = (WIDTH - LEFT - RIGHT) / COLUMNS
        for place, panel in enumerate(panels):
            row, column = divmod(place, COLUMNS)
            axes = d.panel(LEFT + column * width + 2, top + row * each + 20, width - 14, PANEL)
            axes.set_xscale("log")
            axes.set(xlim=(content.scales[0] / 1.35, content.scales[-1] * 1.35), ylim=(low - pad, high + pad))
            axes.xaxis.set_major_locator(FixedLocator(content.scales))
            axes.xaxis.set_minor_locator(FixedLocator([]))
            _grid(axes, 4, names=column == 0)
            axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
            _over_scales(axes, content, panel)
            words = d.name(brief(panel.name, 14))
            colour = CONTROL if panel.control else INK
            d.write(LEFT + column * width + 2, top + row * each + 8, words, color=colour)
        d.write(0, 36, content.label, color=MUTED, size=SMALL)
        d.write(
            WIDTH / 2, top + rows * each + 6, "scale of the heatmap", color=MUTED, size=SMALL, ha="center"
        )
        marks.legend(d, [(words, ROLES[role], "s") for words, role in content.series], 0)
        return d.svg(identity, alt)


def _over_scales(axes: Axes, content: Scales, panel: ScalePanel) -> None:
    for place, ((_, role), series) in enumerate(zip(content.series, panel.known, strict=True)):
        # Side by side, so that intervals of two series do not hide each other.
        shift = 1.05 ** (2 * place - len(content.series) + 1)
        points = [(s * shift, k) for s, k in zip(content.scales, series, strict=True) if k is not None]
        colour, fade = ROLES[role], 0.5 if panel.control else 1.0
        across, up = [x for x, _ in points], [k.value for _, k in points]
        axes.plot(across, up, color=colour, alpha=fade, linewidth=1.6, marker="o", markersize=4.5, zorder=3)
        bounded = [(x, k.low, k.high) for x, k in points if k.low is not None and k.high is not None]
        x, lows, highs = zip(*bounded, strict=True) if bounded else ((), (), ())
        axes.vlines(x, lows, highs, color=colour, alpha=fade, linewidth=1.4)


def _wrapped(words: Sequence[str]) -> tuple[list[tuple[float, float]], int]:
    """Where each entry of a legend starts, in as many rows as it takes, and how many those are."""
    places, left, row = [], 0.0, 0
    for text in words:
        wide = 32 + len(text) * 7.2 + 16
        if left and left + wide > WIDTH:
            left, row = 0.0, row + 1
        places.append((left, 11 + 22.0 * row))
        left += wide
    return places, row + 1


def _line_legend(
    d: Drawing, entries: Sequence[tuple[str, Role]], places: Sequence[tuple[float, float]]
) -> None:
    for (name, role), (left, top) in zip(entries, places, strict=True):
        width, dashes = STYLES[role]
        y = 1 - top / d.height
        d.figure.add_artist(
            Line2D(
                [left / d.width, (left + 24) / d.width],
                [y, y],
                transform=d.figure.transFigure,
                color=ROLES[role],
                linewidth=width,
                linestyle=dashes,
            )
        )
        d.write(left + 32, top, d.name(brief(name, LONGEST)), color=MUTED, size=SMALL)


def _grid(axes: Axes, most: int = 6, names: bool = True) -> None:
    """Thin lines across at the ticks, whose numbers stand at their left."""
    axes.yaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.set_major_formatter(FuncFormatter(tick if names else lambda *_: ""))
    axes.grid(axis="y", color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
    axes.set_axisbelow(True)
