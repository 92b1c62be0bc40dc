"""What the figures say, in words: one rule a function, stated in its docstring.

The question is whether a heatmap's label-free score tells correct from wrong predictions better than
plain confidence does. Each score is tested on its own; nothing is said of adding it to confidence.
"""

from __future__ import annotations

from collections.abc import Sequence

from heatlift.comparison import Comparison
from heatlift.run.evidence import (
    ENOUGH,
    NO_LABELS,
    SIGNIFICANT,
    ZERO_TOLERANCE,
    Finding,
    broken_findings,
    corrected,
    discoveries,
    equalling_control,
    telling_control,
    too_few,
    unchanged,
)
from heatlift.statistics import Figure


def method_verdict(finding: Finding, findings: Sequence[Finding]) -> str:
    """A method's label-free score beside plain confidence, and whether its gap is the label's.

    - Too few images, or no labels: says so, nothing else.
    - Its intervals say more, but a control's under the same operation do, too (`telling_control`): "tells
      more ..., but so does the control".
    - Among `discoveries`: "tells more than confidence does". Where only the uncorrected intervals say
      so: "tells no more", with the p-value that says otherwise.
    - The difference's interval lies below 0 read forward and backward: "tells less".
    - Otherwise: "tells no more".
    - If its score with the label separates correct from wrong (interval excludes 0.5): where a control
      does so as well (`equalling_control`), "the gap is the label's"; otherwise, where the label-free
      score does not separate on the same side, "the gap needs the label".
    """
    compared = finding.compared
    few = finding.too_few
    if few or compared is None:
        return few or NO_LABELS
    told = _told(finding.name, compared, corrected(findings), telling_control(findings, finding.operation))
    return told + _gap_aside(finding, compared, findings)


def _gap_aside(finding: Finding, compared: Comparison, findings: Sequence[Finding]) -> str:
    """Whose the gap between correct and wrong images is, where there is one."""
    label, free = finding.auroc_label, compared.score
    if not label.excludes(0.5):
        return ""
    control = equalling_control(finding, findings)
    if control is not None:
        return (
            f"; the gap is the label's: {control.method} shows it too (AUROC {_number(control.auroc_label)})"
        )
    if (label.above(0.5) and free.above(0.5)) or (label.below(0.5) and free.below(0.5)):
        return ""
    return f"; the gap needs the label (AUROC {_number(label)} with it)"


def _told(name: str, compared: Comparison, p: dict[str, float], control: Finding | None) -> str:
    if compared.tells_more and control is not None:
        return (
            f"tells more than confidence does{_aside(compared)}: {_gain(compared)}; but so does the control "
            f"{control.method}: it is not the heatmap's doing"
        )
    if compared.tells_more and p[name] < SIGNIFICANT:
        return f"tells more than confidence does{_aside(compared)}: {_gain(compared)}"
    if compared.tells_more:
        return (
            f"tells no more than confidence does: {_gain(compared)}{_aside(compared)}, "
            f"but p = {p[name]:.2g} (Holm, {len(p)} tested)"
        )
    less = compared.difference.below(0) and compared.difference_reversed.below(0)
    backward = f" ({_number(compared.read)} read backwards)" if compared.backward else ""
    return (
        f"tells {'less' if less else 'no more'} than confidence does: "
        f"AUROC {_number(compared.score)}{backward} against {_number(compared.baseline)}"
    )


