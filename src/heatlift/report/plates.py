"""What each figure of an audit's report shows: rows, title (the finding) and caption, not yet drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from heatlift.report import findings
from heatlift.report.distributions import Box, Distribution, Kind, Scores, shared_axis
from heatlift.report.plate import Boxes, BoxRow, DotRow, Dots, GroupRow, Hill, Hills, Plate
from heatlift.report.summary import Audit, Known, MethodSummary
from heatlift.report.wording import interval, span, value_text
from heatlift.wording import number

MOST_ROWS = 40
"""Lines in one figure; a run with more shows the first heatmaps, and the table shows all."""

MOST_APART = 24
"""Lines in a figure of which each operation has its own."""

Drawable = TypeVar("Drawable", MethodSummary, GroupRow)
ScoresOf: TypeAlias = Mapping[tuple[str, str], Scores]
Side: TypeAlias = tuple[str, Distribution | None, Known | None, str]

LABEL_AXIS = "CO score of the label (higher: surer of it)"
FREE_AXIS = "CO score of the prediction (higher: surer of it)"


def auroc_plate(audit: Audit) -> Plate | None:
    """Every heatmap and control against plain confidence: the report's first figure; None with no errors."""
    scored = [m for m in audit.shown if m.auroc_label_free is not None or m.auroc_label is not None]
    if not scored:
        return None
    ordered = drawable(sorted(scored, key=rank))
    rows = (
        *(DotRow(one.name, "indicator", False, one.figures.get("auroc")) for one in audit.indicators),
        *(DotRow(m.name, m.operation, m.control, m.auroc_label_free, m.auroc_label) for m in ordered),
    )
    plain = audit.confidence
    caption = (
        "Each line is a heatmap added to the image or multiplied with it. Filled: its CO score of the "
        "predicted class, all that a deployed system can have. Hollow: of the true label, as published. "
        "Right of the line for confidence, a score would tell more than the classifier’s own probability. "
        "Grey: controls that explain nothing. "
        f"{intervals(audit, (row.filled or row.hollow for row in rows))}"
    )
    alt = "; ".join(
        f"{findings.name_of(m)}: {value_text(m.auroc_label_free)} without the label, "
        f"{value_text(m.auroc_label)} with it"
        for m in ordered
    )
    return Plate(
        "auroc",
        findings.auroc_title(audit),
        " ".join(filter(None, (caption + cut(len(ordered), len(scored)), findings.backwards_note(audit)))),
        f"AUROC of correct against wrong. Confidence: {interval(plain)}. {alt}",
        Dots(rows, plain, ("without the label", "with the label")),
    )


def closer_plate(
    audit: Audit, method: MethodSummary, scores: Scores, confidence: Distribution | None
) -> Plate:
    """The first screen's second figure: one heatmap's scores with and without the label, above confidence."""
    plain = "Plain confidence", confidence, audit.confidence, "largest softmax probability"
    panels = tuple(
        Hill(title, found, auroc, axis)
        for title, found, auroc, axis in (*_sides(method, scores), plain)
        if found
    )
    return Plate(
        "closer",
        findings.closer_title(audit, method),
        f"The heatmap with the largest gap, beside plain confidence. {_hill_caption(panels)}",
        ". ".join(findings.distribution_alt(panel.title, panel.distribution) for panel in panels),
        Hills(panels),
    )


def side_plates(audit: Audit, method: MethodSummary, scores: Scores, identity: str) -> tuple[Plate, ...]:
    """One heatmap's CO scores as histograms, a figure with the label and one without it."""
    return tuple(
        Plate(
            f"{identity}-{'label' if with_label else 'free'}",
            findings.side_title(audit, method, with_label),
            _hill_caption((panel := Hill("", distribution, None, axis),)),
            findings.distribution_alt(title, distribution),
            Hills((panel,)),
        )
        for with_label, (title, distribution, _, axis) in zip(
            (True, False), _sides(method, scores), strict=True
        )
        if distribution is not None
    )


def _sides(method: MethodSummary, scores: Scores) -> tuple[Side, Side]:
    return (
        ("With the label", scores.with_label, method.auroc_label, LABEL_AXIS),
        ("Without the label", scores.label_free, method.auroc_label_free, FREE_AXIS),
    )


def _hill_caption(panels: Sequence[Hill]) -> str:
    sizes = _sizes(panel.distribution.boxes for panel in panels)
    compared = any(len(panel.distribution.boxes) > 1 for panel in panels)
    overlap = " The more the colours overlap, the less the score tells." if compared else ""
    return (
        f"Height: share of the images of that colour, {sizes}.{overlap} "
        "The outermost bars take in everything beyond them."
    )


