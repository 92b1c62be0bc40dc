"""What the figures show, in words: every title is computed from the figures it stands above.

Whether a difference is more than chance is for the verdicts of `heatlift.run.verdicts`; a title that goes
against confidence therefore only names the two numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from heatlift.report.distributions import Distribution
from heatlift.report.summary import Audit, Known, MethodSummary
from heatlift.report.wording import count, interval, listing, value_text
from heatlift.run.evidence import ENOUGH
from heatlift.wording import number

DONE = {"add": "Added", "multiply": "Multiplied"}


def name_of(method: MethodSummary) -> str:
    """``saliency/add``, as the verdicts write it; ``saliency/add x0.3`` at another scale than 1."""
    return method.label


def enough(audit: Audit) -> bool:
    """Whether there are errors enough, and correct images enough, to conclude anything from them."""
    return min(audit.count("correct"), audit.count("wrong")) >= ENOUGH


def auroc_title(audit: Audit) -> str:
    """Does any heatmap's label-free score tell correct from wrong better than confidence?"""
    if not enough(audit):
        return (
            "Too few images to say whether a heatmap tells correct from wrong "
            f"({audit.count('correct'):,} correct, {audit.count('wrong'):,} wrong)"
        )
    plain = audit.confidence
    scored = [m for m in audit.shown if not m.control and m.auroc_label_free is not None]
    if not scored or plain is None:
        return "How well confidence and the controls tell correct from wrong"
    best, shown = max(scored, key=_read), value_text(plain, 2)
    if _read(best) <= plain.value:
        return f"No heatmap tells correct from wrong better than confidence does (AUROC {shown})"
    told = f"{name_of(best)}{_aside(best)}, has AUROC {_read(best):.2f}"
    if _clearly(best, plain):
        return f"The best heatmap, {told}; confidence has {shown}{_as_good(audit, best, plain)}"
    return (
        f"No heatmap tells correct from wrong clearly better than confidence does (AUROC {shown}): "
        f"the best, {told}"
    )


def backwards_note(audit: Audit) -> str:
    """A warning where a score only beats confidence read the other way round; empty otherwise."""
    plain = audit.confidence
    if plain is None or not enough(audit):
        return ""
    low = [m for m in audit.shown if m.auroc_label_free and 1 - m.auroc_label_free.value > plain.value]
    if not low:
        return ""
    best = max(low, key=_read)
    name = f"{name_of(best)} (a control)" if best.control else name_of(best)
    return (
        f"Read backwards, a low score meaning correct, {name} reaches {_read(best):.2f}. Where the "
        "errors fall in few classes, such a score may tell the classes apart rather than correct from wrong."
    )


def closer_title(audit: Audit, method: MethodSummary) -> str:
    """How much of one heatmap's gap needs the label."""
    label, free = method.auroc_label, method.auroc_label_free
    if label is None or free is None or not enough(audit):
        return f"The CO scores of {name_of(method)}, with the label and without"
    with_label, without = value_text(label, 2), value_text(free, 2)
    if label.above(0.5) and not free.above(0.5):
        return f"The gap of {name_of(method)} needs the label: AUROC {with_label} with it, {without} without"
    return f"{name_of(method)}: AUROC {with_label} with the label, {without} without"


def side_title(audit: Audit, method: MethodSummary, with_label: bool) -> str:
    """How one heatmap's scores rank correct against wrong images, on one side."""
    auroc = method.auroc_label if with_label else method.auroc_label_free
    side = "with the label" if with_label else "without the label"
    if auroc is None:
        return f"{name_of(method)}: median CO score {interval(method.co_predicted)}"
    if not enough(audit):
        return f"{name_of(method)}, {side}: too few images to compare correct with wrong"
    if auroc.above(0.5):
        told = "correct scores above wrong"
    elif auroc.below(0.5):
        told = "wrong scores above correct"
    else:
        told = "correct and wrong score alike"
    return f"{name_of(method)}, {side}: {told} (AUROC {value_text(auroc, 2)})"


def panel_title(audit: Audit, methods: Sequence[MethodSummary], operation: str, with_label: bool) -> str:
    """For how many heatmaps and controls of one operation one kind of image scores above the other."""
    means = f"{DONE.get(operation, operation)}, {'with' if with_label else 'without'} the label"
    aurocs = [m.auroc_label if with_label else m.auroc_label_free for m in methods]
    if not any(aurocs):
        gains = [m.co_predicted is not None and m.co_predicted.above(0) for m in methods]
        told = tally(methods, gains)
        return f"{means}: the median image’s prediction gains, with its whole interval, for {told}"
    if not enough(audit):
        return f"{means}: too few images to compare correct with wrong"
    above = [auroc is not None and auroc.above(0.5) for auroc in aurocs]
    below = [auroc is not None and auroc.below(0.5) for auroc in aurocs]
    if sum(above) >= sum(below):
        return f"{means}: correct scores above wrong for {tally(methods, above)}"
    return f"{means}: wrong scores above correct for {tally(methods, below)}"


def distribution_alt(what: str, distribution: Distribution) -> str:
    """A distribution for readers who cannot see it."""
    parts = (
        f"{kind} median {number(box.median)} (n = {box.n:,})" for kind, box in distribution.boxes.items()
    )
    return f"{what}: {', '.join(parts)}"


def tally(methods: Sequence[MethodSummary], hits: Sequence[bool]) -> str:
    """``5 of 6 heatmaps and 1 of 4 controls``."""
    parts = []
    for noun, control in (("heatmap", False), ("control", True)):
        group = [hit for method, hit in zip(methods, hits, strict=True) if method.control is control]
        if group:
            parts.append(f"{sum(group)} of {count(len(group), noun)}")
    return listing(parts)


def _value(figure: Known | None) -> float:
    return figure.value if figure is not None else 0.0


def _aside(method: MethodSummary) -> str:
    return " read backwards" if _value(method.auroc_label_free) < 0.5 else ""


def _as_good(audit: Audit, best: MethodSummary, plain: Known) -> str:
    """The best control under the same operation, where it too is above confidence; empty otherwise."""
    controls = [m for m in audit.shown if m.control and m.operation == best.operation and m.auroc_label_free]
    control = max(controls, key=_read, default=None)
    if control is None or _read(control) <= plain.value:
        return ""
    return f", and the control {name_of(control)}{_aside(control)} {_read(control):.2f}"


def _clearly(method: MethodSummary, plain: Known) -> bool:
    """The paired difference to confidence lies above 0; read backwards, the interval above confidence."""
    auroc, difference = method.auroc_label_free, method.auroc_difference
    if auroc is not None and auroc.value < 0.5:
        return auroc.below(1 - plain.value)
    return difference is not None and difference.above(0)


def _read(method: MethodSummary) -> float:
    """The label-free AUROC in the direction in which it tells more."""
    value = _value(method.auroc_label_free)
    return max(value, 1 - value)