def control_verdict(finding: Finding) -> str:
    """What a control shows.

    - zero, added, changes no pixel: every CO score must be 0, to 1e-6, or the audit itself is broken.
    - The others: whether the label alone separates correct from wrong (auroc_label's interval excludes
      0.5), and whether the label-free score tells more than confidence does, uncorrected.
    """
    if finding.n and unchanged(finding):
        if finding.largest_co > ZERO_TOLERANCE:
            return (
                f"BROKEN AUDIT: a zero heatmap changes nothing, yet its CO score reaches "
                f"{finding.largest_co:.3g} where it must be 0; trust no figure here"
            )
        return "control: CO is 0, as it must be for an unchanged image"
    few = finding.too_few
    if few or finding.compared is None:
        return f"control: {few or NO_LABELS}"
    shown = _number(finding.auroc_label)
    if finding.auroc_label.excludes(0.5):
        shown = f"separates with the label at AUROC {shown}; so the label alone makes a gap"
    else:
        shown = f"does not separate with the label (AUROC {shown})"
    if finding.tells_more:
        shown += "; without it, tells more than confidence does, so such a result says little for a heatmap"
    return f"control: {shown}"


def audit_verdict(findings: Sequence[Finding], n_ok: int, n_correct: int, n_wrong: int) -> str:
    """Whether any heatmap here says more about correctness than plain confidence, for the whole audit.

    A zero control with a CO score other than 0 overrules everything. Then come no usable image, no
    labels, too few images, and no method. Otherwise a method is named as saying more only if it is
    among `discoveries`; the best one is that with the highest AUROC, in the direction in which it is
    read.
    """
    broken = broken_findings(findings)
    if broken:
        return (
            f"BROKEN AUDIT: a zero heatmap changes nothing, yet {broken[0].name} has CO scores up to "
            f"{max(finding.largest_co for finding in broken):.3g} where all must be 0. Trust no figure here."
        )
    if n_ok == 0:
        return "Nothing to say: no image could be used."
    few = too_few(n_ok, n_correct, n_wrong)
    if few == NO_LABELS:
        return (
            "Without labels only label-free figures can be given: whether any heatmap says more about "
            "correctness than plain confidence needs labelled images."
        )
    if few:
        return (
            f"{few[0].upper()}{few[1:]}: comparing heatmaps with plain confidence takes at least {ENOUGH} "
            "wrong and as many correct images."
        )
    tested = corrected(findings)
    if not tested:
        return "No heatmap method could be compared with plain confidence: none has enough usable images."
    kept = discoveries(findings)
    named = kept or {one.name: one.compared for one in findings if one.compared and one.name in tested}
    name, best = max(named.items(), key=lambda item: item[1].read.value or 0.0)
    own = f"{_interval(best.read)}{_aside(best)}"
    confidence = _interval(best.baseline)
    if kept:
        return (
            f"{len(kept)} of {len(tested)} label-free scores tested were found to say more about correctness "
            f"than plain confidence does (AUROC {confidence}): {name}, the best, has {own}, {_gain(best)}. "
            "Each was tested on its own; whether it only tells the predicted classes apart was not tested."
        )
    control = telling_control(findings, name.rpartition("/")[2])
    if best.tells_more and control is not None and control.compared is not None:
        return (
            "No heatmap here was found to say more about correctness than plain confidence does that a "
            f"control does not say as well: {name} has AUROC {own} against {confidence}, but so has "
            f"{control.name}, which explains nothing ({_interval(control.compared.read)}). Where the errors "
            "fall in few classes, such a score may tell the classes apart."
        )
    return (
        "No heatmap here was found to say more about correctness than plain confidence does: confidence "
        f"has AUROC {confidence}; the best label-free score of {len(tested)} tested, {name}, has {own}. "
        "Each was tested on its own, not added to confidence."
    )


def _aside(compared: Comparison) -> str:
    return " read backwards (a low score means correct)" if compared.backward else ""


def _number(figure: Figure) -> str:
    return f"{figure.value:.2f}"


def _interval(figure: Figure) -> str:
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _gain(compared: Comparison) -> str:
    """With a third decimal where two would hide it."""
    gain = compared.gain
    places = 3 if min(abs(gain.low or 0), abs(gain.value or 0)) < 0.01 else 2
    return f"{gain.value:+.{places}f} [{gain.low:.{places}f}, {gain.high:.{places}f}]"
