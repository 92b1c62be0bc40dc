"""Axes of scores: linear, or logarithmic on both sides of zero."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from heatlift.report.distributions import Axis


def score_axis(axes: Axes, axis: Axis, label: str) -> None:
    """Ticks and words below; symmetric-log where the axis says so."""
    if axis.linear is None:
        axes.set(xlim=(axis.low, axis.high), xlabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    else:
        axes.set_xscale("symlog", linthresh=axis.linear, linscale=axis.decades)
        axes.set(xlim=(axis.low, axis.high), xlabel=f"{label}\nlogarithmic beyond ±{tick(axis.linear)}")
        axes.xaxis.set_major_locator(FixedLocator(_decades(axis.low, axis.high, axis.linear)))
        axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(tick))


def _decades(low: float, high: float, linear: float) -> list[float]:
    """Zero and the powers of ten within the axis, thinned so that their labels do not touch.

    >>> _decades(-200.0, 30.0, 1.0)
    [-100.0, -10.0, -1.0, 0.0, 1.0, 10.0]
    """
    powers = [linear * 10.0**power for power in range(16)]
    below, above = [p for p in powers if p <= -low], [p for p in powers if p <= high]
    step = 1 + (len(below) + len(above)) // 7
    return [*(-p for p in reversed(below[step - 1 :: step])), 0.0, *above[step - 1 :: step]]


def tick(value: float, _: int | None = None) -> str:
    """A number below or beside an axis."""
    return f"{round(value, 12) + 0.0:.6g}".replace("-", "−")
