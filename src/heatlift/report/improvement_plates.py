"""Whether heatmaps help the classifier: the label's probability before and after, and over the scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from heatlift.report.added_plates import spanning
from heatlift.report.distributions import Axis
from heatlift.report.findings import DONE, tally
from heatlift.report.known import Known
from heatlift.report.plate import GroupRow, Groups, Plate, Role, ScalePanel, Scales
from heatlift.report.plates import MOST_APART, by_gap, cut, drawable
from heatlift.report.records import Improvement, MethodSummary
from heatlift.report.summary import Audit
from heatlift.report.wording import interval, span

KINDS: tuple[tuple[str, Role], ...] = (("correct", "correct"), ("wrong", "wrong"))
MOST_PANELS = 18
"""Small panels in one figure."""

SCALED = {"add": "x + s h", "multiply": "(1 − s) x + s x × h"}
"""The picture that the classifier sees, by operation."""

CHANGE_AXIS = "mean change of the label’s probability (right: helps)"
RAISED_AXIS = "share of images whose label gains (right: helps)"


def improvement_plates(audit: Audit) -> tuple[Plate, ...]:
    """The mean change, the share of images that gain, and the curves over the scale, for each operation."""
    operations = list(dict.fromkeys(m.operation for m in audit.methods))
    return tuple(
        plate
        for kind in (_change_plates, _raised_plates, _scale_plates)
        for place, operation in enumerate(operations)
        for plate in kind(audit, operation, f"help-{place}")
    )


def _change_plates(audit: Audit, operation: str, identity: str) -> Iterator[Plate]:
    methods, series = _drawn(audit, operation)
    if series:
        yield _plate(
            f"{identity}-change",
            f"{DONE.get(operation, operation)}: over all images, the label’s mean probability rises, with "
            f"its whole interval, for {_risen(methods)}",
            methods,
            series,
            _change,
            CHANGE_AXIS,
            0.0,
        )


def _raised_plates(audit: Audit, operation: str, identity: str) -> Iterator[Plate]:
    methods, series = _drawn(audit, operation)
    if series:
        more = [_clear(m, _raised, 0.5) for m in methods]
        yield _plate(
            f"{identity}-raised",
            f"{DONE.get(operation, operation)}: the label gains in more than half of all images for "
            f"{tally(methods, more)}",
            methods,
            series,
            _raised,
            RAISED_AXIS,
            0.5,
        )


def _drawn(audit: Audit, operation: str) -> tuple[list[MethodSummary], tuple[tuple[str, Role], ...]]:
    """The heatmaps under an operation, and the kinds of images of which something is known."""
    methods = [m for m in by_gap(audit.shown) if m.operation == operation and m.improvement]
    return methods, tuple(kind for kind in KINDS if any(_change(m, kind[0]) is not None for m in methods))


def _plate(
    identity: str,
    title: str,
    methods: Sequence[MethodSummary],
    series: Sequence[tuple[str, Role]],
    take: Callable[[MethodSummary, str], Known | None],
    label: str,
    line: float,
) -> Plate:
    drawn = drawable(methods, MOST_APART)
    rows = tuple(GroupRow(m.name, "", m.control, tuple(take(m, kind) for kind, _ in series)) for m in drawn)
    sizes = ", ".join(f"{span(_sizes(drawn, kind))} {kind}" for kind, _ in series)
    shares = line == 0.5
    return Plate(
        identity,
        title,
        f"Images that were predicted correctly and wrongly before, apart; controls below the rule. Bars: "
        f"95% {'intervals (Wilson)' if shares else 'bootstrap intervals'}; n = {sizes}."
        f"{cut(len(drawn), len(methods))}",
        f"{label}: "
        + "; ".join(
            f"{row.name}: "
            + ", ".join(
                f"{kind} {interval(known)}" for (kind, _), known in zip(series, row.known, strict=True)
            )
            for row in rows
        ),
        Groups(
            rows,
            tuple(series),
            Axis(-0.04, 1.04) if shares else spanning((k for row in rows for k in row.known), line),
            label,
            line,
        ),
    )


def _scale_plates(audit: Audit, operation: str, identity: str) -> Iterator[Plate]:
    methods, series = _drawn(audit, operation)
    scales = tuple(sorted({m.scale for m in audit.methods}))
    if len(scales) < 2 or not series:
        return
    found = {(m.name, m.scale): m for m in audit.methods if m.operation == operation}
    panels = tuple(
        ScalePanel(
            m.name,
            m.control,
            tuple(
                tuple(_change(found[m.name, s], kind) if (m.name, s) in found else None for s in scales)
                for kind, _ in series
            ),
        )
        for m in drawable(methods, MOST_PANELS)
    )
    ends = [[found[m.name, s] for m in methods if (m.name, s) in found] for s in (scales[0], scales[-1])]
    yield Plate(
        f"{identity}-scales",
        f"{DONE.get(operation, operation)}: the label gains on average for {_risen(ends[0])} at scale "
        f"{scales[0]:g}, for {_risen(ends[1])} at {scales[-1]:g}",
        "The scale s is how far one goes from the image x (0) to what the operation makes of it (1): "
        f"{SCALED.get(operation, 'x + s times the change')}. One panel for each heatmap, controls last; mean "
        "change of the label’s probability, bars: 95% bootstrap "
        f"intervals.{cut(len(panels), len(methods))}",
        "Change of the label’s probability over the scale. "
        + "; ".join(
            f"{panel.name}: "
            + ", ".join(
                f"{kind} {interval(values[0])} to {interval(values[-1])}"
                for (kind, _), values in zip(series, panel.known, strict=True)
            )
            for panel in panels
        ),
        Scales(scales, panels, series, "mean change of the label’s probability"),
    )


def _part(method: MethodSummary, kind: str) -> Improvement | None:
    return method.improvement.get(kind)


def _change(method: MethodSummary, kind: str) -> Known | None:
    part = _part(method, kind)
    return part.delta_p_label if part is not None else None


def _raised(method: MethodSummary, kind: str) -> Known | None:
    part = _part(method, kind)
    return part.raised_share if part is not None else None


def _risen(methods: Sequence[MethodSummary]) -> str:
    return tally(methods, [_clear(m, _change, 0.0) for m in methods])


def _clear(method: MethodSummary, take: Callable[[MethodSummary, str], Known | None], line: float) -> bool:
    known = take(method, "all")
    return known is not None and known.above(line)


def _sizes(methods: Sequence[MethodSummary], kind: str) -> list[int]:
    return [part.n for m in methods if (part := _part(m, kind)) is not None]
