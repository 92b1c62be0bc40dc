"""An explanation's page as plain data: words, tables, and pictures that live inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import heatlift
from heatlift.report.explanation import words
from heatlift.report.explanation.figure import written
from heatlift.report.explanation.panels import (
    draw_change,
    draw_gradcam,
    draw_photograph,
    draw_saliency,
    styled,
)
from heatlift.report.explanation.words import Standing
from heatlift.report.settings import Entry, Section
from heatlift.wording import clean, shorten

if TYPE_CHECKING:
    from heatlift.explanation import Change, Explanation, Seen

SIDE = 448
"""The longer side of a picture, in pixels: twice of what the page shows, for fine screens."""


@dataclass(frozen=True)
class View:
    """A picture with its words; without one the words say why."""

    title: str
    source: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Answer:
    """One change of the image: the question, the probability before and after, pictures, remarks, a table."""

    question: str
    headline: str
    target: str
    remarks: tuple[str, ...]
    views: tuple[View, ...]
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class ExplanationPage:
    """Everything that the page prints."""

    template: ClassVar[str] = "explanation.html.jinja"

    title: str
    verdict: str
    facts: tuple[Entry, ...]
    views: tuple[View, ...]
    standings: tuple[Standing, ...]
    answers: tuple[Answer, ...]
    caveats: tuple[str, ...]
    command: str
    settings: tuple[Section, ...]
    version: str


def build_explanation_page(explanation: Explanation) -> ExplanationPage:
    """Lay out an explanation as a page."""
    target = explanation.label if explanation.label is not None else explanation.predicted
    return ExplanationPage(
        title=words.title(explanation),
        verdict=" ".join(words.findings(explanation)),
        facts=tuple(_facts(explanation)),
        views=_views(explanation),
        standings=words.standings(explanation),
        answers=tuple(_answer(explanation, change) for change in explanation.changes),
        caveats=words.caveats(explanation),
        command="",
        settings=(Section("Model and settings", tuple(_settings(explanation, target))),),
        version=heatlift.__version__,
    )


def data_uri(content: bytes, kind: str) -> str:
    """A picture's file inside a text."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _views(explanation: Explanation) -> tuple[View, ...]:
    image, name = explanation.image, clean(explanation.name) or "the image"
    shown = _picture(image.shape[1:], lambda axes: draw_photograph(axes, image))
    seen = f"for {words.class_name(explanation, explanation.predicted)}"
    return (
        View(
            "The image, as it is shown",
            shown,
            f"The image {name}",
            f"{image.shape[2]} × {image.shape[1]} pixels.",
        ),
        _seen(
            explanation,
            explanation.saliency,
            View("Saliency", "", f"Saliency map {seen}", words.saliency_words(explanation)),
            lambda axes: draw_saliency(axes, explanation.saliency),
        ),
        _seen(
            explanation,
            explanation.gradcam,
            View("Grad-CAM", "", f"Grad-CAM map {seen}", words.gradcam_words(explanation)),
            lambda axes: draw_gradcam(axes, explanation.gradcam, image),
        ),
    )


def _seen(explanation: Explanation, seen: Seen, view: View, draw: Callable[[Axes], object]) -> View:
    if seen.heatmap is None:
        return View(view.title, "", "", f"Not shown: {clean(seen.why_not)}")
    largest = f"{float(seen.heatmap.abs().max()):.3g}"
    unit = f" {words.SALIENCY_UNIT}" if seen.method == "saliency" else ""
    caption = f"{view.caption} Largest absolute value: {largest}{unit}."
    return View(view.title, _picture(explanation.image.shape[1:], draw), view.alt, caption)


def _answer(explanation: Explanation, change: Change) -> Answer:
    image, size = explanation.image, explanation.image.shape[1:]
    blurs, target = change.kind == "undesirable", words.class_name(explanation, change.target)
    where, then = ("In the way", "With that blurred") if blurs else ("The spotlight", "With the spotlight")
    what = "what is blurred" if blurs else "what is brightened and darkened"
    return Answer(
        question=words.question(explanation, change),
        headline=words.headline(explanation, change),
        target=target,
        remarks=words.remarks(explanation, change),
        views=(
            View(
                where,
                _picture(size, lambda axes: draw_change(axes, change, image)),
                f"The image in pale grey with {what} for {target}",
                words.heatmap_words(change),
            ),
            View(
                then,
                _picture(size, lambda axes: draw_photograph(axes, change.image)),
                f"The changed image, probability of {target}: {words.headline(explanation, change)}",
                "What the network is shown then.",
            ),
        ),
        standings=words.standings(explanation, change),
    )


def _facts(explanation: Explanation) -> list[Entry]:
    facts = [_standing(explanation, "Predicted", explanation.predicted)]
    if explanation.label not in (None, explanation.predicted):
        facts.append(_standing(explanation, "Label", explanation.label or 0))
    return [*facts, Entry("Network", shorten(explanation.network["name"], 40))]


def _standing(explanation: Explanation, term: str, index: int) -> Entry:
    p = float(explanation.logits.softmax(0)[index])
    return Entry(term, shorten(words.class_name(explanation, index), 28), words.probability(p))


def _settings(explanation: Explanation, target: int) -> list[Entry]:
    about, framing, masks = explanation.network, explanation.network["preprocessing"], explanation.masks
    found = {
        "image": explanation.name or "a tensor",
        "network": about["name"],
        "parameters": f"{about['parameters']:,}",
        "preprocessing": f"resize {framing['resize']} ({framing['interpolation']}), mean {framing['mean']}, "
        f"std {framing['std']}",
        "second network": explanation.second or "none",
        "undesirable pixels": f"the stable preset, {masks.steps} steps, mean of {masks.restarts}",
        "spotlight": f"on {words.class_name(explanation, target)}, {explanation.lift.steps} steps",
        "seed": explanation.lift.seed,
    }
    return [Entry(term, shorten(text, 200)) for term, text in found.items()]


def _picture(size: tuple[int, ...], draw: Callable[[Axes], object]) -> str:
    """A panel by itself, in the image's shape."""
    height, width = size
    scale = SIDE / max(size)
    with styled():
        figure = Figure(figsize=(width * scale / 150, height * scale / 150))
        draw(figure.add_axes((0, 0, 1, 1)))
    file = io.BytesIO()
    written(figure, file, "webp", dpi=150)
    return data_uri(file.getvalue(), "webp")
