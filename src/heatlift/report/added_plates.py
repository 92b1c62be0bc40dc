"""The report's first figure: what each heatmap tells beside confidence, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from heatlift.report.added_words import ADDS, CONTROL_TOO, limits, reservation
from heatlift.report.distributions import Axis
from heatlift.report.findings import enough, name_of
from heatlift.report.known import Known
from heatlift.report.plate import GroupRow, Groups, Plate
from heatlift.report.plates import cut, drawable, intervals
from heatlift.report.records import Added, MethodSummary
from heatlift.report.summary import Audit
from heatlift.report.tables import gain
from heatlift.report.wording import count, interval, listing, signed


def spanning(found: Iterable[Known | None], line: float) -> Axis:
    """The range that holds every estimate with its interval, and the line."""
    ends = [line]
    for known in found:
        if known is not None:
            ends += [end for end in (known.value, known.low, known.high) if end is not None]
    low, high = min(ends), max(ends)
    pad = 0.05 * (high - low) or 0.01
    return Axis(low - pad, high + pad)


def added_plate(audit: Audit) -> Plate | None:
    """Every heatmap, indicator and control as a gain beside confidence; None where none was computed."""
    rows = [GroupRow(_named(m), m.operation, m.control, (gain(m.added),)) for m in _drawn(audit)]
    rows += [
        GroupRow(one.name, "indicator", False, (gain(one.added),))
        for one in audit.indicators
        if gain(one.added) is not None
    ]
    if not rows:
        return None
    rows.sort(key=_order)
    drawn = tuple(drawable(rows))
    return Plate(
        "added",
        added_title(audit),
        "Each dot: how much better confidence and this score together tell correct from wrong than "
        "confidence alone (both fitted on other images than they are tested on). Right of the line, the "
        "heatmap knows something that the classifier’s own probability does not; the label is not used. "
        "Grey: controls that explain nothing; what one of them gains too is not the heatmap’s doing. "
        f"{_gaining(drawn)}{intervals(audit, (row.known[0] for row in drawn))}{cut(len(drawn), len(rows))}",
        "AUROC gained beside confidence: "
        + "; ".join(f"{row.name} {row.note} {interval(row.known[0])}" for row in drawn),
        Groups(
            drawn,
            (("gain", "ink"),),
            spanning((row.known[0] for row in drawn), 0.0),
            "AUROC gained beside confidence",
            0.0,
        ),
    )


def added_title(audit: Audit) -> str:
    """What tells more than confidence alone, by the rules of the verdicts, at whatever scale it does."""
    if not enough(audit):
        return (
            "Too few images to say whether a heatmap adds to confidence "
            f"({audit.count('correct'):,} correct, {audit.count('wrong'):,} wrong)"
        )
    found = _heatmaps(audit)
    adding = sorted(
        (m for m in found if m.finding == ADDS), key=lambda m: (not limits(m.added), _gained(m)), reverse=True
    )
    also = next((one for one in audit.indicators if one.finding == ADDS), None)
    if adding:
        best, n = adding[0], len(adding) - 1
        others = f"; {count(n, 'other')} {'adds' if n == 1 else 'add'} to it too" if n else ""
        return f"{name_of(best)} adds to confidence: AUROC {_shown(best)}{_aside(best.added)}{others}"
    if also is not None:
        return f"No heatmap adds to confidence, but the indicator {also.name} does{_aside(also.added)}"
    if not found:
        return "What controls and indicators add to confidence"
    best = max(found, key=_gained)
    if best.finding == CONTROL_TOO:
        control = _vetoing(audit, best)
        named = f"the control {name_of(control)}" if control is not None else "a control"
        return f"What {name_of(best)} adds to confidence, {named} adds too"
    equalled = any(m.finding == CONTROL_TOO for m in found)
    return (
        f"No heatmap adds to what confidence {'and a control tell' if equalled else 'tells'}: "
        f"the best, {name_of(best)}, AUROC {_shown(best)}"
    )


def _gaining(rows: Iterable[GroupRow]) -> str:
    """What it means that a control gains; empty where none does with its whole interval."""
    found = [row for row in rows if row.control and row.known[0] is not None and row.known[0].above(0)]
    if not found:
        return ""
    names = listing(f"{row.name}/{row.note}" for row in found)
    told = f"Here {names} gain{'s' * (len(found) == 1)}: then the score, and not the heatmap, knows something"
    if any((row.name, row.note) == ("zero", "multiply") for row in found):
        told += " (zeros multiplied are a blank picture: how far the logits are from those of a blank one)"
    return f"{told}. "


def _aside(added: Mapping[str, Added]) -> str:
    told = reservation(added)
    return f"{',' if limits(added) else ';'} {told}" if told else ""


def _heatmaps(audit: Audit) -> list[MethodSummary]:
    """Those with a gain, at every scale."""
    return [m for m in audit.methods if not m.control and gain(m.added) is not None]


def _vetoing(audit: Audit, method: MethodSummary) -> MethodSummary | None:
    """The control that adds as well, as the verdicts found it."""
    return next((m for m in audit.methods if m.control and m.label == method.equalled_by), None)


def _drawn(audit: Audit) -> list[MethodSummary]:
    """Those at the scale that figures show; of others what adds, the best, and the control against it."""
    found = _heatmaps(audit)
    needed = [m for m in found if m.finding == ADDS]
    if found:
        best = max(found, key=_gained)
        control = _vetoing(audit, best) if best.finding == CONTROL_TOO else None
        needed += [m for m in (best, control) if m is not None]
    return [
        m
        for m in audit.methods
        if gain(m.added) is not None and (m.scale == audit.scale or any(m is one for one in needed))
    ]


def _named(method: MethodSummary) -> str:
    return method.name if method.scale == 1 else f"{method.name} x{method.scale:g}"


def _shown(method: MethodSummary) -> str:
    return signed(interval(gain(method.added)))


def _gained(method: MethodSummary) -> float:
    known = gain(method.added)
    return known.value if known is not None else float("-inf")


def _order(row: GroupRow) -> tuple[bool, float, str, str]:
    known = row.known[0]
    return row.control, -known.value if known is not None else 0.0, row.name, row.note
