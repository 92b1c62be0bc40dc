"""How the heatmaps of a few images came about: small pictures of some steps that live inside the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heatlift.errors import HeatliftError
from heatlift.panel.colours import SATURATED
from heatlift.report.heatmaps import diverging
from heatlift.report.lift.outcomes import Outcome, read_scores
from heatlift.report.pictures import Pixels, box, encoded, photograph, read_pixels, uri
from heatlift.report.selection import evenly
from heatlift.run.originals import original_path
from heatlift.wording import class_name, clean, number

if TYPE_CHECKING:
    from heatlift.run.evolutions import Evolutions

MOST = 4
"""Images whose steps are shown; a run may keep more."""

MOST_FRAMES = 24
"""Steps of one image, always the first and the last; where a better one is on record, that as well."""

BUDGET = 900_000
"""Bytes of one image's pictures, so that four of them stay below 5 MB as text."""

FAINTEST = 0.1
"""Where a step's colours end at least, as a share of the step where they end last."""


@dataclass(frozen=True)
class Frame:
    """One step: its score, the heatmap, where its colours end, its largest absolute value, and x'."""

    step: int
    score: str
    heatmap: str
    limit: str
    largest: str
    augmented: str


@dataclass(frozen=True)
class Evolution:
    """One image with some of its steps; ``start`` is the place of the one that the certificates are about."""

    name: str
    correct: bool | None
    label: str
    target: str
    before: str
    after: str
    p_before: str
    p_after: str
    p_verify_before: str
    p_verify_after: str
    reached: bool
    kept: int
    source: str
    frames: tuple[Frame, ...]
    start: int


def read_evolutions(
    run: Path, outcomes: Sequence[Outcome], operation: str, classes: Sequence[str] | None
) -> tuple[Evolution, ...]:
    """Up to four images whose steps are kept; none where the run keeps none.

    Args:
        run: the run's folder.
        outcomes: of all its images.
        operation: ``add`` or ``multiply``.
        classes: the classes' names.

    Raises:
        HeatliftError: what is kept is damaged, or an image kept has no original.
    """
    if not (run / "maps.zarr").is_dir():
        return ()
    from heatlift.run.evolutions import Evolutions  # loads zarr, which most reports do without

    kept = Evolutions(run)
    by_name = {outcome.image: outcome for outcome in outcomes if outcome.ok}
    names = [name for name in kept.images() if name in by_name and kept.steps(name)]
    chosen = _varied([by_name[name] for name in names])
    scores = read_scores(run, {outcome.image for outcome in chosen})
    return tuple(
        _evolution(run, kept, outcome, operation, scores.get(outcome.image, {}), classes)
        for outcome in chosen
    )


def _varied(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Wrong before, right before, and not reached in turn, so that no kind crowds out the others."""
    wrong = [o for o in outcomes if o.reached and o.kind == "wrong"]
    others = [o for o in outcomes if o.reached and o.kind != "wrong"]
    missed = [o for o in outcomes if not o.reached]
    turns = (evenly(group, MOST) for group in (wrong, others, missed))
    queues = [list(turn) for turn in turns if turn]
    found: list[Outcome] = []
    while any(queues) and len(found) < MOST:
        found += [queue.pop(0) for queue in queues if queue][: MOST - len(found)]
    return found


def _evolution(
    run: Path,
    kept: Evolutions,
    outcome: Outcome,
    operation: str,
    scores: Mapping[int, float],
    classes: Sequence[str] | None,
) -> Evolution:
    image, steps = read_pixels(original_path(run, outcome.image)), kept.steps(outcome.image)
    own = outcome.steps if outcome.steps in steps else steps[-1]
    shown = sorted({*evenly(steps, MOST_FRAMES), own})
    heatmaps = [kept.frame(outcome.image, step) for step in shown]
    if heatmaps[0].shape != image.shape:
        raise HeatliftError(
            f"{original_path(run, outcome.image)} is {image.shape[2]} x {image.shape[1]}, its heatmaps "
            f"{heatmaps[0].shape[2]} x {heatmaps[0].shape[1]}: delete it and start the same run again"
        )
    return Evolution(
        name=clean(outcome.image),
        correct=None if outcome.label is None else outcome.kind == "correct",
        label=class_name(outcome.label, classes),
        target=class_name(outcome.target, classes),
        before=class_name(outcome.predicted_before, classes),
        after=class_name(outcome.predicted_after, classes),
        p_before=number(outcome.p_before),
        p_after=number(outcome.p_after),
        p_verify_before=number(outcome.p_verify_before),
        p_verify_after=number(outcome.p_verify_after),
        reached=bool(outcome.reached),
        kept=len(steps),
        source=uri(photograph(image), "WEBP", quality=85, method=4),
        frames=tuple(_frames(image, heatmaps, shown, operation, scores)),
        start=shown.index(own),
    )


def _frames(
    image: Pixels,
    heatmaps: Sequence[Pixels],
    steps: Sequence[int],
    operation: str,
    scores: Mapping[int, float],
) -> Iterator[Frame]:
    multiplied = operation == "multiply"
    neutral = 1.0 if multiplied else 0.0
    means = [(heatmap - neutral).mean(axis=0) for heatmap in heatmaps]
    limits = [float(np.percentile(np.abs(mean), SATURATED)) for mean in means]
    # A step that does next to nothing looks like it, instead of like its own rounding errors.
    limits = [max(limit, FAINTEST * max(limits)) for limit in limits]
    maps = [diverging(box(mean), limit).convert("RGB") for mean, limit in zip(means, limits, strict=True)]
    augmented = (image * heatmap if multiplied else image + heatmap for heatmap in heatmaps)
    sources = encoded([*maps, *(photograph(np.clip(found, 0, 1)) for found in augmented)], BUDGET)
    for place, step in enumerate(steps):
        yield Frame(
            step,
            number(scores.get(step)),
            sources[place],
            f"{limits[place]:.2g}",
            f"{float(np.abs(heatmaps[place] - neutral).max()):.3g}",
            sources[len(steps) + place],
        )
