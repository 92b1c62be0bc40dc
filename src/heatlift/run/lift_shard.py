"""The unit of work of a lift run: some images become rows of its tables, and kept heatmaps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.data import Item
from heatlift.errors import HeatliftError
from heatlift.folding import folded
from heatlift.gax import GAX
from heatlift.images import Batch, batches
from heatlift.lift import Lift, logits_of
from heatlift.portions import Portions
from heatlift.run.evolutions import LEVELS, Evolutions, Recorder
from heatlift.run.originals import original_path
from heatlift.run.plan import LiftConfig
from heatlift.run.rows import NOT_FINITE, Rows
from heatlift.run.whole import whole
from heatlift.score import class_probability, logit_gain
from heatlift.spotlight import Spotlight
from heatlift.types import OK


@dataclass
class LiftShard:
    """Lifts the images of one shard.

    Args:
        classifier: the network.
        others: networks that are convinced along with it, by a spotlight.
        verifier: the network that takes no part and says what it thinks of the result.
        config: the settings.
        folder: the run's.
        kept: names of images; as many of a shard as it has of these have their heatmaps and steps kept,
            the first that are lifted.
        portions: how many images go at a time.
        heard: hears after every step about how many of the shard's images are through.
    """

    classifier: Classifier
    others: Sequence[Classifier]
    verifier: Classifier | None
    config: LiftConfig
    folder: Path
    kept: Collection[str] = ()
    portions: Portions = field(default_factory=lambda: Portions(16))
    heard: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        # Once for all shards.
        self.classifier = folded(self.classifier)
        self.others = [folded(other) for other in self.others]

    def __call__(self, items: Sequence[Item]) -> dict[str, Rows]:
        """Rows of the tables ``lift`` and ``evolutions`` for all items, lifted or not."""
        tables: dict[str, Rows] = {"lift": [], "evolutions": []}
        for batch in batches(items, self.classifier.framing, len(items)):
            for item, reason in batch.failed:
                tables["lift"].append(self._row(item, reason))
            if batch.items:
                self._lift(batch, sum(item.name in self.kept for item in items), tables)
        return tables

    def rehearse(self, images: Tensor) -> None:
        """Do to some images (n, 3, h, w) what takes the most memory in a lift."""
        inputs = images.to(self.classifier.device).requires_grad_()
        torch.autograd.grad(self.classifier(inputs).sum(), inputs)

    def _lift(self, batch: Batch, keep: int, tables: dict[str, Rows]) -> None:
        try:
            logits = logits_of(self.classifier.in_float32().unfolded(), batch.images, self.portions)
            predicted = logits.argmax(dim=1).tolist()
            finite = logits.isfinite().all(dim=1).tolist()
            chosen: list[int] = []
            for i, item in enumerate(batch.items):
                reason = NOT_FINITE if not finite[i] else self._excluded(item, predicted[i])
                if reason is None:
                    chosen.append(i)
                else:
                    tables["lift"].append(self._row(item, reason))
            if not chosen:
                return
            items, images = [batch.items[i] for i in chosen], batch.images[chosen]
            target = torch.tensor([self._target(batch.items[i], predicted[i]) for i in chosen])
            recorders = {i: Recorder(self._scale()) for i in range(min(keep, len(items)))}

            def observe(step: int, rows: Tensor, decoded: Tensor) -> None:
                for row, heatmap in zip(rows.tolist(), decoded, strict=True):
                    if row in recorders and bool(heatmap.isfinite().all()):
                        recorders[row].add(heatmap.float().cpu().numpy(), step)

            def progress(step: int, left: int) -> None:
                config = self.config
                most = max(1, config.max_steps if config.method == "gax" else config.steps)
                if self.heard is not None:
                    # An image that is not done is as far as its steps.
                    self.heard(len(items) - left + left * step // most)

            method = self._method()
            watching = observe if recorders else None
            lift = method(
                self.classifier, images, target, observe=watching, progress=progress, portions=self.portions
            )
            tables["lift"] += self._rows(items, images, lift)
        except HeatliftError as error:
            done = {row["image"] for row in tables["lift"]}
            tables["lift"] += [self._row(item, str(error)) for item in batch.items if item.name not in done]
            return
        tables["evolutions"] += _evolution_rows(items, lift)
        for row, recorder in recorders.items():
            heatmap = lift.heatmaps[row].float().cpu().numpy()
            if not np.isfinite(heatmap).all():
                continue
            Evolutions(self.folder).write(items[row].name, heatmap, recorder, self.config.method)
            _write_original(self.folder, items[row].name, images[row])

    def _method(self) -> Callable[..., Lift]:
        method = GAX if self.config.method == "gax" else Spotlight
        # The settings have the same names.
        chosen = {
            f.name: getattr(self.config, f.name) for f in fields(method) if hasattr(self.config, f.name)
        }
        configured = method(**chosen | {"batch_size": self.portions.size})
        return configured if isinstance(configured, GAX) else partial(configured, others=self.others)

    def _scale(self) -> float:
        """At least the largest value that a heatmap can have; a spotlight's 1, no change, is a level."""
        return 1.0 if self.config.method == "gax" else LEVELS / int(LEVELS / (1 + self.config.strength))

    def _excluded(self, item: Item, predicted: int) -> str | None:
        """Why an image is not lifted; without a label nothing speaks against it."""
        if item.label is None or self.config.include == "all":
            return None
        said = "correct" if item.label == predicted else "wrong"
        return None if said == self.config.include else f"left out: predicted {said}ly"

    def _target(self, item: Item, predicted: int) -> int:
        if isinstance(self.config.target, int):
            return self.config.target
        return predicted if item.label is None or self.config.target == "predicted" else item.label

    def _rows(self, items: Sequence[Item], images: Tensor, lift: Lift) -> Rows:
        clipped = lift.augmented.clamp(0, 1)
        verified = self._verified(images, clipped, lift.target)
        said = verified["co_verify"].isfinite().tolist() if verified else []
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
            **verified,
        }
        values = {name: column.cpu().tolist() for name, column in columns.items()}
        for name in [name for name in values if "verify" in name]:
            # What the second network can't say of an image is absent, not wrong.
            values[name] = [v if ok else None for v, ok in zip(values[name], said, strict=True)]
        usable = torch.stack([lift.score, lift.score_clipped]).isfinite().all(dim=0).tolist()
        rows: Rows = []
        for i, item in enumerate(items):
            row = self._row(item, OK if usable[i] else NOT_FINITE)
            rows.append(row | {name: column[i] for name, column in values.items()} if usable[i] else row)
        return rows

    def _verified(self, images: Tensor, augmented: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What the network that took no part thinks of the images before and after."""
        if self.verifier is None:
            return {}
        before, after = (
            logits_of(self.verifier, self.verifier.resized(each.to(self.verifier.device)), self.portions)
            for each in (images, augmented)
        )
        target = target.to(before.device)
        return {
            "co_verify": logit_gain(before, after, target),
            "p_verify_before": class_probability(before, target),
            "p_verify_after": class_probability(after, target),
            "predicted_verify_before": before.argmax(dim=1),
            "predicted_verify_after": after.argmax(dim=1),
        }

    def _row(self, item: Item, status: str) -> dict[str, Any]:
        """A row without its figures."""
        operation = self.config.operation if self.config.method == "gax" else "multiply"
        return {
            "image": item.name,
            "method": self.config.method,
            "label": item.label,
            "operation": operation,
            "status": status,
        }


def _write_original(folder: Path, image: str, pixels: Tensor) -> None:
    path = original_path(folder, image)
    path.parent.mkdir(exist_ok=True)
    levels = (pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
    with whole(path, "wb") as file:
        Image.fromarray(levels).save(file, "PNG")


def _evolution_rows(items: Sequence[Item], lift: Lift) -> Rows:
    return [
        {"image": item.name, "step": step, "co": co}
        for item, history in zip(items, lift.history.cpu().tolist(), strict=True)
        for step, co in enumerate(history)
        if co == co  # NaN after the image stopped
    ]
