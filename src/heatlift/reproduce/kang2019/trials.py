"""Kang 2019's figures 2 and 3: whether masks come again when all that is random is drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from heatlift.report.figures import draw
from heatlift.report.known import Known, known_figure
from heatlift.report.plate import IntervalPanel, IntervalRow, Intervals, Plate
from heatlift.report.undesirable.summary import FactorSummary, Undesirable, read_undesirable
from heatlift.report.wording import count, interval
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.kang2019.pictures import READING, Tile, original, strips, taken
from heatlift.reproduce.kang2019.stages import WEIGHTS, Stages
from heatlift.reproduce.kang2019.tables import axis_of
from heatlift.reproduce.networks import Used
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.run.tables import read_table
from heatlift.run.undesirable_summary import AGREE
from heatlift.statistics import mean
from heatlift.wording import number

TRIALS = 5
"""Masks of each image; the paper does not say how many it made."""

IMAGES = 12
"""Images of which so many are made."""

SHOWN = 3
"""Trials of one image that are drawn."""

MEASURES: Mapping[str, str] = {
    "correlation": "correlation of 1 − M′ (1: the same mask)",
    "iou_top": "IoU of the 4% of the pixels that are taken away most",
    "iou": "IoU of the pixels above 0.6",
}


def figure_2(stages: Stages) -> Part:
    """Without a factor."""
    run = _run(stages)
    found = read_undesirable(run)
    (plain,) = _of(found, "none")
    word = _judged(plain.agreement.get("correlation"))
    return Part(
        "figure-2",
        "Figure 2",
        f"Without a factor, {TRIALS} trials’ masks of an image {word}: correlation "
        f"{_correlation(plain)}{too_few(plain.n)}",
        "With total variation and L1 alone, each trial gives another mask, so that the explanation is not "
        "consistent.",
        lines=tuple(_lines(plain)),
        drawings=(_shown(stages, run, ("none",), "figure-2"), _agreement([plain], "figure-2-agreement")),
        differs=_differs(stages, found),
        runs=_runs(),
    )


def figure_3(stages: Stages) -> Part:
    """With F-TC and F-NTC."""
    run = _run(stages)
    found = read_undesirable(run)
    factors = [*_of(found, "target"), *_of(found, "non_target")]
    told = [f"{f.name} {_correlation(f)}, they {_judged(f.agreement.get('correlation'))}" for f in factors]
    return Part(
        "figure-3",
        "Figure 3",
        f"Correlation of two trials’ masks: {'; '.join(told)}{too_few(factors[0].n)}",
        "F-TC and F-NTC give consistent masks in each trial, where masks without a factor differ (figure 2).",
        lines=(*(line for f in factors for line in _lines(f)), *_paired(run)),
        drawings=(
            _shown(stages, run, ("target", "non_target"), "figure-3"),
            _agreement([*factors, *_of(found, "none")], "figure-3-agreement"),
        ),
        differs=_differs(stages, found),
        runs=_runs(),
    )


def _run(stages: Stages) -> Path:
    return stages.run(
        "trials",
        stages.networks[0],
        factor=("none", "target", "non_target"),
        trials=TRIALS,
        limit=stages.few(IMAGES),
        keep_steps="all",
    )


def _of(found: Undesirable, factor: str) -> Iterator[FactorSummary]:
    return (one for one in found.factors if one.factor == factor)


def _correlation(factor: FactorSummary) -> str:
    return interval(factor.agreement.get("correlation"), 2)


def _judged(correlation: Known | None) -> str:
    """In a word, by the same bound as a run's own verdict."""
    if correlation is None or correlation.low is None or correlation.high is None:
        return "can’t be compared"
    if correlation.low >= AGREE:
        return "agree"
    return "do not agree" if correlation.high < AGREE else "agree in part"


def _lines(factor: FactorSummary) -> Iterator[Line]:
    pairs = f"{count(factor.pairs, 'pair')} of trials"
    for name, words in MEASURES.items():
        known = factor.agreement.get(name)
        note = pairs
        if name == "iou" and factor.both_empty:
            note += f", of which {factor.both_empty:,} are empty against empty and not scored"
        yield Line(f"{factor.heading}: {words}", None, known.as_json() if known is not None else None, note)


def _paired(run: Path) -> Iterator[Line]:
    """By how much a factor's masks agree better than those of the same images without one."""
    by_image = correlations(run)
    for factor, name in (("target", "F-TC"), ("non_target", "F-NTC")):
        both = by_image["none"].keys() & by_image[factor].keys()
        gains = np.array([by_image[factor][image] - by_image["none"][image] for image in sorted(both)])
        figure = mean(gains).as_json() if len(gains) else None
        yield Line(
            f"{name}: correlation more than without a factor", None, figure, "the same images, in pairs"
        )


