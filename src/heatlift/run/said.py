"""What a network says at each step of an optimisation, of the images whose steps are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from heatlift.data import Item
from heatlift.run.rows import Rows

TOP = 5
"""Classes on record for each step."""


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
        # As many rows at once as there are: each of these calls would wait for the device.
        p = logits[mine].double().softmax(dim=1)
        highest = p.topk(min(TOP, p.shape[1]), dim=1)
        said = torch.isfinite(p).all(dim=1).tolist()
        columns = p.tolist(), highest.indices.tolist(), highest.values.tolist()
        for place, ok, each, top, p_top in zip(rows[mine].tolist(), said, *columns, strict=True):
            if ok:
                label = self._items[place].label
                self._found[place, step] = {
                    "p_target": each[self._target[place]],
                    "p_label": None if label is None else each[label],
                    "top": top,
                    "p_top": p_top,
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
