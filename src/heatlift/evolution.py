"""How heatmaps come about: a few steps of the first images of an optimisation, kept small, for the eye."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

FILMED = 4
"""Images, the first ones, whose steps are kept."""

FRAMES, SIDE = 24, 160
"""Steps of an image, and pixels of their longer side, at most; with three channels 3.7 MB an image."""

TOP = 5
"""Classes on record for each step."""


@dataclass(frozen=True)
class Evolution:
    """One image's way to its heatmap.

    Attributes:
        steps: of which a heatmap is kept, ascending; the last is the result.
        heatmaps: (T, c, h, w) float16, made smaller.
        p_target: by step, the target's softmax probability as the optimiser saw it.
        top: by step, the likeliest classes with their probabilities, likeliest first.
        view: whether these are of a view of the image, another one at each step.
    """

    steps: tuple[int, ...]
    heatmaps: Tensor = field(repr=False)
    p_target: Mapping[int, float] = field(repr=False)
    top: Mapping[int, Sequence[tuple[int, float]]] = field(repr=False)
    view: bool = False


def likeliest(logits: Tensor) -> tuple[list[list[float]], list[list[tuple[int, float]]]]:
    """Of each row of logits (m, C) all probabilities, and the five likeliest classes, likeliest first."""
    # For all rows at once: each of these calls waits for the device.
    p = logits.double().softmax(dim=1)
    highest = p.topk(min(TOP, p.shape[1]), dim=1)
    pairs = zip(highest.indices.tolist(), highest.values.tolist(), strict=True)
    return p.tolist(), [list(zip(*pair, strict=True)) for pair in pairs]


class Film:
    """Watches an optimisation; an `Observer`.

    Every step at first, then every second, fourth...: whenever there are too many, every other one is
    dropped. So it needs neither to know how many are to come nor more memory than in the end.

    Args:
        target: the class of each image, (n,).
        size: height and width of a heatmap, to which coarse ones are enlarged.
        view: whether the optimiser sees another view of the image at each step.
    """

    def __init__(self, target: Tensor, size: Sequence[int], view: bool = False) -> None:
        self._view = view
        self._target = target[:FILMED].tolist()
        shrink = min(1.0, SIDE / max(size))
        height, width = (max(1, round(side * shrink)) for side in size)
        self._size = height, width
        self._every = [1] * len(self._target)
        self._frames: list[dict[int, Tensor]] = [{} for _ in self._target]
        self._p: list[dict[int, float]] = [{} for _ in self._target]
        self._top: list[dict[int, list[tuple[int, float]]]] = [{} for _ in self._target]

    def __call__(self, step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        """See what a step made of some images."""
        mine = torch.nonzero(rows < len(self._target)).flatten()
        if not len(mine):
            return
        for place, row, p, top in zip(
            rows[mine].tolist(), mine.tolist(), *likeliest(logits[mine]), strict=True
        ):
            self._p[place][step] = p[self._target[place]]
            self._top[place][step] = top
            if step % self._every[place] == 0:
                self._add(place, step, self._small(decoded[row]))

    def evolutions(self, heatmaps: Tensor, steps: Sequence[int]) -> tuple[Evolution, ...]:
        """What was seen, with each image's result as its last step.

        Args:
            heatmaps: the results, (n, c, h, w).
            steps: updates that they had, (n,).
        """
        found = []
        for place, (frames, last) in enumerate(zip(self._frames, steps, strict=False)):
            # Steps after the best one, where that is the result, are not its way.
            way = {step: frame for step, frame in frames.items() if step < last}
            way[last] = self._small(heatmaps[place])
            heatmaps_of_it = torch.stack(list(way.values()))
            found.append(Evolution(tuple(way), heatmaps_of_it, self._p[place], self._top[place], self._view))
        return tuple(found)

    def _add(self, place: int, step: int, frame: Tensor) -> None:
        frames = self._frames[place]
        frames[step] = frame
        if len(frames) == FRAMES:
            self._every[place] *= 2
            self._frames[place] = {s: f for s, f in frames.items() if s % self._every[place] == 0}

    def _small(self, heatmap: Tensor) -> Tensor:
        heatmap = heatmap.detach()[None].float()
        if heatmap.shape[-2] < self._size[0] or heatmap.shape[-1] < self._size[1]:
            heatmap = F.interpolate(heatmap, size=self._size, mode="bilinear", align_corners=False)
        return F.adaptive_avg_pool2d(heatmap, self._size)[0].half().cpu()
