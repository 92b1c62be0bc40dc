"""The tables below an audit's questions: own signals, what scores add, what they do to the classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from heatlift.report.findings import name_of
from heatlift.report.records import DESIGNS, Added, MethodSummary
from heatlift.report.summary import SIGNALS, Audit
from heatlift.report.tables import Cell, Column, Row, Table, cell, gain, p_cell, spoken
from heatlift.report.wording import value_text
from heatlift.wording import NOTHING, clean, number

FIGURES: Mapping[str, tuple[str, int]] = {
    "auroc": ("AUROC", 2),
    "within": ("Within classes", 2),
    "ks": ("KS", 2),
    "accuracy_at 0.5": ("Accuracy of surest 50%", 3),
    "accuracy_at 0.8": ("Surest 80%", 3),
    "accuracy_at 0.9": ("Surest 90%", 3),
    "aurc": ("AURC", 3),
    "augrc": ("AUGRC", 3),
    "fpr95": ("FPR95", 2),
}
"""The figures of anything that ranks images, their names and decimals."""

KINDS = ("all", "correct", "wrong")
"""The images that an improvement is told of."""


def signals_table(audit: Audit) -> Table | None:
    """The classifier's own signals and the indicators; None where no figure of theirs is known."""
    ranked = {name: (SIGNALS.get(name, ""), figures) for name, figures in audit.baselines.items()}
    ranked |= {one.name: (clean(one.verdict), one.figures) for one in audit.indicators}
    kept = [key for key in FIGURES if any(figures.get(key) for _, figures in ranked.values())]
    if not kept:
        return None
    return Table(
        "What ranks the images without any heatmap, with 95% intervals; KS with p. AURC, AUGRC and FPR95: "
        f"lower is better; the others: higher.{_temperature(audit)}",
        (Column("Signal", numeric=False), *(Column(FIGURES[key][0]) for key in kept)),
        tuple(
            Row(False, (Cell(clean(name), about), *(cell(figures.get(key), FIGURES[key][1]) for key in kept)))
            for name, (about, figures) in ranked.items()
        ),
        "The classifier’s own signals",
    )


def added_table(audit: Audit) -> Table | None:
    """What each score adds in every design; None where none was computed."""
    scored: list[tuple[str, str, bool, Mapping[str, Added], float | None]] = [
        (name_of(m), "control" if m.control else "", m.control, m.added, m.p_corrected)
        for m in audit.methods
        if m.added
    ]
    scored += [
        (one.name, "indicator", False, one.added, one.p_corrected) for one in audit.indicators if one.added
    ]
    kept = [design for design in DESIGNS if any(gain(added, design) for _, _, _, added, _ in scored)]
    if not kept:
        return None
    return Table(
        "AUROC gained beside other signals, with 95% intervals: beside confidence; beside all of the "
        "classifier’s own signals; and, where there are few classes, beside confidence with the predicted "
        "class or the label known. p: likelihood ratio, beside confidence; corrected for all scores tested "
        "(Holm).",
        (
            Column("Score", numeric=False),
            *(Column(DESIGNS[design]) for design in kept),
            Column("AURC beside confidence"),
            Column("p"),
            Column("p, corrected"),
            Column("Images"),
        ),
        tuple(
            Row(
                control,
                (
                    Cell(clean(name), kind),
                    *(_added(added.get(design)) for design in kept),
                    cell(added["confidence"].aurc if "confidence" in added else None, 3),
                    p_cell(added["confidence"].p if "confidence" in added else None),
                    p_cell(corrected),
                    _images(added),
                ),
            )
            for name, kind, control, added, corrected in scored
        ),
        "What every score adds",
    )


def improvement_table(audit: Audit) -> Table | None:
    """What applying each heatmap does to the label's probability and to the accuracy; None without labels."""
    methods = [m for m in audit.methods if m.accuracy_after is not None or m.improvement]
    if not methods:
        return None
    columns: dict[Column, Callable[[MethodSummary], Cell]] = {
        Column("Heatmap", numeric=False): lambda m: Cell(clean(name_of(m)), "control" if m.control else ""),
        **{Column(f"Label gains, {kind}"): partial(_share, kind) for kind in KINDS},
        **{Column(f"Mean change, {kind}"): partial(_change, kind) for kind in KINDS},
        Column("Accuracy before → after"): _accuracy,
        Column("Turned right"): partial(_turned, True),
        Column("Turned wrong"): partial(_turned, False),
        Column("McNemar’s p"): lambda m: p_cell(m.turned.p if m.turned else None),
    }
    found = spoken(
        "The share of images whose label’s probability rises, its mean change, over all images and those "
        "predicted correctly and wrongly before; predictions that turned, and how likely that is by chance "
        "(McNemar’s test). With 95% intervals. Intervals and p are of each heatmap by itself, not corrected "
        "for the number of rows: of twenty that change nothing, one is expected to seem to.",
        columns,
        methods,
        "What every heatmap changes",
    )
    return found if len(found.columns) > 1 else None


def _temperature(audit: Audit) -> str:
    fitted = audit.temperature
    if fitted is None:
        return ""
    halves = f" ({' and '.join(map(number, fitted.halves))} on two halves)" if fitted.halves else ""
    calibrated = (
        f"; on images it was not fitted to, the mean log-loss goes from {number(fitted.before)} to "
        f"{number(fitted.after)}"
        if fitted.before is not None and fitted.after is not None
        else ""
    )
    return f" Temperature {number(fitted.value)}{halves}{calibrated}."


def _added(design: Added | None) -> Cell:
    if design is None or design.auroc is None:
        return Cell(NOTHING)
    return cell(design.auroc, 3)


def _images(added: Mapping[str, Added]) -> Cell:
    known = gain(added)
    return Cell(NOTHING) if known is None else Cell(f"{known.n:,}", value=known.n)


def _share(kind: str, method: MethodSummary) -> Cell:
    part = method.improvement.get(kind)
    return cell(part.raised_share if part else None, 2)


def _change(kind: str, method: MethodSummary) -> Cell:
    part = method.improvement.get(kind)
    if part is None:
        return cell(method.delta_p_label if kind == "all" else None, 3)
    return cell(part.delta_p_label, 3)


def _accuracy(method: MethodSummary) -> Cell:
    before, after = method.accuracy_before, method.accuracy_after
    if before is None or after is None:
        return Cell(NOTHING)
    return Cell(f"{value_text(before, 2)} → {value_text(after, 2)}", cell(after, 2).detail, after.value)


def _turned(right: bool, method: MethodSummary) -> Cell:
    if method.turned is None:
        return Cell(NOTHING)
    n = method.turned.right if right else method.turned.wrong
    return Cell(f"{n:,}", value=n)
