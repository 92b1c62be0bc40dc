"""What a run's figures show, before it is put into words: one rule a function, stated in its docstring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from heatlift.added_value import Added
from heatlift.corrections import holm
from heatlift.statistics import Figure

ENOUGH = 30
"""Wrong images, and correct ones, below which nothing is concluded."""

FEWEST = 10
"""Images below which nothing is concluded of what is the same for all of them, such as a change or a mask."""

SIGNIFICANT = 0.05
"""For p-values, corrected where many scores are looked at."""

ZERO_TOLERANCE = 1e-6
"""How far from 0 the CO score of an unchanged image may be before the audit counts as broken."""

NO_LABELS = "no labels: without them only label-free figures can be given"

Code: TypeAlias = Literal["too_few", "no_labels", "nothing", "adds", "control_too", "control", "broken"]
"""A verdict in one word, for programs."""


@dataclass(frozen=True)
class Finding:
    """What the verdicts need to know of one score: a method's, a control's, or an indicator.

    Attributes:
        name: as `heatlift.run.columns.PairScores.name`, or the indicator's.
        operation: what was done with the heatmap; empty for an indicator, which no control answers for.
        scale: of the heatmap; 1 for an indicator.
        control: whether it is a control's.
        n, n_correct, n_wrong: usable images, and those with a label.
        auroc_label: of the score that uses the label; None for an indicator.
        auroc: of the label-free score.
        confidence: AUROC of plain confidence on the same images.
        added: what the label-free score adds, by design; None where there are too few images.
        largest_co: the largest absolute CO score of any image.
    """

    name: str
    operation: str
    scale: float
    control: bool
    n: int
    n_correct: int
    n_wrong: int
    auroc_label: Figure | None
    auroc: Figure
    confidence: Figure
    added: Mapping[str, Added | None] | None
    largest_co: float

    @property
    def method(self) -> str:
        """The method's or control's own name."""
        return self.name.rpartition("/")[0] if self.operation else self.name

    @property
    def too_few(self) -> str | None:
        """Why nothing is concluded from it, if so."""
        return too_few(self.n, self.n_correct, self.n_wrong)

    @property
    def beside_confidence(self) -> Added | None:
        """What it adds to plain confidence."""
        return None if self.added is None else self.added["confidence"]

    @property
    def seems_to_add(self) -> bool:
        """Before any correction for many looks: the gain's interval lies above 0, and p is below 0.05."""
        added = self.beside_confidence
        return added is not None and added.auroc.above(0) and added.p < SIGNIFICANT

    @property
    def limits(self) -> list[str]:
        """Beside what else, known of an image without its label, the gain is not there.

        That it is not there beside the true class is no limit: who knows more of the true class than the
        classifier does knows where it is wrong.
        """
        return [name for name in ("signals", "predicted_class") if self.adds_beside(name) is False]

    def adds_beside(self, design: str) -> bool | None:
        """Whether its gain's interval lies above 0 beside more than confidence; None if not tried."""
        found = None if self.added is None else self.added.get(design)
        return None if found is None else found.auroc.above(0)


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
    """Holm's p-value, by name, of every score with enough images, controls aside: does it add anything?"""
    tested = {
        one.name: one.beside_confidence.p for one in findings if not one.control and one.beside_confidence
    }
    return dict(zip(tested, holm(list(tested.values())), strict=True))


def discoveries(findings: Sequence[Finding]) -> list[Finding]:
    """The scores (controls aside) that add to confidence, those without `limits` first, then by their gain.

    Those whose gain in AUROC has its 95% interval above 0, whose `corrected` p-value is below 0.05, and
    that no control equals (`adding_control`).
    """
    p = corrected(findings)
    found = [
        one
        for one in findings
        if one.seems_to_add and p.get(one.name, 1.0) < SIGNIFICANT and adding_control(findings, one) is None
    ]
    return sorted(found, key=lambda one: (not one.limits, _gain(one)), reverse=True)


def adding_control(findings: Sequence[Finding], finding: Finding) -> Finding | None:
    """A control that adds to confidence under a score's operation and scale; the best of several.

    Its gain's interval lies above 0, and its p-value, corrected for the controls there, below 0.05. Where
    there is one, what a method adds in the same way can't be its explanation's doing.
    """
    there = [
        one
        for one in findings
        if one.control and (one.operation, one.scale) == (finding.operation, finding.scale)
    ]
    tested = {one.name: one.beside_confidence.p for one in there if one.beside_confidence}
    p = dict(zip(tested, holm(list(tested.values())), strict=True))
    found = [one for one in there if one.seems_to_add and p[one.name] < SIGNIFICANT]
    return max(found, key=_gain, default=None)


def _gain(finding: Finding) -> float:
    added = finding.beside_confidence
    return float("-inf") if added is None or added.auroc.value is None else added.auroc.value


def equalling_control(finding: Finding, findings: Sequence[Finding]) -> Finding | None:
    """The control (not zero) that separates as well as a method does when the label is used, if any.

    Its auroc_label's interval excludes 0.5 on the same side, under the same operation at the same scale,
    and its AUROC is at least as far from 0.5; given enough images. Of several, the one farthest from 0.5.
    """
    distance = _distance(finding)

    def equals(control: Finding) -> bool:
        label = control.auroc_label
        if label is None:
            return False
        same_side = label.above(0.5) if distance > 0 else label.below(0.5)
        return same_side and abs(_distance(control)) >= abs(distance)

    found = [
        one
        for one in findings
        if one.control
        and one.method != "zero"
        and (one.operation, one.scale) == (finding.operation, finding.scale)
        and not one.too_few
    ]
    return max(filter(equals, found), key=lambda one: abs(_distance(one)), default=None)


def _distance(finding: Finding) -> float:
    """Of its AUROC with the label from chance."""
    label = finding.auroc_label
    return 0.0 if label is None or label.value is None else label.value - 0.5


def broken_findings(findings: Sequence[Finding]) -> list[Finding]:
    """The zero controls whose CO score is not 0, although they change no pixel: trust nothing."""
    return [finding for finding in findings if unchanged(finding) and finding.largest_co > ZERO_TOLERANCE]


def unchanged(finding: Finding) -> bool:
    """x + 0 is x; x * 0 is a blank picture, and no such check."""
    return finding.control and finding.method == "zero" and finding.operation == "add"
