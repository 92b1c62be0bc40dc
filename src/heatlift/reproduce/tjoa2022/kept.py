"""Heatmaps that GAX runs kept, image by image, with the pixels that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heatlift.report.lift.outcomes import Outcome, read_outcomes, read_scores
from heatlift.report.pictures import read_pixels
from heatlift.reproduce.tjoa2022.stages import XRAY_BIAS, Shown, Stages
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path

Values = NDArray[np.float64]

SATURATED = 0.9995
"""Of |h|, beyond which float16 does not keep what went into tanh."""


@dataclass(frozen=True)
class Kept:
    """One image's heatmap.

    Attributes:
        run: the folder of its run.
        outcome: what became of the image.
        pixels: x, (3, h, w) in [0, 1].
        heatmap: h, the same shape, in [-1, 1].
        bias: where b started; None without one.
        scores: the CO score after each step.
    """

    run: Path
    outcome: Outcome
    pixels: Values
    heatmap: Values
    bias: float | None
    scores: Mapping[int, float]

    @property
    def start(self) -> Values:
        """The heatmap before the first step: tanh(x), or tanh(x + b)."""
        found: Values = np.tanh(self.pixels + (self.bias or 0.0))
        return found

    def shuffled(self, seed: int) -> Values:
        """The heatmap if each pixel's weights had moved as far as another's of the same image did.

        Control for what h = tanh(w x + b) itself does to bright and dark pixels. Without a bias, u is how far
        w moved; with one, how far w and b did, which Adam moves alike: tanh's argument is x + b + u (x + 1).
        """
        held = self.bias is not None
        factor = self.pixels + 1.0 if held else self.pixels
        before = self.pixels + (self.bias or 0.0)
        moving = factor > 0.5 / 255
        after = np.arctanh(np.clip(self.heatmap, -SATURATED, SATURATED))
        moved = (after - before)[moving] / factor[moving]
        found = before.copy()
        found[moving] += np.random.default_rng(seed).permutation(moved) * factor[moving]
        shown: Values = np.tanh(found)
        return shown

    def at(self, score: float) -> NDArray[np.float32] | None:
        """The heatmap at the first step whose CO score is at least this; None where there is none."""
        evolutions = Evolutions(self.run)
        for step in evolutions.steps(self.outcome.image):
            if self.scores.get(step, -np.inf) >= score:
                return evolutions.frame(self.outcome.image, step)
        return None

    def first(self) -> NDArray[np.float32]:
        """The heatmap before any step, as the run kept it."""
        evolutions = Evolutions(self.run)
        return evolutions.frame(self.outcome.image, evolutions.steps(self.outcome.image)[0])


@dataclass(frozen=True)
class Gax:
    """A GAX run with its outcomes."""

    shown: Shown
    folder: Path
    outcomes: Sequence[Outcome]
    bias: float | None

    def kept(self) -> Iterator[Kept]:
        """Images whose heatmaps are kept, in the order of the run."""
        evolutions = Evolutions(self.folder)
        there = evolutions.among(outcome.image for outcome in self.outcomes)
        chosen = [outcome for outcome, kept in zip(self.outcomes, there, strict=True) if kept]
        scores = read_scores(self.folder, {outcome.image for outcome in chosen})
        for outcome in chosen:
            pixels = read_pixels(original_path(self.folder, outcome.image)).astype(np.float64)
            heatmap = evolutions.final(outcome.image).astype(np.float64)
            yield Kept(self.folder, outcome, pixels, heatmap, self.bias, scores.get(outcome.image, {}))


def gax_runs(stages: Stages) -> list[Gax]:
    """On photographs without a bias, and on the X-rays, where there are any, with one."""
    found = []
    for shown, bias in ((stages.on_photographs(0), None), (stages.on_xrays(0), XRAY_BIAS)):
        if shown is not None:
            folder = stages.lift(shown, bias=bias)
            found.append(Gax(shown, folder, [one for one in read_outcomes(folder) if one.ok], bias))
    return found
