"""What each figure of a lift's report shows: its title (the finding), its caption; not yet drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from heatlift.report.clouds import cloud, drawn
from heatlift.report.lift.outcomes import Outcome, read_scores
from heatlift.report.lift.summary import Lifted
from heatlift.report.plate import Curve, Curves, Plate
from heatlift.report.selection import evenly
from heatlift.report.wording import count, interval, percent, signed, value_text

MOST_CURVES = 60
"""Images in the figure of scores over steps."""

MOST_POINTS = 120
"""Of one curve: as many as its line has pixels to tell apart."""


def lead_plates(run: Path, lift: Lifted, outcomes: Sequence[Outcome]) -> tuple[Plate, ...]:
    """The first screen's figures: how the scores rose, and whether another network agrees.

    Raises:
        HeatliftError: the table of scores is damaged.
    """
    usable = [outcome for outcome in outcomes if outcome.ok]
    found = (curves_plate(run, lift, usable), agreement_plate(lift, usable) or gain_plate(lift, usable))
    return tuple(plate for plate in found if plate is not None)


def curves_plate(run: Path, lift: Lifted, outcomes: Sequence[Outcome]) -> Plate | None:
    """The CO score over the steps, one curve per image (Tjoa 2022, figure 4); None without any scores."""
    chosen = evenly(outcomes, MOST_CURVES)
    scores = read_scores(run, {outcome.image for outcome in chosen})
    curves = tuple(
        _curve(scores[outcome.image], bool(outcome.reached)) for outcome in chosen if outcome.image in scores
    )
    if not curves:
        return None
    spotlight = lift.method == "spotlight"
    seen = " A spotlight’s score is that of one view of the image, which changes with each step." * spotlight
    some = (
        f"{len(curves):,} of {count(len(outcomes), 'image')}, evenly spread"
        if len(curves) < len(outcomes)
        else ""
    )
    shown = some or count(len(curves), "image")
    blue, orange = ("target class predicted", "not predicted") if spotlight else ("reached", "not reached")
    return Plate(
        "curves",
        reached_title(lift, len(outcomes)),
        f"Each line is one image’s CO score and ends where the image stopped. Drawn: {shown}. "
        f"Scores as the optimiser saw them.{seen}",
        f"{shown}; {sum(curve.reached for curve in curves):,} of them {blue}.",
        Curves(curves, lift.target, (blue, orange)),
    )


def reached_title(lift: Lifted, n: int) -> str:
    """How many images got where they were to get, and how fast."""
    reached, of = lift.count("reached"), count(n, "image")
    who = f"{reached:,} of {of}" if reached else f"None of {of}"
    if lift.target is None:
        return (
            f"{who} predicted as the target class afterwards; median CO score {value_text(lift.figure('co'))}"
        )
    told = f"{who} reached a CO score of {lift.target:g}"
    steps = lift.figure("steps")
    return f"{told}; the median image took {steps.value:.0f} steps" if steps and reached else told


def agreement_plate(lift: Lifted, outcomes: Sequence[Outcome]) -> Plate | None:
    """The change of probability on the network itself against that on the second; None without one."""
    pairs = [
        (o.kind, (o.p_after - o.p_before, o.p_verify_after - o.p_verify_before))
        for o in outcomes
        if o.p_after is not None
        and o.p_before is not None
        and o.p_verify_after is not None
        and o.p_verify_before is not None
    ]
    if not pairs or not lift.verified:
        return None
    better = lift.figure("verify_better")
    return Plate(
        "agreement",
        agreement_title(lift),
        f"Each dot is one image. On the dashed line {lift.second} gains as much as the network itself; below "
        f"the line at 0 it loses. It gains on {percent(better)} of the images. {drawn(pairs)}",
        f"Own change of probability {interval(lift.figure('p_gain'))}; on {lift.second} "
        f"{interval(lift.figure('p_verify_gain'))}.",
        cloud(
            pairs,
            "Change of probability, network itself",
            f"Change of probability, {lift.second}",
            "same change",
        ),
    )


def agreement_title(lift: Lifted) -> str:
    """Whether a network that took no part gains, too: the summary's finding, with its numbers."""
    own, other = lift.figure("p_gain"), lift.figure("p_verify_gain")
    said = {
        "shared": f"{lift.second} gains, too",
        "adversarial": f"{lift.second} does not share the gain",
    }.get(lift.finding, f"Whether {lift.second} shares the gain stays open")
    gains = f"{signed(value_text(other))} of probability on average, {signed(value_text(own))}"
    return f"{said}: {gains} on the network itself"


def gain_plate(lift: Lifted, outcomes: Sequence[Outcome]) -> Plate | None:
    """The target's probability before and after; None where no image has both."""
    pairs = [
        (o.kind, (o.p_before, o.p_after))
        for o in outcomes
        if o.p_before is not None and o.p_after is not None
    ]
    if not pairs:
        return None
    before, after = lift.figure("p_before"), lift.figure("p_after")
    return Plate(
        "gain",
        f"The target’s mean probability goes from {value_text(before, 2)} to {value_text(after, 2)}",
        f"Each dot is one image. Above the dashed line the network is surer than before. {drawn(pairs)}",
        f"Probability of the target class {interval(before)} before, {interval(after)} after.",
        cloud(pairs, "Probability before", "Probability after", "unchanged"),
    )


def _curve(scores: Mapping[int, float], reached: bool) -> Curve:
    steps = evenly(sorted(scores), MOST_POINTS)
    return Curve(tuple(steps), tuple(scores[step] for step in steps), reached)
