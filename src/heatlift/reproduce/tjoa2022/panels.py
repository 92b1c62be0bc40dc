"""Figure 5 of Tjoa 2022: GAX's heatmaps, one for each colour channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from heatlift.panel.colours import saturation
from heatlift.report.heatmaps import diverging
from heatlift.report.pictures import box, photograph, uri
from heatlift.reproduce.enough import too_few
from heatlift.reproduce.parts import Drawing, Line, Part
from heatlift.reproduce.tjoa2022.kept import Gax, Kept, gax_runs
from heatlift.reproduce.tjoa2022.stages import NO_XRAYS, Stages, differing
from heatlift.statistics import mean, share
from heatlift.wording import clean, number, shorten

CHANNELS = ("red", "green", "blue")
SIDE, GAP, HEAD, FOOT = 150.0, 8.0, 24.0, 26.0
OF_EACH = 2
"""Images of a run that are drawn."""


def figure_5(stages: Stages) -> Part:
    """Figure 5: the first images of each run that got there, of different classes."""
    runs = gax_runs(stages)
    rows = [row for run in runs for row in _chosen(run)]
    missing = (
        () if stages.request.chest_xray is not None else (f"X-rays: {NO_XRAYS[0].lower()}{NO_XRAYS[1:]}.",)
    )
    differs = differing((run.shown.told, run.shown.differs) for run in runs)
    negative = [float((one.heatmap < 0).mean()) for run in runs for one in run.kept()]
    rough = [roughness(one) for run in runs for one in run.kept()]
    told = (
        f"{np.mean(negative):.0%} of the values are negative, and neighbours differ {np.mean(rough):.1f} "
        f"times as much as in the image{too_few(len(negative))}"
        if negative
        else "no image was lifted"
    )
    return Part(
        "figure-5",
        "Figure 5",
        f"GAX’s heatmaps in the end: on average {told}",
        "Red raises a pixel, blue lowers it. Extreme intensities are optimised most, negative values emerge "
        "at higher scores, and shapes differ between healthy X-rays and pneumonia.",
        tuple(line for run in runs for line in _lines(run)),
        (_drawn(rows),) if rows else (),
        (
            *missing,
            *differs,
            "The images are not the paper’s: of each run’s correctly predicted images, in their random "
            f"order, the first of each class that reached the target, {OF_EACH} of a run.",
            "(A), the slider over the steps, is `heatlift view RUN`, and the runs’ reports.",
        ),
        tuple(stages.relative(run.folder) for run in runs),
    )


def _chosen(run: Gax) -> Iterator[tuple[Gax, Kept]]:
    """The first that got there of each class, as far as there are classes; then any."""
    kept = sorted(run.kept(), key=lambda one: not one.outcome.reached)
    first: dict[int | None, Kept] = {}
    for one in kept:
        first.setdefault(one.outcome.label, one)
    others = [one for one in kept if first[one.outcome.label] is not one]
    return ((run, one) for one in (*first.values(), *others)[:OF_EACH])


def _lines(run: Gax) -> Iterator[Line]:
    kept = list(run.kept())
    name = run.shown.told
    reached = sum(bool(one.reached) for one in run.outcomes)
    yield Line(
        f"{name}: share that reaches a CO score of 48", "all", share(reached, len(run.outcomes)).as_json()
    )
    largest = np.array([np.abs(one.heatmap).max() for one in kept])
    yield Line(f"{name}: largest |h| of an image, mean", "up to 1", mean(largest).as_json())
    rough = np.array([roughness(one) for one in kept])
    yield Line(
        f"{name}: mean difference of neighbouring values of h, relative to that of the image’s pixels",
        None,
        mean(rough).as_json(),
        "above 1: rougher than the image",
    )


def roughness(one: Kept) -> float:
    """How much neighbours differ in h, by how much they do in x."""

    def steps(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        across, down = np.abs(np.diff(values, axis=2)).mean(), np.abs(np.diff(values, axis=1)).mean()
        return float(across + down)

    return steps(one.heatmap) / max(steps(one.pixels), 1e-9)


def _drawn(rows: Sequence[tuple[Gax, Kept]]) -> Drawing:
    width = 4 * SIDE + 3 * GAP
    parts, top = [], 0.0
    for run, one in rows:
        height = SIDE * one.pixels.shape[1] / one.pixels.shape[2]
        outcome = one.outcome
        what = shorten(f"{run.shown.told}: {outcome.image}", 84)
        parts.append(_text(0, top + 14, what, "ink"))
        pictures = [uri(photograph(one.pixels.astype(np.float32)), "WEBP", quality=70)]
        limit = max(saturation(channel, "signed") for channel in one.heatmap)
        channels = (diverging(box(channel.astype(np.float32)), limit) for channel in one.heatmap)
        pictures += [uri(picture, "PNG", optimize=True) for picture in channels]
        largest = number(float(np.abs(one.heatmap).max()))
        words = (f"CO {number(outcome.co)}, step {outcome.steps}", *CHANNELS)
        for place, (picture, word) in enumerate(zip(pictures, words, strict=True)):
            left = place * (SIDE + GAP)
            place_ = f'x="{left:g}" y="{top + HEAD:g}" width="{SIDE:g}" height="{height:.1f}"'
            parts.append(f'<image {place_} href="{escape(picture)}"/>')
            extra = f", abs max {largest}" if place == 1 else ""
            parts.append(_text(left, top + HEAD + height + 15, f"{word}{extra}", "muted"))
        top += HEAD + height + FOOT
    alt = f"GAX heatmaps of {len(rows)} images"
    svg = (
        f'<svg role="img" id="figure-5-panels" aria-label="{alt}" viewBox="0 0 {width:g} {top:g}" '
        f'width="{width:g}" height="{top:g}">{"".join(parts)}</svg>'
    )
    return Drawing(
        svg,
        "The image as the network sees it, and its heatmap for each colour channel. Red raises a pixel, blue "
        "lowers it; colours end at the 99th percentile of |h|, the same for the three. Abs max: the largest "
        "|h| of all three.",
    )


def _text(left: float, top: float, words: str, colour: str) -> str:
    shown = escape(clean(words))
    return f'<text x="{left:.1f}" y="{top:.1f}" font-size="12.5" style="fill: var(--{colour})">{shown}</text>'
