"""What each figure on undesirable pixels shows: its title (the finding), its caption; not yet drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from heatlift.report.clouds import cloud, drawn
from heatlift.report.distributions import Axis
from heatlift.report.plate import IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.undesirable.outcomes import Outcome
from heatlift.report.undesirable.paper import PAPER_PHI
from heatlift.report.undesirable.summary import FactorSummary, Undesirable
from heatlift.report.wording import interval, percent, signed, value_text
from heatlift.run.evidence import FEWEST

HELD = {
    "target": "F-TC (factors for a target class): the other classes’ mean logit is held.",
    "non_target": "F-NTC (factors for non-target classes): the target’s logit is held.",
}
"""What the paper's names stand for, said once on the first screen."""

FAR = 400.0
"""Per cent below which phi's axis is logarithmic: it has no lower bound, and 100 is its highest value."""


def probability_plate(factor: FactorSummary, outcomes: Sequence[Outcome], trials: int) -> Plate | None:
    """The target's probability before and after, a dot for each image; None where none has both."""
    pairs = [(o.kind, (o.p_before, o.p_after)) for o in outcomes if o.factor == factor.factor]
    before, after = factor.figure("p_before"), factor.figure("p_after")
    if not pairs:
        return None
    told = "the target’s probability before and after"
    if before is not None and after is not None and factor.n >= FEWEST:
        told = f"the target’s mean probability goes from {value_text(before, 2)} to {value_text(after, 2)}"
    first = " The first trial’s masks." if trials > 1 else ""
    return Plate(
        f"probability-{factor.factor}",
        f"{factor.heading}: {told}",
        "Each dot is one image. Above the dashed line the network is surer of the target once the masked "
        f"pixels are blurred. {drawn(pairs)}{first}",
        f"Probability of the target {interval(before)} before, {interval(after)} after.",
        cloud(pairs, "Target’s probability before", "Target’s probability after", "unchanged"),
    )


def control_plate(run: Undesirable) -> Plate | None:
    """The masks' improvement beside what needs no mask, and both networks' gains; None with no figure."""
    found = (_phi_panel(run), _gain_panel(run))
    panels = tuple(panel for panel in found if panel is not None)
    if not panels:
        return None
    printed = any(row.printed for panel in panels for row in panel.rows)
    caption = (
        "φ: the part of what was missing to probability 1 that is gained; 100 is all of it, below 0 it got "
        "worse. Grey: controls, the masks’ own values in random places, and the whole image blurred."
    )
    caption += "".join(f" {HELD[f.factor]}" for f in run.factors if f.factor in HELD)
    if run.verified:
        caption += f" {run.second} took no part in making the masks."
    alt = "; ".join(f"{row.name}: {interval(row.known)}" for panel in panels for row in panel.rows)
    return Plate(
        "controls",
        _control_title(run),
        caption,
        alt,
        Intervals(panels, "Kang 2019, VGG-19 and ResNet-18" if printed else ""),
    )


def second_plate(run: Undesirable, factor: FactorSummary, outcomes: Sequence[Outcome]) -> Plate | None:
    """The change of probability on the network itself against that on the second; None without one."""
    pairs = [
        (o.kind, (o.gain, o.p_verify_after - o.p_verify_before))
        for o in outcomes
        if o.factor == factor.factor and o.p_verify_after is not None and o.p_verify_before is not None
    ]
    own, other = factor.figure("p_gain"), factor.figure("p_verify_gain")
    if not pairs or own is None or other is None:
        return None
    told = (
        f"{run.second} gives the target {signed(value_text(other))} of probability on average, the network "
        f"itself {signed(value_text(own))}"
        if factor.n >= FEWEST
        else f"the change of probability on the network itself and on {run.second}"
    )
    return Plate(
        f"second-{factor.factor}",
        f"{factor.heading}: {told}",
        f"Each dot is one image. On the dashed line {run.second} gains as much as the network itself; below "
        f"the line at 0 it loses. It gains on {percent(factor.figure('verify_better'))} of the images. "
        f"{drawn(pairs)}",
        f"Own change of probability {interval(own)}; on {run.second} {interval(other)}.",
        cloud(
            pairs,
            "Change of probability, network itself",
            f"Change of probability, {run.second}",
            "same change",
        ),
    )


