"""What there is to say about an explanation: the same words for the picture, the page and the terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from heatlift.wording import clean, shorten

if TYPE_CHECKING:
    from heatlift.explanation import Change, Explanation

TOP = 5
"""Classes shown; the label and the class that a change raises are shown in any case."""

LONGEST = 32
"""Characters of a class name."""

SALIENCY_UNIT = "logits per unit of brightness"

NEXT_TO_NOTHING = 0.01
"""A change of a probability below this is called so."""


@dataclass(frozen=True)
class Standing:
    """One class among those that a network holds most likely.

    Attributes:
        rank: from 1.
        name: the class.
        before: its probability on the image as it is.
        after: the same on the changed image; None where nothing was changed.
        role: ``label``, ``both`` where that is predicted of the image as it is, ``wrong`` where another class
            is, ``predicted`` where no label is known; else nothing.
    """

    rank: int
    name: str
    before: float
    after: float | None
    role: str = ""

    @property
    def shown(self) -> float:
        """The probability that the bar stands for."""
        return self.before if self.after is None else self.after

    @property
    def figures(self) -> str:
        """``0.23``, or ``0.23 → 0.71``."""
        after = "" if self.after is None else f" → {probability(self.after)}"
        return f"{probability(self.before)}{after}"

    @property
    def tag(self) -> str:
        """What is remarkable about the class, in words."""
        predicted = "predicted" if self.after is None else "predicted before"
        tags = {"label": "label", "both": f"label, {predicted}", "wrong": predicted, "predicted": predicted}
        return tags.get(self.role, "")


def probability(value: float) -> str:
    """A probability that is not rounded to certainty.

    >>> probability(0.4321), probability(0.0042), probability(0.99995), probability(0.00001)
    ('0.43', '0.004', '>0.999', '<0.001')
    """
    if value < 0.001:
        return "<0.001"
    if value > 0.999:
        return ">0.999"
    return f"{value:.2f}" if 0.0095 <= value < 0.995 else f"{value:.3f}"


def class_name(explanation: Explanation, index: int) -> str:
    """The first of a class's names; with its number where another class has the same one."""
    names = explanation.network.get("classes")
    if names is None:
        return f"class {index}"
    firsts = [clean(name.split(",")[0]) for name in names]
    name = shorten(firsts[index], LONGEST) or f"class {index}"
    return name if Counter(firsts)[firsts[index]] == 1 else f"{name} ({index})"


def standings(explanation: Explanation, change: Change | None = None) -> tuple[Standing, ...]:
    """The classes that the network holds most likely, on the image or on the changed one."""
    before = explanation.logits.softmax(0).tolist()
    after = None if change is None else change.logits.softmax(0).tolist()
    order = (explanation.logits if change is None else change.logits).argsort(descending=True).tolist()
    also = {explanation.label, None if change is None else change.target} - {None, *order[:TOP]}
    shown = sorted({*order[:TOP], *also}, key=order.index)
    return tuple(
        Standing(
            rank=order.index(index) + 1,
            name=class_name(explanation, index),
            before=before[index],
            after=None if after is None else after[index],
            role=_role(explanation, index),
        )
        for index in shown
    )


def title(explanation: Explanation) -> str:
    """What the network sees, and whether it is right."""
    sees = _quoted(explanation, explanation.predicted)
    p = probability(_p(explanation.logits, explanation.predicted))
    if explanation.label is None:
        return f"It sees {sees}, with probability {p}"
    if explanation.label == explanation.predicted:
        return f"It sees {sees}, rightly, with probability {p}"
    label = _quoted(explanation, explanation.label)
    return (
        f"It sees {sees} ({p}), but it is {label} ({probability(_p(explanation.logits, explanation.label))})"
    )


def findings(explanation: Explanation) -> tuple[str, ...]:
    """What each change did, a sentence each."""
    return tuple(_finding(explanation, change) for change in explanation.changes)


def question(explanation: Explanation, change: Change) -> str:
    """What a change is the answer to."""
    target = _quoted(explanation, change.target)
    if change.kind == "undesirable":
        return f"What stands in the way of {target}, {_known_as(explanation, change.target)}"
    if change.target == explanation.predicted:
        return f"What would make it surer of {target}"
    return f"What would make it see {target}, {_known_as(explanation, change.target)}"


def headline(explanation: Explanation, change: Change) -> str:
    """The probability of the class before and after."""
    return " → ".join(map(probability, _before_after(explanation, change)))


def remarks(explanation: Explanation, change: Change) -> tuple[str, ...]:
    """What else there is to say about a change."""
    found = [_outcome(explanation, change), _extent(explanation, change)]
    if change.verified is not None and explanation.verified is not None:
        before, after = _p(explanation.verified, change.target), _p(change.verified, change.target)
        found.append(
            f"The second network, {shorten(explanation.second, 40)}: "
            f"{probability(before)} → {probability(after)}, which {_moved(before, after)}."
        )
    return tuple(found)


def saliency_words(explanation: Explanation) -> str:
    """How to read the saliency map."""
    return (
        f"How strongly each pixel moves the logit of {_quoted(explanation, explanation.predicted)}: "
        "the largest absolute gradient of its three channels."
    )


