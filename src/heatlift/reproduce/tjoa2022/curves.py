"""Figure 4 of Tjoa 2022: how GAX's CO score rises, step by step, on two networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heatlift.report import marks
from heatlift.report.distributions import Axis
from heatlift.report.lift.outcomes import Outcome, read_outcomes, read_scores
from heatlift.report.scales import score_axis, tick
from heatlift.report.selection import evenly
from heatlift.report.svg import INK, MUTED, RULE, SMALL, drawing
from heatlift.report.wording import count
from heatlift.reproduce import parts
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.parts import Line, Part
from heatlift.reproduce.tjoa2022.stages import STEPS, Shown, Stages, differing
from heatlift.reproduce.tjoa2022.toy import COLOURS
from heatlift.statistics import mean, median, share
from heatlift.wording import shorten

TARGET, PRINTED_STEPS = 48.0, 50
"""The CO score aimed at, and the steps within which most images are there (Tjoa 2022, section 4.2)."""

PRINTED_IMAGES = 10_000

MOST_CURVES, MOST_POINTS = 100, 120
"""Of each network; of each curve."""

WIDTH, HEIGHT, LEFT, TOP, RIGHT, FOOT = 460.0, 290.0, 46.0, 54.0, 20.0, 46.0
LINEAR = 100.0
"""Steps after which the axis is logarithmic, where a few images take many more."""


@dataclass(frozen=True)
class Risen:
    """One network's GAX run."""

    shown: Shown
    folder: Path
    outcomes: Sequence[Outcome]
    scores: Mapping[str, Mapping[int, float]]

    @property
    def within(self) -> int:
        """How many images got there within the printed number of steps."""
        return sum(
            bool(one.reached) and one.steps is not None and one.steps <= PRINTED_STEPS
            for one in self.outcomes
        )


def risen(stages: Stages, place: int) -> Risen:
    """A network's GAX run on photographs that it predicts correctly."""
    shown = stages.on_photographs(place)
    folder = stages.lift(shown)
    outcomes = [one for one in read_outcomes(folder) if one.ok]
    return Risen(shown, folder, outcomes, read_scores(folder, {one.image for one in outcomes}))


def figure_4(stages: Stages) -> Part:
    """Figure 4, with how many images got there, and what remains of it in pixels that exist."""
    both = [risen(stages, place) for place in (0, 1)]
    told = [f"{one.within} of {count(len(one.outcomes), 'image')} on {one.shown.told}" for one in both]
    differs = differing((one.shown.told, one.shown.differs) for one in both)
    return Part(
        "figure-4",
        "Figure 4",
        f"A CO score of {TARGET:g} is reached within {PRINTED_STEPS} steps by {' and '.join(told)}"
        f"{too_few(min(len(one.outcomes) for one in both))}",
        "On ResNet-34 most images reach a CO score of 48 within 50 iterations; AlexNet generally takes "
        "more; all get there in the end, some after a few hundred.",
        tuple(line for one, first in zip(both, (True, False), strict=True) for line in _lines(one, first)),
        (_drawn(both),),
        (
            *differs,
            *_taken(both),
        ),
        tuple(stages.relative(one.folder) for one in both),
    )


def _taken(both: Sequence[Risen]) -> Iterator[str]:
    """How many images and steps there are, and which images."""
    if (n := min(len(one.outcomes) for one in both)) < PRINTED_IMAGES:
        yield f"{count(n, 'image')}, where the paper has {PRINTED_IMAGES:,}."
    labelled = all(outcome.label is not None for one in both for outcome in one.outcomes)
    yield f"At most {STEPS} steps of each. " + (
        "Only images predicted correctly, as in the paper."
        if labelled
        else "Where no label says which are predicted correctly, all images are taken, and their predicted "
        "class is raised; the paper takes only those predicted correctly."
    )


def _lines(one: Risen, first: bool) -> Iterator[Line]:
    n, name = len(one.outcomes), one.shown.told

    def column(values: Iterator[float | int | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([value for value in values if value is not None], dtype=np.float64)

    steps = column(outcome.steps for outcome in one.outcomes if outcome.reached)
    reached = sum(bool(outcome.reached) for outcome in one.outcomes)
    co, clipped = (column(getattr(each, field) for each in one.outcomes) for field in ("co", "co_clipped"))
    yield Line(
        f"{name}: share that reaches 48 within 50 steps",
        "most" if first else "fewer",
        share(one.within, n).as_json(),
    )
    yield Line(f"{name}: share that reaches 48 within {STEPS} steps", "all", share(reached, n).as_json())
    yield Line(f"{name}: median steps of those that do", None, median(steps).as_json())
    yield Line(f"{name}: mean CO score of x + h, logits", "48 or more", mean(co).as_json())
    yield Line(
        f"{name}: mean CO score of x + h brought back to [0, 1], logits",
        None,
        mean(clipped).as_json(),
        "what is left in an image that can exist",
    )


def _drawn(both: Sequence[Risen]) -> parts.Drawing:
    drawn = [(one, evenly([o for o in one.outcomes if o.image in one.scores], MOST_CURVES)) for one in both]
    curves = [[sorted(one.scores[outcome.image].items()) for outcome in outcomes] for one, outcomes in drawn]
    last = max((curve[-1][0] for group in curves for curve in group), default=1)
    linear = last <= 2 * LINEAR
    with drawing(WIDTH, TOP + HEIGHT + (FOOT if linear else FOOT + 16)) as d:
        axes = d.panel(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT)
        # Half of the width for the first hundred steps.
        axis = Axis(-0.01 * last, 1.02 * last) if linear else _bent(last)
        score_axis(axes, axis, "optimisation step")
        for group, colour in zip(curves, (COLOURS[1], COLOURS[0]), strict=True):
            for curve in group:
                steps, scores = zip(*evenly(curve, MOST_POINTS), strict=True)
                axes.plot(steps, scores, color=colour, linewidth=1.1, alpha=0.55, zorder=2)
        found = [score for group in curves for curve in group for _, score in curve]
        low, high = min(found, default=0.0), max([*found, TARGET])
        axes.set_ylim(min(low, 0.0) - 2, high + 3)
        axes.axhline(TARGET, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=4)
        axes.axvline(PRINTED_STEPS, color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)), zorder=4)
        axes.set_yticks([0, 12, 24, 36, 48], labels=[tick(value) for value in (0, 12, 24, 36, 48)])
        axes.grid(axis="y", color=RULE, linewidth=0.6, alpha=0.6, zorder=0)
        axes.set_axisbelow(True)
        d.write(0, 36, "CO score, logits (higher: surer of the label)", color=MUTED, size=SMALL)
        names = [shorten(one.shown.network, 28) for one in both]
        marks.legend(d, [(name, c, "s") for name, c in zip(names, (COLOURS[1], COLOURS[0]), strict=True)], 0)
        sizes = ", ".join(
            f"{len(group)} on {one.shown.told}" for (one, _), group in zip(drawn, curves, strict=True)
        )
        svg = d.svg("figure-4-curves", f"CO score over the steps: {sizes}")
    bent = "" if linear else f" Beyond step {LINEAR:g} the axis is logarithmic."
    return parts.Drawing(
        svg,
        f"Each line is one image’s CO score, up to the step at which it stopped; n = {sizes}. Dashed: the "
        f"target; dotted: {PRINTED_STEPS} steps.{bent} Scores as the optimiser saw them.",
    )


def _bent(last: int) -> Axis:
    """Linear for the first steps, which take half of the width, and logarithmic from there on."""
    return Axis(-1.0, 1.05 * last, LINEAR, math.log10(last / LINEAR))
