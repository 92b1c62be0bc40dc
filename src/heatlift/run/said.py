"""What a network says at each step of an optimisation, of the images whose steps are kept."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor

from heatlift.data import Item
from heatlift.evolution import likeliest
from heatlift.run.rows import Rows


class Said:
    """Probabilities by image and step.

    Args:
        items: the images that are optimised.
        target: the class of each, (n,).
        kept: places of those that are on record.
    """

    def __init__(self, items: Sequence[Item], target: Tensor, kept: Collection[int]) -> None:
        self._items, self._target, self._kept = items, target.tolist(), frozenset(kept)
        self._found: dict[tuple[int, int], dict[str, Any]] = {}

    def hear(self, step: int, rows: Tensor, logits: Tensor) -> None:
        """Note the logits (m, C) of some images, given by their places (m,), after ``step`` updates."""
        mine = [place for place, row in enumerate(rows.tolist()) if row in self._kept]
        if not mine:
            return
        for place, p, top in zip(rows[mine].tolist(), *likeliest(logits[mine]), strict=True):
            if all(map(math.isfinite, p)):
                label = self._items[place].label
                self._found[place, step] = {
                    "p_target": p[self._target[place]],
                    "p_label": None if label is None else p[label],
                    "top": [index for index, _ in top],
                    "p_top": [share for _, share in top],
                }

    def at(self, place: int, step: int) -> dict[str, Any]:
        """Columns of the table ``evolutions``; none for a step that is not on record."""
        return self._found.get((place, step), {})

    def rows(self, **columns: Any) -> Rows:
        """Everything on record as rows of the table ``evolutions``, by image and step."""
        return [
            {"image": self._items[place].name, "step": step, **columns, **self._found[place, step]}
            for place, step in sorted(self._found)
        ]
