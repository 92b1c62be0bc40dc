"""What a lift run does to images: heatmaps, rows of its tables, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from heatlift.data import Item
from heatlift.gax import GAX
from heatlift.lift import Lift
from heatlift.portions import Portions
from heatlift.run.evolutions import Evolutions
from heatlift.run.networks import Networks
from heatlift.run.optimising_shard import Chosen
from heatlift.run.originals import original_path, write_picture
from heatlift.run.plan import LiftConfig
from heatlift.run.recorder import LEVELS, Recorder
from heatlift.run.rows import NOT_FINITE, Rows
from heatlift.run.said import Said
from heatlift.spotlight import Spotlight
from heatlift.types import OK


@dataclass(frozen=True)
class LiftTask:
    """Lifts images.

    Args:
        networks: of the run.
        config: the settings.
        folder: the run's.
    """

    networks: Networks
    config: LiftConfig
    folder: Path

    tables: ClassVar[tuple[str, ...]] = ("lift", "evolutions")

    def __call__(
        self, chosen: Chosen, keep: int, portions: Portions, heard: Callable[[float], None]
    ) -> dict[str, Rows]:
        """Rows of both tables; keeps the heatmaps and steps of the first images.

        Raises:
            HeatliftError: a single image does not fit into memory.
        """
        items, images = chosen.items, chosen.images
        recorders = {i: Recorder(self._scale()) for i in range(min(keep, len(items)))}
        said = Said(items, chosen.target, recorders)
        config = self.config
        most = max(1, config.max_steps if config.method == "gax" else config.steps)

        def observe(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
            said.hear(step, rows, logits)
            for row, heatmap in zip(rows.tolist(), decoded, strict=True):
                if row in recorders and bool(heatmap.isfinite().all()):
                    recorders[row].add(heatmap.float().cpu().numpy(), step)

        def progress(step: int, left: int) -> None:
            # An image that is not done is as far as its steps.
            heard((len(items) - left + left * step / most) / len(items))

        lift = self._method(portions)(
            self.networks.classifier,
            images,
            chosen.target,
            observe=observe,
            progress=progress,
            portions=portions,
        )
        rows = self._rows(items, images, lift, portions)
        for place, recorder in recorders.items():
            heatmap = lift.heatmaps[place].float().cpu().numpy()
            if np.isfinite(heatmap).all():
                Evolutions(self.folder).write(
                    items[place].name, heatmap, recorder, config.method, int(lift.steps[place])
                )
                write_picture(original_path(self.folder, items[place].name), images[place])
        return {"lift": rows, "evolutions": _evolution_rows(items, lift, said)}

    def _method(self, portions: Portions) -> Callable[..., Lift]:
        method = GAX if self.config.method == "gax" else Spotlight
        # The settings have the same names.
        chosen = {
            f.name: getattr(self.config, f.name) for f in fields(method) if hasattr(self.config, f.name)
        }
        configured = method(**chosen | {"batch_size": portions.size})
        return configured if isinstance(configured, GAX) else partial(configured, others=self.networks.others)

    def _scale(self) -> float:
        """At least the largest value that a heatmap can have; a spotlight's 1, no change, is a level."""
        return 1.0 if self.config.method == "gax" else LEVELS / int(LEVELS / (1 + self.config.strength))

    def _rows(self, items: Sequence[Item], images: Tensor, lift: Lift, portions: Portions) -> Rows:
        clipped = lift.augmented.clamp(0, 1)
        columns: dict[str, Tensor] = {
            "target": lift.target,
            "steps": lift.steps,
            "reached": lift.reached,
            "co": lift.score,
            "co_clipped": lift.score_clipped,
            "change": (clipped - images.to(clipped)).abs().mean(dim=(1, 2, 3)),
            "p_before": lift.p_before,
            "p_after": lift.p_after,
            "predicted_before": lift.predicted_before,
            "predicted_after": lift.predicted_after,
        }
        values = {name: column.cpu().tolist() for name, column in columns.items()}
        values |= self.networks.opinion(images, clipped, lift.target, portions)
        usable = torch.stack([lift.score, lift.score_clipped]).isfinite().all(dim=0).tolist()
        rows: Rows = []
        for i, item in enumerate(items):
            row = self.row(item, OK if usable[i] else NOT_FINITE)
            rows.append(row | {name: column[i] for name, column in values.items()} if usable[i] else row)
        return rows

    def row(self, item: Item, status: str) -> dict[str, Any]:
        """A row without its figures."""
        operation = self.config.operation if self.config.method == "gax" else "multiply"
        return {
            "image": item.name,
            "method": self.config.method,
            "label": item.label,
            "operation": operation,
            "status": status,
        }


def _evolution_rows(items: Sequence[Item], lift: Lift, said: Said) -> Rows:
    return [
        {"image": item.name, "step": step, "co": co, **said.at(place, step)}
        for place, (item, history) in enumerate(zip(items, lift.history.cpu().tolist(), strict=True))
        for step, co in enumerate(history)
        if co == co  # NaN after the image stopped
    ]
