"""Kang 2019's figure 4: what distinguishes two similar classes, by masks for the one and for the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from heatlift.agreement import agreement
from heatlift.data import Item
from heatlift.images import batches
from heatlift.masked import UNDESIRABLE
from heatlift.report.undesirable.outcomes import Outcome, read_outcomes
from heatlift.report.undesirable.summary import read_undesirable
from heatlift.report.wording import bounds_text, count, signed, value_text
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.kang2019.examples import classes_of
from heatlift.reproduce.kang2019.pictures import READING, Tile, original, strips, taken
from heatlift.reproduce.kang2019.stages import WEIGHTS, Stages
from heatlift.reproduce.networks import Used
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.run.evolutions import Evolutions
from heatlift.statistics import mean
from heatlift.wording import class_name, number
from heatlift.zoo import load

IMAGES = 12
"""Images whose second class is likeliest; the first of them is drawn."""

BATCH = 16

PRINTED = "0.721"
"""Of the class that is predicted, a tusker."""


@dataclass(frozen=True)
class Contest:
    """An image with the class that comes second, and both probabilities."""

    item: Item
    second: int
    p_first: float
    p_second: float


def figure_4(stages: Stages) -> Part:
    """Masks for the class that is predicted and for the one that comes second."""
    network = stages.networks[0]
    contests = closest(stages, network)
    data = stages.chosen("similar", [one.item for one in contests], [one.second for one in contests])
    first = stages.run("similar-first", network, data=data, factor=("target",), keep_steps="all")
    # The manifest's labels are the classes that come second.
    second = stages.run(
        "similar-second", network, data=data, factor=("target",), target="label", keep_steps="all"
    )
    (other,) = read_undesirable(second).factors
    gain, turned = other.figure("p_gain"), other.figure("predicted_after")
    told = f"{signed(value_text(gain, 3))} {bounds_text(gain, 3)}".strip()
    return Part(
        "figure-4",
        "Figure 4",
        f"F-TC changes the probability of the class that comes second by {told}; it then comes first on "
        f"{value_text(turned, 2)} of {count(other.n, 'image')}{too_few(other.n)}",
        "Of an image of a tusker (72.1%), F-TC for the African elephant blurs the end of the tusk, and the "
        "elephant’s probability rises: the mask shows what distinguishes two similar classes.",
        lines=(
            _first_line(contests),
            *(
                Line(words, None, known.as_json() if (known := other.figure(name)) is not None else None)
                for name, words in (
                    ("p_before", "Second class: probability before"),
                    ("p_after", "Second class: probability with F-TC for it"),
                    ("p_gain", "Second class: change of probability"),
                    ("predicted_after", "Share of the images on which it then comes first"),
                )
            ),
            _likeness(first, second),
        ),
        drawings=(_drawing(first, second, len(contests)),),
        differs=(
            *network.differs,
            *stages.differs,
            f"The paper shows one image of its choice. Here, of {count(stages.limit, 'image')} at most drawn "
            f"at random, the {count(len(contests), 'image')} whose second class is likeliest, those "
            "between whose two classes the network is least decided.",
            "Whether the regions are what a person would tell the classes apart by is not measured.",
            "In the report of the run similar-second the labels are the classes that come second, not the "
            "truth.",
            WEIGHTS,
        ),
        runs=("runs/similar-first", "runs/similar-second"),
    )


def closest(stages: Stages, network: Used) -> list[Contest]:
    """The images whose second class has the highest probability, that one first; equal ones by name.

    Raises:
        HeatliftError: no image can be read.
    """
    classifier = load(network.spec).in_float32()
    items, found = stages.sample(classifier), []
    done = 0
    for batch in batches(items, classifier.framing, BATCH):
        done += len(batch.items) + len(batch.failed)
        stages.progress(done, len(items), "figure-4, looking for similar classes")
        if not batch.items:
            continue
        with torch.no_grad():
            shares = classifier(batch.images.to(classifier.device)).softmax(dim=1).cpu()
        values, classes = shares.topk(2, dim=1)
        for item, p, top in zip(batch.items, values.tolist(), classes.tolist(), strict=True):
            if np.isfinite(p).all():
                found.append(Contest(item, top[1], p[0], p[1]))
    # Rounded, so that a machine's last bits do not choose another image when a run goes on.
    return sorted(found, key=lambda one: (-round(one.p_second, 4), one.item.name))[: stages.few(IMAGES)]


def _first_line(contests: Sequence[Contest]) -> Line:
    p = contests[0].p_first if contests else None
    return Line(
        "The image drawn: probability of the class that is predicted",
        PRINTED,
        None if p is None else {"value": p, "low": None, "high": None, "n": 1},
        "another image, and other classes",
    )


def _pairs(first: Path, second: Path) -> list[tuple[Outcome, Outcome]]:
    others = {one.image: one for one in read_outcomes(second)}
    return [(one, others[one.image]) for one in read_outcomes(first) if one.image in others]


def _likeness(first: Path, second: Path) -> Line:
    """How much the masks for the two classes of an image have in common."""
    kept = Evolutions(first), Evolutions(second)
    values = []
    for one, _ in _pairs(first, second):
        mine, theirs = (each.final(f"target/{one.image}")[0].astype(np.float64) for each in kept)
        found = agreement(mine, theirs, UNDESIRABLE).correlation
        values += [] if found is None else [found]
    return Line(
        "Correlation of the masks for the two classes",
        None,
        mean(np.array(values)).as_json() if values else None,
        "near 0: other regions stand in the way of the one than of the other",
    )


def _drawing(first: Path, second: Path, among: int) -> Drawing:
    """The photograph, and what stands in the way of each of its two classes."""
    pairs = sorted(_pairs(first, second), key=lambda pair: pair[0].image)  # numbered in their order
    if not pairs:
        return Drawing(strips([], "figure-4", "Nothing to show"), "No image has both masks.")
    one, other = pairs[0]
    classes, source = classes_of(first), original(first, one.image)
    names = [class_name(each.target, classes) for each in (one, other)]
    rows = [
        (
            "",
            [
                Tile(
                    source,
                    (
                        "photograph",
                        f"{names[0]} {number(one.p_before)}",
                        f"{names[1]} {number(other.p_before)}",
                    ),
                ),
                _tile(source, first, one, names[0]),
                _tile(source, second, other, names[1]),
            ],
        )
    ]
    caption = (
        f"{one.image}: the image whose second class is likeliest. In the middle what F-TC takes away for "
        f"{names[0]}, which is predicted; on the right for {names[1]}. {READING}"
    )
    return Drawing(strips(rows, "figure-4", f"Masks for {names[0]} and for {names[1]}"), caption)


def _tile(source: str, run: Path, one: Outcome, name: str) -> Tile:
    words = (f"for {name}", f"p {number(one.p_before)} → {number(one.p_after)}")
    return Tile(source, words, taken(run, "target", one.image))
