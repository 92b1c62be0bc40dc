"""What a run's figures show, before it is put into words: one rule a function, stated in its docstring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heatlift.comparison import Comparison, holm
from heatlift.statistics import Figure

ENOUGH = 30
"""Wrong images, and correct ones, below which nothing is concluded."""

SIGNIFICANT = 0.05
"""For Holm's corrected p-values."""

ZERO_TOLERANCE = 1e-6
"""How far from 0 the CO score of an unchanged image may be before the audit counts as broken."""

NO_LABELS = "no labels: without them only label-free figures can be given"


@dataclass(frozen=True)
class Finding:
    """What the verdicts need to know of one method (or control) under one operation.

    ``n`` counts usable images; ``compared`` is its label-free score beside confidence, None where a
    class has fewer than two images; ``largest_co`` is the largest absolute CO score of any image.
    """

    method: str
    operation: str
    control: bool
    n: int
    n_correct: int
    n_wrong: int
    auroc_label: Figure
    compared: Comparison | None
    largest_co: float

    @property
    def name(self) -> str:
        return f"{self.method}/{self.operation}"

    @property
    def too_few(self) -> str | None:
        """Why nothing is concluded from it, if so."""
        return too_few(self.n, self.n_correct, self.n_wrong)

    @property
    def tells_more(self) -> bool:
        """From enough images, more than confidence does, before any correction for many looks."""
        return not self.too_few and self.compared is not None and self.compared.tells_more


def too_few(n: int, n_correct: int, n_wrong: int) -> str | None:
    """Nothing is concluded from fewer than 30 wrong images, or fewer than 30 correct ones.

    ``n`` usable images, of which ``n_correct + n_wrong`` have a label. None if there are enough.
    """
    if n == 0:
        return "nothing to say: no image could be used"
    if n_correct + n_wrong == 0:
        return NO_LABELS
    if n_wrong < ENOUGH:
        return f"too few errors to say ({n_wrong})"
    if n_correct < ENOUGH:
        return f"too few correct images to say ({n_correct})"
    return None


def corrected(findings: Sequence[Finding]) -> dict[str, float]:
    """Holm's p-value, by name, of every method (not control) with enough images: does it beat confidence?

    It is two-sided, which pays for reading a score whose AUROC lies below 0.5 backwards (negated).
    """
    tested = [
        (finding.name, finding.compared.p)
        for finding in findings
        if finding.compared and not finding.control and not finding.too_few
    ]
    return dict(zip((name for name, _ in tested), holm([p for _, p in tested]), strict=True))


def discoveries(findings: Sequence[Finding]) -> dict[str, Comparison]:
    """The methods (not controls) that tell more than confidence does, with their comparisons.

    Those whose AUROC's 95% interval lies above 0.5, in the direction in which the score is read, whose
    paired difference to confidence's AUROC lies above 0, whose `corrected` p-value is below 0.05, and
    that no control equals (`telling_control`).
    """
    p = corrected(findings)
    return {
        finding.name: finding.compared
        for finding in findings
        if finding.compared
        and finding.compared.tells_more
        and p.get(finding.name, 1.0) < SIGNIFICANT
        and telling_control(findings, finding.operation) is None
    }


def telling_control(findings: Sequence[Finding], operation: str) -> Finding | None:
    """A control that tells more than confidence does under an operation, uncorrected; the best of several.

    Where there is one, what a method tells under that operation can't be its explanation's doing.
    """
    found = [one for one in findings if one.control and one.operation == operation and one.tells_more]
    return max(found, key=lambda one: one.compared.read.value or 0.0 if one.compared else 0.0, default=None)


def equalling_control(finding: Finding, findings: Sequence[Finding]) -> Finding | None:
    """The control (not zero) that separates as well as a method does when the label is used, if any.

    Its auroc_label's interval excludes 0.5 on the same side, under the same operation, and its AUROC is
    at least as far from 0.5; given enough images. Of several, the one farthest from 0.5.
    """
    distance = (finding.auroc_label.value or 0.5) - 0.5

    def equals(control: Finding) -> bool:
        label = control.auroc_label
        same_side = label.above(0.5) if distance > 0 else label.below(0.5)
        return same_side and abs((label.value or 0.5) - 0.5) >= abs(distance)

    found = [
        one
        for one in findings
        if one.control and one.method != "zero" and one.operation == finding.operation and not one.too_few
    ]
    return max(filter(equals, found), key=lambda one: abs((one.auroc_label.value or 0.5) - 0.5), default=None)


def broken_findings(findings: Sequence[Finding]) -> list[Finding]:
    """The zero controls whose CO score is not 0, although they change no pixel: trust nothing."""
    return [finding for finding in findings if unchanged(finding) and finding.largest_co > ZERO_TOLERANCE]


def unchanged(finding: Finding) -> bool:
    """x + 0 is x; x * 0 is a blank picture, and no such check."""
    return finding.control and finding.method == "zero" and finding.operation == "add"
