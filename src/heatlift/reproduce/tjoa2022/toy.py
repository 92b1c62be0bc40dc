"""Figures 1 and 6 of Tjoa 2022: two pixels and their heatmaps over the angle, from closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from heatlift.report.scales import tick
from heatlift.report.svg import INK, MUTED, RULE, SMALL, Drawing, drawing
from heatlift.reproduce import parts
from heatlift.reproduce.parts import Figure, Line, Part
from heatlift.reproduce.tjoa2022.two_dimensions import RATE, co_score, gradient, heatmap, pixels, rotation

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

PANELS: tuple[tuple[str, float, float], ...] = (
    ("left", 0.95, 0.05),
    ("middle", 0.7, 0.3),
    ("right", 0.51, 0.49),
)
"""The components of each panel; printed are 0.95, 0.7 and "a1 almost a2"."""

NARROW, WIDE = (-pi / 4, 3 * pi / 4), (-pi, 2 * pi)
"""The angles of figure 1 and of figure 6, in radians."""

COLOURS = ("#d6604d", "#4393c3")
"""Red for the first pixel and blue for the second, as in the paper."""

DOTS: LineStyleType = (0, (1, 1.4))
POINTS = 400
WIDTH, HEIGHT, LEFT, TOP, BETWEEN, RIGHT, FOOT = 720.0, 190.0, 34.0, 60.0, 40.0, 20.0, 46.0

UNPRINTED = (
    "a2 is not printed. It is 1 − a1 here: then both pixels are non-negative over about the angles that the "
    "text names ([0, π/2], up to 3π/8, and [−π/4, π/4]). The right panel’s a1 = 0.51 stands for “a1 ≈ a2”, "
    "and the range of angles is ours.",
    "Section 2’s s = σ(a1) − σ(a2) + σ(A) − σ(B) is not eq. 1’s: where σ is linear, eq. 1 is A − B, and that "
    "formula has a1 − a2 too much. Scores here are eq. 1 itself, with LeakyReLU of slope 0.01 below zero.",
)


def figure_1() -> Part:
    """Figure 1: how the heatmap follows the larger component, and less so the more alike the two are."""
    growth = [_growth(a1, a2) for _, a1, a2 in PANELS]
    return Part(
        "figure-1",
        "Figure 1",
        f"Not rotated, a1 = 0.95 gives h1 = {growth[0][0]:.2f} x1 and h2 = {growth[0][1]:.2f} x2, a1 = 0.51 "
        f"gives h1 = {growth[2][0]:.2f} x1 and h2 = {growth[2][1]:.2f} x2",
        "High x1 gets a high h1 and low x2 a suppressed h2; both less so as a1 and a2 come closer or the "
        "rotation comes close to π/4, where the pixels look alike. (In the left panel h1 is still high "
        "there, section 2.1 says.)",
        (*_ranges(), *_prominence(), *_scores()),
        (_drawn("figure-1", NARROW),),
        UNPRINTED,
    )


def figure_6() -> Part:
    """Figure 6: the same over more than a turn, where pixels become negative."""
    x, h = (form(rotation(pi), PANELS[0][1:])[0] for form in (pixels, heatmap))
    turn = np.linspace(*WIDE, 3001)
    a = np.array(PANELS[0][1:])
    same_sign = float((np.sign(pixels(rotation(turn), a)) == np.sign(heatmap(rotation(turn), a))).mean())
    return Part(
        "figure-6",
        "Figure 6",
        f"Turned by π, the first pixel is {_minus(x)} and its heatmap {_minus(h)}: negative pixels get more "
        "negative values",
        "Beyond the angles with non-negative pixels, highly negative values are assigned to negative pixels; "
        "they raise the score all the same.",
        (
            Line("first pixel's heatmap h1 at θ = π, a1 = 0.95", "highly negative", _exact(float(h))),
            Line(
                "share of all angles and both pixels at which h has the sign of x, a1 = 0.95",
                None,
                _exact(same_sign),
            ),
            *(
                Line(f"gain of A − B over h = x at θ = π, a1 = {a1:g}", "above 0", _exact(_risen(a1, a2, pi)))
                for _, a1, a2 in PANELS
            ),
        ),
        (_drawn("figure-6", WIDE),),
        UNPRINTED,
    )


def _growth(a1: float, a2: float) -> tuple[float, float]:
    """h / x of both pixels at no rotation."""
    first, second = heatmap(rotation(0.0), (a1, a2)) / pixels(rotation(0.0), (a1, a2))
    return float(first), float(second)


def _risen(a1: float, a2: float, theta: float) -> float:
    """What gradient ascent adds to A - B: k eta times the squared length of the gradient."""
    return float(RATE * (gradient(rotation(theta), (a1, a2)) ** 2).sum())


def _ranges() -> list[Line]:
    """Between which angles, around the middle of those printed, both pixels are non-negative."""
    printed = {
        "left": ("0", "1.57 (π/2)"),
        "middle": ("0.39 (π/8)", "1.18 (3π/8)"),
        "right": ("−0.79 (−π/4)", "0.79 (π/4)"),
    }
    found = []
    for place, a1, a2 in PANELS:
        # x = |a| (cos(theta + phi), sin(theta + phi)), phi the angle of a itself
        phi = float(np.arctan2(a2, a1))
        for which, words, value in zip(("from", "to"), printed[place], (-phi, pi / 2 - phi), strict=True):
            note = "for any a the range is π/2 wide, where the text has π/4" if place == "middle" else ""
            found.append(
                Line(f"{place}: pixels are non-negative {which} θ, radians", words, _exact(value), note)
            )
    return found


def _prominence() -> list[Line]:
    largest = {
        theta: float(np.abs(heatmap(rotation(theta), PANELS[0][1:])).max()) for theta in (0.0, pi / 4, pi / 2)
    }
    apart = max(
        float(np.abs(heatmap(w, PANELS[2][1:]) - pixels(w, PANELS[2][1:])).max())
        for w in map(rotation, (pi / 4, -pi / 4))
    )
    return [
        *(
            Line(f"left: largest |h| at θ = {words}", printed, _exact(largest[theta]), note)
            for theta, words, printed, note in (
                (0.0, "0", "high", ""),
                (pi / 4, "π/4", "still high", "section 2.1; section 2 of any panel: “less prominent”"),
                (pi / 2, "π/2", "more prominent", "of h2"),
            )
        ),
        Line("right: largest |h − x| at θ = ±π/4", "almost 0", _exact(apart)),
    ]


def _scores() -> list[Line]:
    """The CO score of the image as its own heatmap, and of the heatmap."""
    found = []
    for place, a1, a2 in PANELS:
        w = rotation(pi / 8)
        x = pixels(w, (a1, a2))
        itself = float(co_score(w, x, x))
        found.append(
            Line(f"{place}: CO score of h = x at θ = π/8", f"a1 − a2 = {a1 - a2:.2f}", _exact(itself))
        )
        score = float(co_score(w, x, heatmap(w, (a1, a2))))
        found.append(Line(f"{place}: CO score of eq. 4's h at θ = π/8", "above that", _exact(score)))
    return found


def _exact(value: float) -> Figure:
    """A closed form's value: no interval, and of no images."""
    return {"value": value, "low": None, "high": None, "n": 0}


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _drawn(identity: str, angles: tuple[float, float]) -> parts.Drawing:
    theta = np.linspace(*angles, POINTS)
    curves = [(pixels(rotation(theta), (a1, a2)), heatmap(rotation(theta), (a1, a2))) for _, a1, a2 in PANELS]
    most = 1.06 * max(float(np.abs(each).max()) for pair in curves for each in pair)
    width = (WIDTH - LEFT - RIGHT - 2 * BETWEEN) / 3
    with drawing(WIDTH, TOP + HEIGHT + FOOT) as d:
        for place, ((_, a1, a2), (x, h)) in enumerate(zip(PANELS, curves, strict=True)):
            left = LEFT + place * (width + BETWEEN)
            axes = d.panel(left, TOP, width, HEIGHT)
            axes.set(xlim=angles, ylim=(-most, most), xlabel="rotation θ, radians")
            for pixel, colour in enumerate(COLOURS):
                axes.plot(theta, x[:, pixel], color=colour, linewidth=1.8)
                axes.plot(theta, h[:, pixel], color=colour, linewidth=1.8, linestyle=DOTS)
            _scaled(axes, angles, names=place == 0)
            d.write(left, TOP - 14, f"a1 = {a1:g}, a2 = {a2:g}", color=INK, size=SMALL)
        _legend(d)
        described = (
            f"Pixels and heatmaps over the angle, from {_minus(angles[0])} to {_minus(angles[1])} radians."
        )
        svg = d.svg(identity, described)
    return parts.Drawing(
        svg,
        "Solid: the pixels x1 (red) and x2 (blue) of x = W a. Dotted: the heatmap after gradient ascent with "
        f"kη = {RATE:g}. Closed forms (eq. 4), no images.",
    )