def drawable(rows: Sequence[Drawable], most: int = MOST_ROWS) -> list[Drawable]:
    """As many as a figure has lines for; heatmaps drop out before controls, which they are judged by."""
    controls = [row for row in rows if row.control][: most // 2]
    return [row for row in rows if not row.control][: most - len(controls)] + controls


def cut(drawn: int, of: int) -> str:
    """What a caption says where not all rows are drawn; empty otherwise."""
    return f" {drawn} of {of} are drawn; the table has all." if drawn < of else ""


def intervals(audit: Audit, drawn: Iterable[Known | None]) -> str:
    """What a caption says of its figure's bars: over all images of the run, unless a row has fewer."""
    correct, wrong = audit.count("correct"), audit.count("wrong")
    fewer = any(known is not None and known.n < correct + wrong for known in drawn)
    aside = "; fewer where rows failed (the table has each)" if fewer else ""
    return f"Bars: 95% bootstrap intervals; n = {correct:,} correct, {wrong:,} wrong{aside}."


def box_plates(audit: Audit, scores: ScoresOf) -> tuple[Plate, ...]:
    """The paper's boxplots: a pair for each operation, with the label and without it, on one axis."""
    ordered = by_gap(audit.shown)
    return tuple(
        plate
        for number_, operation in enumerate(dict.fromkeys(m.operation for m in audit.shown))
        for plate in _pair(audit, ordered, operation, scores, f"boxes-{number_}")
    )


def _pair(
    audit: Audit, methods: Sequence[MethodSummary], operation: str, scores: ScoresOf, identity: str
) -> Iterator[Plate]:
    found = [m for m in methods if m.operation == operation and (m.name, operation) in scores]
    chosen = drawable(found, MOST_APART)
    sides = {True: _box_rows(chosen, scores, True), False: _box_rows(chosen, scores, False)}
    axis = shared_axis(box for rows in sides.values() for row in rows for box in row.boxes.values())
    for with_label, rows in sides.items():
        if not rows:
            continue
        yield Plate(
            f"{identity}-{'label' if with_label else 'free'}",
            findings.panel_title(audit, chosen, operation, with_label),
            "Box: the middle half; line: the median; whiskers: 5th to 95th percentile; dots: the most "
            f"extreme values, two on each side at most. {_sizes(row.boxes for row in rows)}."
            f"{cut(len(chosen), len(found))}",
            f"Boxplots of CO scores. {'; '.join(_row_alt(row) for row in rows)}",
            Boxes(rows, axis, LABEL_AXIS if with_label else FREE_AXIS),
        )


def rank(method: MethodSummary) -> tuple[bool, float, str, str]:
    """Heatmaps before controls, the best label-free AUROC first."""
    best = method.auroc_label_free.value if method.auroc_label_free else -1.0
    return method.control, -best, method.name, method.operation


def by_gap(methods: Sequence[MethodSummary]) -> list[MethodSummary]:
    """Heatmaps before controls, by the largest gap that a name has under any operation."""
    largest: dict[str, float] = {}
    for method in methods:
        gap = method.gap.value if method.gap else float("-inf")
        largest[method.name] = max(gap, largest.get(method.name, gap))
    return sorted(methods, key=lambda m: (m.control, -largest[m.name]))


def _box_rows(methods: Sequence[MethodSummary], scores: ScoresOf, with_label: bool) -> tuple[BoxRow, ...]:
    rows = []
    for method in methods:
        found = scores[method.name, method.operation]
        distribution = found.with_label if with_label else found.label_free
        if distribution is not None:
            rows.append(BoxRow(method.name, method.control, distribution.boxes))
    return tuple(rows)


def _sizes(found: Iterable[Mapping[Kind, Box]]) -> str:
    """``n = 264 correct, 36 wrong``: how many images of each kind the boxes or histograms show."""
    sizes: dict[Kind, list[int]] = {}
    for boxes in found:
        for kind, box in boxes.items():
            sizes.setdefault(kind, []).append(box.n)
    return "n = " + ", ".join(f"{span(n)} {'images' if kind == 'all' else kind}" for kind, n in sizes.items())


def _row_alt(row: BoxRow) -> str:
    return f"{row.name}: " + ", ".join(
        f"{kind} median {number(box.median)}" for kind, box in row.boxes.items()
    )