def correlations(run: Path) -> dict[str, dict[str, float]]:
    """Of each factor and image the mean correlation over its pairs of trials; flat masks have none.

    Raises:
        HeatliftError: the table is missing or damaged.
    """
    found: dict[str, dict[str, list[float]]] = {"none": {}, "target": {}, "non_target": {}}
    for row in read_table(run, "agreement").to_pylist():
        if row["correlation"] is not None:
            found[row["factor"]].setdefault(row["image"], []).append(row["correlation"])
    return {
        factor: {image: float(np.mean(values)) for image, values in of_image.items()}
        for factor, of_image in found.items()
    }


def typical(run: Path) -> str | None:
    """The image whose masks without a factor agree as much as the (lower) median; None where none has two."""
    ordered = sorted(correlations(run)["none"].items(), key=lambda one: (one[1], one[0]))
    return ordered[(len(ordered) - 1) // 2][0] if ordered else None


def _shown(stages: Stages, run: Path, factors: Sequence[str], identity: str) -> Drawing:
    """One image's masks, trial by trial."""
    image, names = typical(run), {"none": "no factor", "target": "F-TC", "non_target": "F-NTC"}
    if image is None:
        return Drawing(strips([], identity, "Nothing to show"), "No image has two masks to compare.")
    network = stages.networks[0]
    item = stages.item(network, image)
    data = stages.chosen("trials", [item], [item.label])
    # The masks of a run's further trials are not kept.
    folders = [
        run,
        *(_again(stages, network, data, place) for place in range(1, SHOWN)),
    ]
    source = original(run, image)
    rows = []
    for factor in factors:
        tiles = []
        for place, folder in enumerate(folders):
            (row,) = (
                row
                for row in read_table(folder, "undesirable").to_pylist()
                if row["factor"] == factor and row["trial"] == 0 and (place or row["image"] == image)
            )
            words = (f"trial {place + 1}", f"p {number(row['p_before'])} → {number(row['p_after'])}")
            tiles.append(Tile(source, words, taken(folder, factor, row["image"])))
        rows.append((names[factor], tiles))
    told = correlations(run)
    agree = ", ".join(f"{names[f]} {number(told[f].get(image))}" for f in factors)
    caption = (
        f"{image}: the image whose masks without a factor agree as much as the median of the "
        f"{count(len(told['none']), 'image')}. {READING} Mean correlation of its {TRIALS} trials’ masks: "
        f"{agree}. p: probability of the class, before and after. The "
        "first trial is one of those measured; the others are from further seeds."
    )
    return Drawing(strips(rows, identity, f"Masks of {image} in {SHOWN} trials"), caption)


def _again(stages: Stages, network: Used, data: str, place: int) -> Path:
    """Masks of the image that is drawn, from another seed."""
    return stages.run(
        f"trials-again-{place}",
        network,
        data=data,
        factor=("none", "target", "non_target"),
        seed=(stages.request.seed + place) % 2**63,
        keep_steps="all",
    )


def _agreement(factors: Sequence[FactorSummary], identity: str) -> Drawing:
    """Means over images, with intervals."""
    words = {"correlation": "correlation", "iou_top": "IoU, top 4%", "iou": "IoU, > 0.6"}
    rows = tuple(
        IntervalRow(f"{words[name]}, {factor.name}", factor.factor == "none" and len(factors) > 1, known)
        for factor in factors
        for name in MEASURES
        if (known := factor.agreement.get(name)) is not None
    )
    caption = (
        "Means over the images of the means over their pairs of trials, with 95% intervals. 1: the same "
        f"mask; 0: no more alike than by chance, or no pixel in common. n: {count(factors[0].n, 'image')}."
    )
    if not rows:
        return Drawing(strips([], identity, "Nothing to show"), "No two masks could be compared.")
    alt = "; ".join(f"{row.name}: {interval(row.known)}" for row in rows)
    content = Intervals(
        (IntervalPanel(rows, axis_of(rows, 1.0), "Agreement of two trials (higher: more alike)"),)
    )
    return Drawing(draw(Plate(identity, "", caption, alt, content)), caption)


def _differs(stages: Stages, found: Undesirable) -> tuple[str, ...]:
    n = known_figure({"value": 0, "n": found.counts.get("ok") or 0})
    shown = n.n if n is not None else 0
    return (
        *stages.networks[0].differs,
        *stages.differs,
        f"The paper shows one image and judges by eye. Here it is {count(shown, 'image')} drawn at random, "
        f"and {TRIALS} trials of each, with numbers; the image drawn is chosen by them.",
        f"Trials are said to agree where the interval of their correlation lies above {AGREE:g}, and not to "
        "where it lies below: a bound of ours.",
        WEIGHTS,
    )


def _runs() -> tuple[str, ...]:
    return ("runs/trials", *(f"runs/trials-again-{place}" for place in range(1, SHOWN)))
