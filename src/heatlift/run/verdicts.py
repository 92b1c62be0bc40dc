"""What the figures say, in words: one rule a function, stated in its docstring.

The question is whether a score that needs no label says anything about the correctness of a prediction that
plain confidence does not say already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heatlift.added_value import Added
from heatlift.run.evidence import (
    ENOUGH,
    NO_LABELS,
    ZERO_TOLERANCE,
    Code,
    Finding,
    adding_control,
    broken_findings,
    corrected,
    discoveries,
    equalling_control,
    too_few,
    unchanged,
)
from heatlift.statistics import Figure

KNOWN = {"signals": "the classifier's other signals", "predicted_class": "the predicted class"}
"""What else is known of an image without its label, in words."""

OPEN = 0.02
"""A gain in AUROC that is worth a mention where it can't be excluded."""


def code(finding: Finding, findings: Sequence[Finding]) -> Code:
    """The verdict of one score in one word."""
    if finding.control:
        broken = unchanged(finding) and finding.largest_co > ZERO_TOLERANCE
        return "broken" if broken else "control"
    if finding.too_few == NO_LABELS:
        return "no_labels"
    if finding.too_few:
        return "too_few"
    if any(one is finding for one in discoveries(findings)):
        return "adds"
    if finding.seems_to_add and adding_control(findings, finding) is not None:
        return "control_too"
    return "nothing"


def verdict(finding: Finding, findings: Sequence[Finding]) -> str:
    """What one method's or indicator's score says beside plain confidence, and whose its gap is.

    - Too few images, or no labels: says so, nothing else.
    - Its gain seems real, but a control's does, too (`adding_control`): "adds ..., but so does the control".
    - Among `discoveries`: "adds: AUROC +0.03 [0.01, 0.05]". Where that is gone beside the classifier's
      other signals, or beside the predicted class, it says so.
    - Otherwise: "says nothing beyond confidence here", with the gain; with the p-value where only the
      correction for many looks speaks against it, and with what can't be excluded where that is 0.02 or more.
    - If its score with the label separates correct from wrong (interval excludes 0.5): where a control
      does so as well (`equalling_control`), "the gap is the label's"; otherwise, where the label-free
      score does not separate on the same side, "the gap needs the label".
    """
    few, added = finding.too_few, finding.beside_confidence
    if few or added is None:
        return few or NO_LABELS
    return _told(finding, added, findings) + _gap_aside(finding, findings)


def _told(finding: Finding, added: Added, findings: Sequence[Finding]) -> str:
    p, gain = corrected(findings), gain_text(added.auroc)
    kind = code(finding, findings)
    if kind == "adds":
        return f"adds: AUROC {gain}{_limits(finding)}"
    if kind == "control_too":
        control = adding_control(findings, finding)
        other = control.beside_confidence if control else None
        assert control is not None
        assert other is not None
        return (
            f"adds AUROC {gain}, but so does the control {control.method} ({gain_text(other.auroc)}): "
            "not the heatmap's doing"
        )
    told = f"says nothing beyond confidence here: AUROC {gain}"
    if finding.seems_to_add:
        return f"{told}, p = {p[finding.name]:.2g} after correction for {len(p)} looks"
    return told + _open([added])


def _open(tested: Sequence[Added]) -> str:
    """How large a gain can't be excluded, where that is worth a mention."""
    most = max((added.auroc.high or 0.0 for added in tested), default=0.0)
    return f"; up to +{most:.2f} can't be excluded" if most >= OPEN else ""


def _limits(finding: Finding) -> str:
    """Beside what else the gain is gone."""
    gone = " or ".join(KNOWN[design] for design in finding.limits)
    if gone:
        return f", but not beside {gone}"
    # Of one class there is nothing to tell apart, of many there are too few images for each.
    return (
        ""
        if finding.adds_beside("predicted_class")
        else "; whether it only tells classes apart was not tested"
    )


def _gap_aside(finding: Finding, findings: Sequence[Finding]) -> str:
    """Whose the gap between correct and wrong images is, where there is one."""
    label, free = finding.auroc_label, finding.auroc
    if label is None or not label.excludes(0.5):
        return ""
    control = equalling_control(finding, findings)
    if control is not None and control.auroc_label is not None:
        return (
            f"; the gap is the label's: {control.method} shows it too (AUROC {_number(control.auroc_label)})"
        )
    if (label.above(0.5) and free.above(0.5)) or (label.below(0.5) and free.below(0.5)):
        return ""
    return f"; the gap needs the label (AUROC {_number(label)} with it)"


