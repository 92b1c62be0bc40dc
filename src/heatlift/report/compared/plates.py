"""What each figure of several audits shows: its title (the finding), its caption; not yet drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heatlift.report.compared.runs import Beside, Heatmap
from heatlift.report.compared.words import SIGNIFICANT
from heatlift.report.distributions import Axis
from heatlift.report.known import Known, known_figure
from heatlift.report.plate import GroupRow, Groups, IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.wording import count, interval, signed, value_text
from heatlift.statistics import Figure

MOST_ROWS = 40
"""Heatmaps in one figure; the table has all."""


def accuracy_plate(beside: Beside) -> Plate | None:
    """Every run's accuracy on the shared images, and the differences to the first; None without labels."""
    if not beside.accuracies:
        return None
    first, *others = beside.sides
    accuracies = [_known(beside.accuracies[0].first), *(_known(found.other) for found in beside.accuracies)]
    rows = [
        IntervalRow(side.short, False, known)
        for side, known in zip(beside.sides, accuracies, strict=True)
        if known is not None
    ]
    differences = [
        IntervalRow(other.short, False, known)
        for other, found in zip(others, beside.accuracies, strict=True)
        if (known := _known(found.difference)) is not None
    ]
    panels = [
        IntervalPanel(
            tuple(rows), _axis([row.known for row in rows], None), "Accuracy (higher: more often right)"
        )
    ]
    if differences:
        label = f"Accuracy minus that of {first.short}"
        panels.append(
            IntervalPanel(tuple(differences), _axis([row.known for row in differences], 0.0), label)
        )
    return Plate(
        "accuracy",
        _accuracy_title(beside),
        f"n = {count(beside.accuracies[0].first.n, 'image')} with a label that every run could use. Above: "
        "Wilson’s 95% intervals. Below: the same images in pairs, so the interval of a difference may be "
        "narrower than the two above suggest; right of 0 the run is right more often than the first.",
        "; ".join(f"{row.name}: {interval(row.known, 3)}" for row in (*rows, *differences)),
        Intervals(tuple(panels)),
    )


def _accuracy_title(beside: Beside) -> str:
    first, *others = beside.sides
    if len(others) == 1:
        found, other = beside.accuracies[0], others[0]
        value = found.difference.value or 0.0
        better, worse = (other, first) if value > 0 else (first, other)
        if found.turned.p < SIGNIFICANT:
            more = value_text(Known(abs(value), None, None, found.first.n), 2)
            return (
                f"{better.short} is right on more of the images than {worse.short}: accuracy {signed(more)}"
            )
        return f"No clear difference in accuracy between {first.short} and {other.short}"
    clear = [
        f"{other.short} {'above' if (found.difference.value or 0) > 0 else 'below'}"
        for other, found in zip(others, beside.accuracies, strict=True)
        if found.turned.p < SIGNIFICANT
    ]
    if not clear:
        return f"No run is clearly more or less accurate than {first.short}"
    return f"Accuracy against {first.short}: {', '.join(clear)}"


def change_plates(beside: Beside) -> tuple[Plate, ...]:
    """How each heatmap changes the label's probability in the first run and in another, a figure for each."""
    return tuple(_two_runs(beside, "delta_p_label", "changes"))


def auroc_plates(beside: Beside) -> tuple[Plate, ...]:
    """How well each heatmap's label-free score tells correct from wrong, likewise."""
    return tuple(_two_runs(beside, "auroc_label_free", "aurocs"))


def _two_runs(beside: Beside, figure: str, identity: str) -> Iterator[Plate]:
    ordered = sorted(beside.heatmaps, key=lambda row: (row.control, -_value(row.figures(figure)[0])))
    scale = beside.sides[0].audit.scale
    shown = [row for row in ordered if any(row.figures(figure)) and row.summaries[0].scale == scale]
    cut = f" The first {MOST_ROWS} of {len(shown)}; the table has all." if len(shown) > MOST_ROWS else ""
    first = beside.sides[0]
    for place, other in enumerate(beside.sides[1:], 1):
        rows = tuple(
            GroupRow(
                row.summaries[0].name,
                row.summaries[0].operation,
                row.control,
                (row.figures(figure)[0], row.figures(figure)[place]),
            )
            for row in shown[:MOST_ROWS]
        )
        if not rows:
            return
        known = [each for row in rows for each in row.known if each is not None]
        changes = figure == "delta_p_label"
        words = (
            f"Filled: {first.name}; hollow: {other.name}, each on all of its own images. Grey: controls that "
            f"explain nothing. Bars: 95% bootstrap intervals.{cut}"
        )
        yield Plate(
            f"{identity}-{place}",
            _changes_title(beside, place)
            if changes
            else _auroc_title(shown, first.short, other.short, place),
            words,
            "; ".join(
                f"{row.name}/{row.note}: {interval(row.known[0])} and {interval(row.known[1])}"
                for row in rows
            ),
            Groups(
                rows,
                ((first.short, "ink"), (other.short, "hollow")),
                _axis(known, 0.0) if changes else _axis(known, 0.5),
                "Mean change of the label’s probability"
                if changes
                else "AUROC without the label (line: chance)",
                0.0 if changes else 0.5,
            ),
        )


def _changes_title(beside: Beside, place: int) -> str:
    """For how many heatmaps the paired difference to the first run is beyond chance, one at a time."""
    first, other = beside.sides[0], beside.sides[place]
    found = [row.differences[place - 1] for row in beside.heatmaps if not row.control]
    known = [difference for difference in found if difference is not None]
    up, down = sum(each.above(0) for each in known), sum(each.below(0) for each in known)
    if not known:
        return f"How heatmaps change the label’s probability in {first.short} and {other.short}"
    if not up and not down:
        return (
            f"No heatmap clearly does more for the label’s probability in {other.short} than in {first.short}"
        )
    of = count(len(known), "heatmap")
    return (
        f"Of {of}, {up} do{'es' * (up == 1)} more for the label’s probability in {other.short} than in "
        f"{first.short}, {down} less"
    )


def _auroc_title(rows: Sequence[Heatmap], first: str, other: str, place: int) -> str:
    def best(at: int) -> str:
        known = [
            figure.value
            for row in rows
            if not row.control and (figure := row.figures("auroc_label_free")[at]) is not None
        ]
        return f"{max(known):.2f}" if known else "–"

    return f"The best AUROC of a heatmap without the label: {best(0)} in {first}, {best(place)} in {other}"


def _axis(known: Sequence[Known], zero: float | None) -> Axis:
    """Holds every interval, and the line where nothing differs."""
    ends = [end for each in known for end in (each.value, each.low, each.high) if end is not None]
    ends += [] if zero is None else [zero]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 0.05
    return Axis(low - pad, high + pad)


def _value(known: Known | None) -> float:
    return known.value if known is not None else float("-inf")


def _known(figure: Figure) -> Known | None:
    return known_figure(figure.as_json())