def agreement_plate(run: Undesirable) -> Plate | None:
    """How alike the masks of one image are from trial to trial; None with a single trial."""
    told = {"correlation": "correlation", "iou_top": "IoU, top 4%", "iou": "IoU, > 0.6"}
    rows = tuple(
        IntervalRow(f"{words}, {factor.name}", False, known)
        for name, words in told.items()
        for factor in run.factors
        if (known := factor.agreement.get(name)) is not None
    )
    first = next((f for f in run.factors if f.agreement.get("correlation")), None)
    if not rows or first is None:
        return None
    correlation = value_text(first.agreement.get("correlation"), 2)
    alike = f"correlate by {correlation}" if first.n >= FEWEST else "beside each other"
    return Plate(
        "agreement",
        f"{first.heading}: two trials’ masks of one image {alike}",
        "Means over pairs of trials, of all pixels, of the 4% where each mask takes most away, and of those "
        "above 0.6. 1: the same mask; 0: no more alike than by chance "
        "(correlation), or without a pixel in common (IoU).",
        "; ".join(f"{row.name}: {interval(row.known)}" for row in rows),
        Intervals((IntervalPanel(rows, _axis(rows, 1.0), "Agreement of two trials"),)),
    )


def _control_title(run: Undesirable) -> str:
    """The masks' improvement and that of random places, in numbers, where images are enough to say so."""
    first = next((f for f in run.factors if f.figure("phi") is not None), None)
    if first is None or first.n < FEWEST:
        return "What the masks do, beside what needs no mask"
    told = f"{first.heading} masks improve by {value_text(first.figure('phi'))}%"
    blob = first.figure("phi_blob")
    return f"{told}, the same in random places by {value_text(blob)}%" if blob is not None else told


def _phi_panel(run: Undesirable) -> IntervalPanel | None:
    def found() -> Iterator[IntervalRow]:
        for factor in run.factors:
            known = factor.figure("phi")
            if known is not None:
                printed = PAPER_PHI.get(factor.factor, ()) if run.as_printed else ()
                yield IntervalRow(f"masks, {factor.name}", False, known, printed)
        for factor in run.factors:
            known = factor.figure("phi_blob")
            if known is not None:
                yield IntervalRow(f"random places, {factor.name}", True, known)
        # It has no mask, so it is the same for every factor.
        blurred = next((f.figure("phi_blur") for f in run.factors if f.figure("phi_blur")), None)
        if blurred is not None:
            yield IntervalRow("whole image blurred", True, blurred)

    rows = tuple(found())
    if not rows:
        return None
    return IntervalPanel(rows, _axis(rows, 10.0), "Relative improvement φ, % (higher: surer)")


def _gain_panel(run: Undesirable) -> IntervalPanel | None:
    if not run.verified and len(run.factors) < 2:
        return None  # the other figure of the page shows it
    whose = {"p_gain": "own network", "p_verify_gain": run.second}
    rows = tuple(
        IntervalRow(f"{factor.name}, {who}" if run.verified else f"masks, {factor.name}", False, known)
        for name, who in whose.items()
        for factor in run.factors
        if (known := factor.figure(name)) is not None
    )
    if not rows:
        return None
    return IntervalPanel(rows, _axis(rows, 0.1), "Change of the target’s probability")


def _axis(rows: Iterable[IntervalRow], least: float) -> Axis:
    """Holds every interval, every printed value, zero, and on one side of it at least ``least``."""
    ends = [end for row in rows for end in (row.known.value, row.known.low, row.known.high, *row.printed)]
    known = [end for end in ends if end is not None]
    low, high = min(0.0, *known), max(0.0, *known)
    if high - low < least:
        high = low + least
    if low < -FAR:
        return Axis(1.3 * low, max(high, 100.0) * 1.05, 100.0, decades=1.5)
    pad = 0.05 * (high - low)
    return Axis(low - pad, high + pad)
