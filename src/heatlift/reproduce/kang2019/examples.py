"""Kang 2019's figures 1 and 5: single images, chosen by rules that are stated, with numbers of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from heatlift.report.selection import evenly
from heatlift.report.undesirable.outcomes import Outcome, read_outcomes
from heatlift.report.undesirable.summary import FactorSummary, read_undesirable
from heatlift.report.wording import bounds_text, count, signed, value_text
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.kang2019.pictures import READING, Tile, blurred, original, strips, taken
from heatlift.reproduce.kang2019.stages import WEIGHTS, Stages
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.run.record import read_record
from heatlift.wording import class_name, number

IMAGES = 12
"""Images of which there are masks to choose from."""

EXAMPLES = 4
"""Images of figure 5 that are drawn."""


def figure_1(stages: Stages) -> Part:
    """Deleting what speaks for a class, beside blurring what is in its way."""
    raised = _improve(stages)
    lowered = stages.run(
        "delete",
        stages.networks[0],
        game="delete",
        factor=("none",),
        limit=stages.few(IMAGES),
        keep_steps="all",
    )
    (plus,), (minus,) = read_undesirable(raised).factors, read_undesirable(lowered).factors
    return Part(
        "figure-1",
        "Figure 1",
        f"The class’s probability changes by {_change(minus)} with the pixels deleted that it rests on, by "
        f"{_change(plus)} with undesirable ones blurred{too_few(plus.n)}",
        "Masks of Fong and Vedaldi find what a class rests on, and blurring that lowers its probability; "
        "blurring undesirable pixels raises it.",
        lines=(
            *_lines(minus, "Deletion (Fong and Vedaldi)"),
            *_lines(plus, "Undesirable pixels (F-TC)"),
        ),
        drawings=(_beside(lowered, raised),),
        differs=(
            *_common(stages, plus.n),
            "The deletion game has the weights and the blur of Kang 2019, not those of Fong and Vedaldi, so "
            "that the two masks differ in nothing but what they are to do.",
        ),
        runs=("runs/delete", "runs/improve"),
    )


def figure_5(stages: Stages) -> Part:
    """Examples of F-TC."""
    run = _improve(stages)
    (factor,) = read_undesirable(run).factors
    better = factor.figure("got_worse")
    share = (
        f"on {1 - better.value:.0%} of {count(better.n, 'image')} it does not fall" if better else "no image"
    )
    return Part(
        "figure-5",
        "Figure 5",
        f"F-TC changes the class’s probability by {_change(factor)}; {share}{too_few(factor.n)}",
        "F-TC highlights what is connected to the class, such as the body of a skier, and perturbing it "
        "raises the class’s probability.",
        lines=tuple(_lines(factor, "F-TC")),
        drawings=(_examples(run),),
        differs=(
            *_common(stages, factor.n),
            "Which of the regions mean anything to a person is not measured: nobody was asked.",
        ),
        runs=("runs/improve",),
    )


def _improve(stages: Stages) -> Path:
    return stages.run(
        "improve",
        stages.networks[0],
        factor=("target",),
        limit=stages.few(IMAGES),
        keep_steps="all",
    )


def _change(factor: FactorSummary) -> str:
    known = factor.figure("p_gain")
    return f"{signed(value_text(known, 3))} {bounds_text(known, 3)}".strip()


def _lines(factor: FactorSummary, name: str) -> Iterator[Line]:
    told = {
        "p_gain": "change of the class’s probability",
        "p_before": "probability before",
        "p_after": "probability after",
        "area": "share of the pixels above 0.6",
    }
    for figure, words in told.items():
        known = factor.figure(figure)
        yield Line(f"{name}: {words}", None, known.as_json() if known is not None else None)


def classes_of(run: Path) -> Sequence[str] | None:
    """The names of a run's classes."""
    model: dict[str, Any] = read_record(run)["model"]
    found: Sequence[str] | None = model.get("classes")
    return found


def _beside(lowered: Path, raised: Path) -> Drawing:
    """Both masks of the image whose probability has as far to go up as down."""
    ups = {outcome.image: outcome for outcome in read_outcomes(raised)}
    downs = {outcome.image: outcome for outcome in read_outcomes(lowered)}
    both = sorted(ups.keys() & downs.keys(), key=lambda image: (abs(ups[image].p_before - 0.5), image))
    if not both:
        return Drawing(strips([], "figure-1", "Nothing to show"), "No image has both masks.")
    image, classes = both[0], classes_of(raised)
    rows = [
        (
            f"deletion: what {class_name(downs[image].target, classes)} rests on",
            _tiles(lowered, downs[image]),
        ),
        (
            f"undesirable pixels: what stands in the way of {class_name(ups[image].target, classes)}",
            _tiles(raised, ups[image]),
        ),
    ]
    caption = (
        f"{image}: of {count(len(both), 'image')}, that whose class has a probability nearest to 0.5, with "
        f"as far to go up as down. {READING}"
    )
    return Drawing(strips(rows, "figure-1", f"Two masks of {image}"), caption)


def _examples(run: Path) -> Drawing:
    """Some images from the most to the least that is gained."""
    outcomes = sorted(read_outcomes(run), key=lambda one: (-one.gain, one.image))
    classes = classes_of(run)
    rows = [
        (
            f"{class_name(one.target, classes)}: {number(one.p_before)} → {number(one.p_after)}",
            _tiles(run, one),
        )
        for one in evenly(outcomes, EXAMPLES)
    ]
    caption = (
        f"{count(len(rows), 'image')} of {len(outcomes):,}, evenly spread from that whose class gains most "
        f"to that whose class gains least, not the best ones. {READING}"
    )
    return Drawing(strips(rows, "figure-5", "F-TC masks from the largest gain to the smallest"), caption)


def _tiles(run: Path, one: Outcome) -> list[Tile]:
    """The photograph, the mask over it, and what the network sees then."""
    source = original(run, one.image)
    return [
        Tile(source, ("photograph", f"p {number(one.p_before)}")),
        Tile(source, ("mask", f"above 0.6: {one.area or 0:.1%}"), taken(run, one.factor, one.image)),
        Tile(blurred(run, one.factor, one.image), ("blurred there", f"p {number(one.p_after)}")),
    ]


def _common(stages: Stages, n: int) -> tuple[str, ...]:
    return (
        *stages.networks[0].differs,
        *stages.differs,
        f"The paper shows single images and does not say how they were chosen. Here {count(n, 'image')} are "
        "drawn at random, the numbers are of all of them, and those in the figure are chosen by the rule "
        "below it.",
        WEIGHTS,
    )