def _scaled(axes: Axes, angles: Sequence[float], names: bool) -> None:
    """Ticks at quarters of π, as many as have room, and a line at zero."""
    step = 1 if angles[1] - angles[0] < 4 else 4
    quarters = range(round(angles[0] * 4 / pi), round(angles[1] * 4 / pi) + 1, step)
    axes.xaxis.set_major_locator(FixedLocator([quarter * pi / 4 for quarter in quarters]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_pi(round(value * 4 / pi))))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(tick if names else lambda *_: ""))
    axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
    axes.grid(axis="both", color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
    axes.set_axisbelow(True)


def in_pi(quarters: int) -> str:
    """So many quarters of π in lowest terms.

    >>> in_pi(0), in_pi(-2), in_pi(3), in_pi(8)
    ('0', '−π/2', '3π/4', '2π')
    """
    if not quarters:
        return "0"
    below = 4 // int(np.gcd(quarters, 4))
    above = abs(quarters) * below // 4
    times, over = "" if above == 1 else str(above), "" if below == 1 else f"/{below}"
    return f"{'−' if quarters < 0 else ''}{times}π{over}"


def _legend(d: Drawing) -> None:
    left = LEFT
    entries: tuple[tuple[str, str, LineStyleType], ...] = (
        ("x1", COLOURS[0], "solid"),
        ("x2", COLOURS[1], "solid"),
        ("h1", COLOURS[0], DOTS),
        ("h2", COLOURS[1], DOTS),
    )
    for words, colour, style in entries:
        ends, y = [left / d.width, (left + 24) / d.width], 1 - 12 / d.height
        d.figure.add_artist(
            Line2D(ends, [y, y], color=colour, linewidth=1.8, linestyle=style, transform=d.figure.transFigure)
        )
        d.write(left + 30, 12, words, color=MUTED, size=SMALL)
        left += 70
