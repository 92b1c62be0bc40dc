"""Drawings of a lift's figures: scores over steps, and clouds of images."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from heatlift.report import marks
from heatlift.report.marks import COLOUR
from heatlift.report.plate import Cloud, Curves
from heatlift.report.scales import tick
from heatlift.report.svg import CORRECT, INK, MUTED, RULE, SMALL, WRONG, drawing
from heatlift.wording import shorten

WIDTH, HEIGHT = 460.0, 290.0
LEFT, TOP, RIGHT, FOOT = 46.0, 54.0, 14.0, 46.0
STEPS = [1, 2, 2.5, 5, 10]
BEFORE = {"correct": "correct before", "wrong": "wrong before", "all": "all images"}


def curves(content: Curves, identity: str, alt: str) -> str:
    """One line per image; those that did not get there lie above, since they are few."""
    with drawing(WIDTH, TOP + HEIGHT + FOOT) as d:
        axes = d.panel(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT)
        for curve in sorted(content.curves, key=lambda one: not one.reached):
            colour = CORRECT if curve.reached else WRONG
            axes.plot(curve.steps, curve.scores, color=colour, linewidth=1.2, alpha=0.6, zorder=2)
            axes.plot(curve.steps[-1:], curve.scores[-1:], marker="o", markersize=3.2, color=colour, zorder=3)
        if content.target is not None:
            axes.axhline(content.target, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=4)
        scores = [score for curve in content.curves for score in curve.scores]
        aims = [] if content.target is None else [content.target]
        low, high = min(*scores, *aims, 0.0), max(*scores, *aims, 0.0)
        pad = 0.04 * (high - low) or 0.5
        last = max(1, *(curve.steps[-1] for curve in content.curves))
        axes.set(xlim=(-0.015 * last, 1.015 * last), ylim=(low - pad, high + pad), xlabel="optimisation step")
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS, integer=True))
        _grid(axes)
        d.write(0, 36, "CO score, logits (higher: surer of the target class)", color=MUTED, size=SMALL)
        if content.target is not None:
            axes.annotate(
                f"target {tick(content.target)}",
                (0, content.target),
                (2, 9),
                xycoords=axes.get_yaxis_transform(),
                textcoords="offset pixels",
                va="center_baseline",
                color=INK,
                size=SMALL,
            )
        got, not_got = content.legend
        entries = [
            (f"{words} ({n:,})", colour, "s")
            for words, colour, n in (
                (got, CORRECT, sum(curve.reached for curve in content.curves)),
                (not_got, WRONG, sum(not curve.reached for curve in content.curves)),
            )
            if n
        ]
        marks.legend(d, entries, 0)
        return d.svg(identity, alt)


def cloud(content: Cloud, identity: str, alt: str) -> str:
    """Dots on a square of one range, its diagonal dashed."""
    with drawing(WIDTH, TOP + HEIGHT + FOOT) as d:
        axes = d.panel(LEFT, TOP, HEIGHT + 20, HEIGHT)
        low, high = content.axis.low, content.axis.high
        axes.set(xlim=(low, high), ylim=(low, high), xlabel=content.across)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
        axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
        total = sum(len(dots) for dots in content.dots.values())
        for kind, dots in content.dots.items():
            axes.plot(
                [across for across, _ in dots],
                [up for _, up in dots],
                linestyle="",
                marker="o",
                markersize=5 if total <= 300 else 3,
                markeredgewidth=0,
                color=COLOUR[kind],
                alpha=0.7 if total <= 300 else 0.45,
                zorder=3,
            )
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
        _grid(axes)
        d.write(0, 36, d.name(shorten(content.up, 60)), color=MUTED, size=SMALL)
        axes.annotate(
            content.diagonal,
            (high, high),
            (4, -3),
            textcoords="offset pixels",
            va="center_baseline",
            color=MUTED,
            size=SMALL,
            annotation_clip=False,
        )
        marks.legend(d, [(BEFORE[kind], COLOUR[kind], "s") for kind in content.dots], 0)
        return d.svg(identity, alt)


def _grid(axes: Axes) -> None:
    """Thin lines across at the scores' ticks, which stand at their left without a line of their own."""
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(tick))
    axes.grid(axis="y", color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
    axes.set_axisbelow(True)
