"""What several audits say beside each other, in words: one question a function, its rule in the docstring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heatlift.report.added_words import ADDS, limits, reservation
from heatlift.report.compared.runs import Beside, Side
from heatlift.report.known import known_figure
from heatlift.report.records import IndicatorSummary, MethodSummary
from heatlift.report.wording import count, interval, listing, percent, signed, value_text
from heatlift.run.compared import Accuracies, Ranks
from heatlift.statistics import Figure
from heatlift.wording import clean

SIGNIFICANT = 0.05
"""Of McNemar's test."""

ALIKE = 0.7
"""The rank correlation above which two networks are said to order the heatmaps alike, and not alike below."""


def verdict(beside: Beside) -> str:
    """The three questions, answered for each further run against the first."""
    return " ".join((*_accuracy(beside), added_words(beside), *indicator_words(beside), *_order(beside)))


def _accuracy(beside: Beside) -> Iterator[str]:
    first = beside.sides[0]
    for place, other in enumerate(beside.sides[1:]):
        if beside.accuracies:
            yield accuracy_words(first, other, beside.accuracies[place])
        else:
            same = known_figure(beside.same[place].as_json())
            yield (
                f"No image has a label in every run, so which network is more accurate stays open; "
                f"{other.name} predicts what {first.name} predicts for {percent(same)} of the images."
            )


def accuracy_words(first: Side, other: Side, found: Accuracies) -> str:
    """Which network is more accurate: the one that McNemar's test (p below 0.05) says is."""
    where = f"on the {count(found.first.n, 'image')} that can be compared"
    better, worse = (other, first) if (found.difference.value or 0) > 0 else (first, other)
    values = {first.name: found.first, other.name: found.other}
    numbers = (
        f"accuracy {_two(values[better.name])} against {_two(values[worse.name])}, {other.name} minus "
        f"{first.name} {_difference(found.difference)}, McNemar p {_p(found.turned.p)}"
    )
    if found.turned.p < SIGNIFICANT:
        return f"{better.name} is more accurate than {worse.name} {where}: {numbers}."
    return f"Neither {first.name} nor {other.name} is clearly more accurate {where}: {numbers}."


def added_words(beside: Beside) -> str:
    """Does any heatmap add to confidence in any run? As each run's own summary found on its own images."""
    adding = [
        (side, [m for m in side.audit.methods if m.finding == ADDS and not m.control])
        for side in beside.sides
    ]
    told = [f"{_some(found)} in {side.name}" for side, found in adding if found]
    silent = [side.name for side in beside.sides if not any(m.finding for m in side.audit.methods)]
    if silent:
        return f"Whether a heatmap adds to confidence is not in the summary of {listing(silent)}."
    few = [
        side.name
        for side in beside.sides
        if all(m.finding in ("too_few", "no_labels", "") for m in side.audit.methods if not m.control)
    ]
    if told:
        whole = any(not limits(m.added) for _, found in adding for m in found)
        aside = "" if whole else ", but none to all else that is known"
        return f"Some heatmaps add to what confidence tells about correctness{aside}: {listing(told)}."
    if len(few) == len(beside.sides):
        return "No run has enough wrong and correct images to say whether a heatmap adds to confidence."
    aside = f" ({listing(few)}: too few images to say)" if few else ""
    return f"No heatmap was found to add to what confidence tells about correctness, in any run{aside}."


def indicator_words(beside: Beside) -> Iterator[str]:
    """The same of the indicators, each run's own; nothing where no run has any."""
    tested = dict.fromkeys(one.name for side in beside.sides for one in side.audit.indicators)
    if not tested:
        return
    adding = [(side, [one for one in side.audit.indicators if one.finding == ADDS]) for side in beside.sides]
    told = [f"{_some(found)} in {side.name}" for side, found in adding if found]
    n = count(len(tested), "indicator")
    if told:
        yield f"Of {n}, these add to confidence: {listing(told)}."
    else:
        yield f"Of {n}, none was found to add to confidence, in any run."


def _order(beside: Beside) -> Iterator[str]:
    first = beside.sides[0]
    for other, ranks in zip(beside.sides[1:], beside.ranks, strict=True):
        yield order_words(first, other, ranks)


def order_words(first: Side, other: Side, ranks: Ranks) -> str:
    """Do two networks order the heatmaps alike, by how much they change the label's probability?

    Alike where the interval of Spearman's correlation lies above 0.7, not alike where it lies below and
    without 0 in it: resampling pulls it towards 0, so an interval around 0 may be of too few images.
    """
    known = known_figure(ranks.spearman.as_json())
    if known is None:
        return (
            f"Whether {other.name} orders the heatmaps as {first.name} does can’t be said from "
            f"{ranks.heatmaps or 'none'} of them."
        )
    shown = (
        f"Spearman {interval(known, 2)}, {ranks.heatmaps} heatmaps by how they change the label’s probability"
    )
    if known.above(ALIKE):
        return f"{other.name} orders the heatmaps as {first.name} does: {shown}."
    if known.below(ALIKE) and (known.above(0) or known.below(0)):
        return f"{other.name} does not order the heatmaps as {first.name} does: {shown}."
    return f"Whether {other.name} orders the heatmaps as {first.name} does is unclear: {shown}."


def _some(found: Sequence[MethodSummary | IndicatorSummary], most: int = 3) -> str:
    """The first of them by name, those without limits first, each with what its gain is not found beside."""
    ordered = sorted(found, key=lambda one: bool(limits(one.added)))
    names = [f"{clean(one.label)}{_aside(one)}" for one in ordered]
    shown = listing(names[:most])
    return shown if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def _aside(one: MethodSummary | IndicatorSummary) -> str:
    told = reservation(one.added)
    return f" ({told})" if told else ""


def _two(figure: Figure) -> str:
    return value_text(known_figure(figure.as_json()), 2)


def _difference(figure: Figure) -> str:
    """The interval with its sign; of one image there is none."""
    if figure.value is None:
        return "unknown"
    return signed(interval(known_figure(figure.as_json()), 3))


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"
