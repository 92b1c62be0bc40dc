"""Whether a score still tells correct from wrong among the images predicted to be one class."""

from __future__ import annotations

from collections.abc import Sequence

from heatlift.report.distributions import Axis
from heatlift.report.findings import enough, name_of
from heatlift.report.known import Known
from heatlift.report.plate import DotRow, Dots, GroupRow, Groups, Plate, Role
from heatlift.report.plates import cut, drawable, rank
from heatlift.report.records import MethodSummary
from heatlift.report.summary import Audit
from heatlift.report.wording import brief, interval, listing, value_text
from heatlift.wording import class_name


def class_plates(audit: Audit) -> tuple[Plate, ...]:
    """Pooled over the classes, then class by class; none where no class has errors enough."""
    if not audit.by_class:
        return ()
    return tuple(plate for plate in (_within_plate(audit), _by_class_plate(audit)) if plate is not None)


def _within(method: MethodSummary) -> Known | None:
    return method.figures.get("within")


def _within_plate(audit: Audit) -> Plate | None:
    scored = sorted((m for m in audit.shown if _within(m) is not None), key=rank)
    plain = audit.baselines.get("confidence", {}).get("within")
    if not scored:
        return None
    rows = tuple(
        DotRow(m.name, m.operation, m.control, _within(m), m.auroc_label_free) for m in drawable(scored)
    )
    counts = [row.filled.n for row in rows if row.filled is not None]
    fewer = "; fewer where rows failed (the table has each)" if min(counts) < max(counts) else ""
    return Plate(
        "within",
        _within_title(audit, scored, plain),
        "Filled: AUROC without the label over pairs of images that are predicted to be the same class. "
        "Hollow: over all pairs. Where the filled dot falls back to chance, the score told classes apart "
        f"rather than correct from wrong. Bars: 95% bootstrap intervals; n = {max(counts):,} images in such "
        f"pairs{fewer}."
        f"{cut(len(rows), len(scored))}",
        f"AUROC within predicted classes. Confidence: {interval(plain)}. "
        + "; ".join(f"{row.name} {row.note}: {interval(row.filled)}" for row in rows),
        Dots(rows, plain, ("same predicted class", "all pairs")),
    )


def _within_title(audit: Audit, scored: Sequence[MethodSummary], plain: Known | None) -> str:
    best = _best(scored, control=False)
    if best is None or not enough(audit):
        return "AUROC within predicted classes"
    known = _within(best)
    backwards = known is not None and known.value < 0.5
    value = f"{1 - known.value:.2f} read backwards" if known and backwards else value_text(known, 2)
    told = f"the best heatmap, {name_of(best)}, {value}"
    if plain is None:
        return f"Within predicted classes, {told}"
    return f"Within predicted classes, confidence has AUROC {value_text(plain, 2)}; {told}"


def _by_class_plate(audit: Audit) -> Plate | None:
    known = [m for m in audit.shown if any(one.methods.get(name_of(m)) for one in audit.by_class)]
    chosen = [m for m in (_best(known, control=False), _best(known, control=True)) if m is not None]
    named: list[tuple[str, Role]] = [("confidence", "all")]
    named += [(name_of(method), "control" if method.control else "ink") for method in chosen]
    series = [(brief(name, 20), role) for name, role in named]
    rows = tuple(
        GroupRow(
            class_name(one.index, audit.classes),
            f"{one.n_wrong}/{one.n_correct + one.n_wrong}",
            False,
            (one.confidence, *(one.methods.get(name_of(m)) for m in chosen)),
        )
        for one in audit.by_class
    )
    return Plate(
        "by-class",
        _by_class_title(rows, [name for name, _ in named]) if enough(audit) else "AUROC class by class",
        "The predicted classes with the most wrong images; beside each name, how many of the images "
        "predicted to be this class are wrong, of how many. The heatmap and the control are those "
        f"whose AUROC within classes is farthest from chance. Bars: 95% bootstrap "
        f"intervals.{_fewer(audit, rows)}",
        "; ".join(
            f"{row.name} ({row.note} wrong): "
            + ", ".join(
                f"{words} {interval(known)}" for (words, _), known in zip(series, row.known, strict=True)
            )
            for row in rows
        ),
        Groups(rows, tuple(series), Axis(-0.02, 1.02), "AUROC of correct against wrong", 0.5),
    )


def _by_class_title(rows: Sequence[GroupRow], series: Sequence[str]) -> str:
    """In how many classes each of the series is off chance, on either side, of those where it is known."""
    told = []
    for place, words in enumerate(series):
        known = [figure for row in rows if (figure := row.known[place]) is not None]
        off = sum(figure.above(0.5) or figure.below(0.5) for figure in known)
        told.append(f"in {off}{f' of {len(known)}' if len(known) < len(rows) else ''} by {words}")
    classes = "1 predicted class" if len(rows) == 1 else f"{len(rows)} predicted classes"
    return f"Of {classes}, correct and wrong differ with the whole interval {listing(told)}"


def _fewer(audit: Audit, rows: Sequence[GroupRow]) -> str:
    """Where a score failed at some of a class' images."""
    sizes = [one.n_correct + one.n_wrong for one in audit.by_class]
    short = [
        known.n < size
        for row, size in zip(rows, sizes, strict=True)
        for known in row.known
        if known is not None
    ]
    gone = any(known is None for row in rows for known in row.known)
    return (
        " Where rows failed, a figure is of fewer images, or missing where too few were left."
        if any(short) or gone
        else ""
    )


def _best(methods: Sequence[MethodSummary], control: bool) -> MethodSummary | None:
    """The one whose AUROC within predicted classes is farthest from chance, on either side."""

    def told(method: MethodSummary) -> float:
        known = _within(method)
        return abs(known.value - 0.5) if known is not None else -1.0

    return max((m for m in methods if m.control is control and _within(m)), key=told, default=None)