def control_verdict(finding: Finding) -> str:
    """What a control shows.

    - zero, added, changes no pixel: every CO score must be 0, to 1e-6, or the audit itself is broken.
    - The others: whether the label alone separates correct from wrong (auroc_label's interval excludes
      0.5), and whether the label-free score seems to add to confidence, uncorrected.
    """
    if finding.n and unchanged(finding):
        if finding.largest_co > ZERO_TOLERANCE:
            return (
                f"BROKEN AUDIT: a zero heatmap changes nothing, yet its CO score reaches "
                f"{finding.largest_co:.3g} where it must be 0; trust no figure here"
            )
        return "control: CO is 0, as it must be for an unchanged image"
    few, label, added = finding.too_few, finding.auroc_label, finding.beside_confidence
    if few or label is None or added is None:
        return f"control: {few or NO_LABELS}"
    shown = _number(label)
    if label.excludes(0.5):
        shown = f"separates with the label at AUROC {shown}; so the label alone makes a gap"
    else:
        shown = f"does not separate with the label (AUROC {shown})"
    if finding.seems_to_add:
        shown += (
            f"; without it, adds to confidence (AUROC {gain_text(added.auroc)}), so such a result says "
            "little for a heatmap"
        )
    return f"control: {shown}"


def audit_verdict(findings: Sequence[Finding], n_ok: int, n_correct: int, n_wrong: int) -> str:
    """Whether any score here says more about correctness than plain confidence does, for the whole audit.

    A zero control with a CO score other than 0 overrules everything. Then come no usable image, no
    labels, too few images, and no score. Otherwise a score is named as adding only if it is among
    `discoveries`; the best one is that with the largest gain.
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
    gains = {
        one.name: (one, one.beside_confidence)
        for one in findings
        if not one.control and one.beside_confidence is not None
    }
    if not gains:
        return "No score could be compared with plain confidence: none has enough usable images."
    return _found(findings, gains)


def _found(findings: Sequence[Finding], gains: Mapping[str, tuple[Finding, Added]]) -> str:
    kept, tested = discoveries(findings), len(corrected(findings))
    if kept:
        best, added = gains[kept[0].name]
        raised = (
            f"{best.name}{', the best,' if len(kept) > 1 else ''} raises the AUROC from "
            f"{added.auroc_before:.2f} to {added.auroc_after:.2f} ({gain_text(added.auroc)})"
        )
        whole = [one.name for one in kept if not one.limits]
        if not whole:
            return (
                f"{_of(len(kept), tested, 'adds', 'add')} to plain confidence, but none to all else that "
                f"is known: {raised}{_limits(best)}."
            )
        also = f"; so {'do' if len(whole) > 2 else 'does'} {', '.join(whole[1:4])}" if whole[1:] else ""
        more = f" and {len(whole) - 4} more" if len(whole) > 4 else ""
        return (
            f"{_of(len(whole), tested, 'says', 'say')} something about correctness that plain confidence "
            f"does not: {raised}{_limits(best)}{also}{more}."
        )
    best, added = max(gains.values(), key=lambda pair: pair[1].auroc.value or 0.0)
    control = adding_control(findings, best)
    confidence = _interval(best.confidence)
    what = "heatmap" if all(one.operation for one in findings) else "heatmap or indicator"
    if best.seems_to_add and control is not None and control.beside_confidence is not None:
        return (
            f"No {what} here says anything about correctness beyond plain confidence that a control does not "
            f"say as well: {best.name} changes the AUROC of confidence, {confidence}, by "
            f"{gain_text(added.auroc)}, but {control.name}, which explains nothing, by "
            f"{gain_text(control.beside_confidence.auroc)}."
        )
    doubt = ""
    if best.seems_to_add:
        doubt = f", p = {corrected(findings)[best.name]:.2g} after correction for {tested} looks"
    return (
        f"No {what} here says anything about correctness beyond plain confidence: confidence alone has AUROC "
        f"{confidence}, and the best of {tested} scores, {best.name}, changes that by "
        f"{gain_text(added.auroc)}{doubt}{_open([one for _, one in gains.values()])}."
    )


def _of(found: int, tested: int, one: str, several: str) -> str:
    if tested == 1:
        return f"The one score tested {one}"
    return f"{found} of {tested} scores {one if found == 1 else several}"


def gain_text(gain: Figure) -> str:
    """``+0.03 [0.01, 0.05]``, with a third decimal where two would hide it."""
    if gain.value is None or gain.low is None or gain.high is None:
        return "unknown"
    places = 3 if min(abs(gain.low), abs(gain.value), abs(gain.high)) < 0.01 else 2
    # Rounded first, and 0 added: what rounds to nothing has no sign.
    value, low, high = (round(each, places) + 0.0 for each in (gain.value, gain.low, gain.high))
    return f"{value:+.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def _number(figure: Figure) -> str:
    return f"{figure.value:.2f}"


def _interval(figure: Figure) -> str:
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