def gradcam_words(explanation: Explanation) -> str:
    """How to read the Grad-CAM map."""
    return (
        f"Evidence in the last feature map for {_quoted(explanation, explanation.predicted)} (red, solid "
        "line) and against it (blue, dashed line). The lines are at half of the colours’ limit."
    )


def heatmap_words(change: Change) -> str:
    """How to read a change's heatmap."""
    if change.kind == "undesirable":
        return f"Purple: what is blurred. {line_words(change)}"
    return (
        "Red, solid line: brightened; blue, dashed line: darkened (mean of the three channels). The lines "
        "are at half of the colours’ limit."
    )


def line_words(change: Change) -> str:
    """What the line in a mask's picture is, if there is one."""
    if not change.area:
        return "No line: nothing is blurred by more than 60%."
    return "The line surrounds what is blurred by more than 60%."


def caveats(explanation: Explanation) -> tuple[str, ...]:
    """What these answers are, and what they are not."""
    name = shorten(explanation.network["name"], 60)
    height, width = explanation.image.shape[1:]
    masks, lift = explanation.masks, explanation.lift
    several = "" if masks.restarts == 1 else f" (the mean of {masks.restarts})"
    fast = " (a quick look)" if explanation.fast else ""
    if explanation.second is None:
        second = "No second network was asked whether it agrees."
    else:
        second = (
            f"{shorten(explanation.second, 40)} took no part in making them; what it gains as well is not "
            "the first one's alone."
        )
    return (
        f"Probabilities are softmax values in float32 of {name} itself, before → after each change, on the "
        f"image as it is cut for it ({width} × {height} pixels).",
        f"Each change was optimised on this very network, a mask in {masks.steps} steps{several}, the "
        f"spotlight in {lift.steps}{fast}, seed {lift.seed}. "
        "It says what moves this network, and by itself nothing about the object. "
        f"{second}",
    )


def summary(explanation: Explanation) -> str:
    """The findings for a terminal."""
    lines = [title(explanation), ""]
    for change in explanation.changes:
        lines.append(f"{question(explanation, change)}: {headline(explanation, change)}")
        lines += [f"  {remark}" for remark in remarks(explanation, change)]
    for seen in (explanation.saliency, explanation.gradcam):
        if seen.heatmap is None:
            lines.append(f"left out: {seen.why_not}")
    return "\n".join(lines)


def _finding(explanation: Explanation, change: Change) -> str:
    target = _quoted(explanation, change.target)
    before, after = _before_after(explanation, change)
    if change.kind == "undesirable":
        what = f"Blurring away {_percent(change.taken)} of the image"
    else:
        what = "A spotlight"
    if abs(after - before) < NEXT_TO_NOTHING:
        return f"{what} does next to nothing for {target} ({headline(explanation, change)})."
    does = "raises" if after > before else "lowers"
    return f"{what} {does} {target} from {probability(before)} to {probability(after)}."


def _outcome(explanation: Explanation, change: Change) -> str:
    after, before = int(change.logits.argmax()), explanation.predicted
    if after == before:
        return f"The prediction stays {_quoted(explanation, before)}."
    right = ", which is right" if after == explanation.label else ""
    return f"The prediction becomes {_quoted(explanation, after)}{right}."


def _extent(explanation: Explanation, change: Change) -> str:
    if change.kind == "undesirable":
        if change.area:
            taken, area = _percent(change.taken), _percent(change.area)
            return f"{taken} of the image is blurred away, {area} of the pixels by more than 60%."
        return f"No pixel is blurred by more than {_percent(float(change.heatmap.max()))}."
    moved = (change.image - explanation.image).abs()
    most = float((change.heatmap - 1).abs().max())
    mean = _percent(float(moved.mean()))
    return f"A pixel changes by {mean} of full brightness on average, by {_percent(most)} of itself at most."


def _moved(before: float, after: float) -> str:
    if abs(after - before) < NEXT_TO_NOTHING:
        return "hardly moves"
    return "rises" if after > before else "falls"


def _known_as(explanation: Explanation, index: int) -> str:
    return {
        "both": "the prediction, which is right",
        "label": "the label",
        "wrong": "the prediction",
        "predicted": "the prediction",
    }.get(_role(explanation, index), "")


def _role(explanation: Explanation, index: int) -> str:
    if index == explanation.predicted:
        return {None: "predicted", index: "both"}.get(explanation.label, "wrong")
    return "label" if index == explanation.label else ""


def _before_after(explanation: Explanation, change: Change) -> tuple[float, float]:
    return _p(explanation.logits, change.target), _p(change.logits, change.target)


def _quoted(explanation: Explanation, index: int) -> str:
    return f"‘{class_name(explanation, index)}’"


def _p(logits: Tensor, index: int) -> float:
    return float(logits.double().softmax(0)[index])


def _percent(share: float) -> str:
    """
    >>> _percent(0.0), _percent(0.0123), _percent(0.42)
    ('0%', '1.2%', '42%')
    """
    return f"{100 * share:.2g}%" if share < 0.1 else f"{100 * share:.0f}%"
