"""What each figure of a lift's report shows: its title (the finding), its caption; not yet drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from heatlift.report.distributions import Axis, Kind
from heatlift.report.lift_outcomes import Outcome, evenly, read_scores
from heatlift.report.lift_summary import Lifted
from heatlift.report.plate import Cloud, Curve, Curves, Plate
from heatlift.report.wording import count, interval, value_text

MOST_CURVES = 60
"""Images in the figure of scores over steps."""

MOST_POINTS = 120
"""Of one curve: as many as its line has pixels to tell apart."""

MOST_DOTS = 2000
"""Images in a figure with a dot for each."""

KINDS: Mapping[Kind, str] = {"correct": "correct before", "wrong": "wrong before", "all": "all images"}


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
    drawn = evenly(outcomes, MOST_CURVES)
    scores = read_scores(run, {outcome.image for outcome in drawn})
    curves = tuple(
        _curve(scores[outcome.image], bool(outcome.reached)) for outcome in drawn if outcome.image in scores
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
        f"the line at 0 it loses. It gains on {interval(better, 2)} of the images. {_drawn(pairs)}",
        f"Own change of probability {interval(lift.figure('p_gain'))}; on {lift.second} "
        f"{interval(lift.figure('p_verify_gain'))}.",
        _cloud(
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
    gains = f"{_signed(value_text(other))} of probability on average, {_signed(value_text(own))}"
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
        f"Each dot is one image. Above the dashed line the network is surer than before. {_drawn(pairs)}",
        f"Probability of the target class {interval(before)} before, {interval(after)} after.",
        _cloud(pairs, "Probability before", "Probability after", "unchanged"),
    )


def _curve(scores: Mapping[int, float], reached: bool) -> Curve:
    steps = evenly(sorted(scores), MOST_POINTS)
    return Curve(tuple(steps), tuple(scores[step] for step in steps), reached)


def _cloud(pairs: Sequence[tuple[Kind, tuple[float, float]]], across: str, up: str, diagonal: str) -> Cloud:
    shown = evenly(pairs, MOST_DOTS)
    both = [value for _, pair in shown for value in pair]
    low, high = min(*both, 0.0), max(*both, 0.0)
    pad = 0.04 * (high - low) or 0.05
    dots: dict[Kind, tuple[tuple[float, float], ...]] = {
        kind: tuple(pair for found, pair in shown if found == kind) for kind in KINDS
    }
    return Cloud(
        {kind: found for kind, found in dots.items() if found},
        Axis(low - pad, high + pad),
        across,
        up,
        diagonal,
    )


def _drawn(pairs: Sequence[tuple[Kind, object]]) -> str:
    """``n = 264 correct before, 36 wrong before``, and how many of them are drawn where it is not all."""
    sizes = _counted(kind for kind, _ in pairs)
    cut = f"; {MOST_DOTS:,} of them drawn, evenly spread" if len(pairs) > MOST_DOTS else ""
    return f"n = {sizes}{cut}."


def _counted(kinds: Iterable[Kind]) -> str:
    found = list(kinds)
    return ", ".join(f"{found.count(kind):,} {words}" for kind, words in KINDS.items() if kind in found)


def _signed(text: str) -> str:
    return text if text.startswith("−") else f"+{text}"
