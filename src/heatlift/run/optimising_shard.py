"""The unit of work of a run that optimises: some images become rows, whatever becomes of each of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from heatlift.classifier import Classifier
from heatlift.data import Item
from heatlift.errors import HeatliftError, NetworkFailed, RunEnds
from heatlift.folding import folded
from heatlift.images import Batch, batches
from heatlift.portions import TOO_LARGE, Portions, TooLarge
from heatlift.run.plan import OptimisingConfig
from heatlift.run.rows import NOT_FINITE, Rows
from heatlift.run.thumbnails import no_thumbnail, thumbnail_rows


@dataclass(frozen=True)
class Chosen:
    """Images that something is optimised for.

    Attributes:
        items: which they are.
        images: (n, 3, h, w) in [0, 1].
        target: the class of each, (n,).
    """

    items: Sequence[Item]
    images: Tensor
    target: Tensor

    def __getitem__(self, part: slice, /) -> Chosen:
        """Some of them."""
        return Chosen(self.items[part], self.images[part], self.target[part])


class Task(Protocol):
    """What is done to the images of a shard that are chosen."""

    tables: ClassVar[tuple[str, ...]]
    """Tables that it fills; the first has rows for images without a result, too."""

    def row(self, item: Item, status: str) -> dict[str, Any]:
        """An image's row without figures."""

    def __call__(
        self, chosen: Chosen, keep: int, portions: Portions, heard: Callable[[float], None]
    ) -> dict[str, Rows]:
        """Rows of all tables; keeps what is made of the first ``keep`` images; tells its part done, 0 to 1.

        Raises:
            HeatliftError: nothing could be found for these images.
        """


@dataclass
class OptimisingShard:
    """Does the images of one shard.

    Args:
        classifier: the network.
        config: the settings.
        task: what is done to the images that are chosen.
        kept: names of images; of as many in a shard as it has of these is kept what is made of them, the
            first that have a result.
        portions: how many images go at a time.
        heard: hears after every step about how many of the shard's images are through.
    """

    classifier: Classifier
    config: OptimisingConfig
    task: Task
    kept: Container[str] = ()
    portions: Portions = field(default_factory=lambda: Portions(16))
    heard: Callable[[int], None] | None = None

    def __call__(self, items: Sequence[Item]) -> dict[str, Rows]:
        """Rows of the task's tables for all items, and their thumbnails."""
        tables: dict[str, Rows] = {name: [] for name in (*self.task.tables, "thumbnails")}
        keep = sum(item.name in self.kept for item in items)
        for batch in batches(items, self.classifier.framing, len(items)):
            refused = list(batch.failed)
            tables["thumbnails"] += thumbnail_rows(batch.items, batch.images) if batch.items else []
            tables["thumbnails"] += [no_thumbnail(item) for item, _ in batch.failed]
            chosen = self._chosen(batch, refused) if batch.items else None
            if chosen is not None:
                self._do(chosen, keep, tables, refused)
            tables[self.task.tables[0]] += [self.task.row(item, reason) for item, reason in refused]
        return tables

    def _do(self, chosen: Chosen, keep: int, tables: dict[str, Rows], refused: list[tuple[Item, str]]) -> int:
        """Add rows of some images, or the reason against each; how many of those to be kept were kept."""
        try:
            found = self.task(chosen, keep, self.portions, self._hears(len(chosen.items)))
        except RunEnds:
            raise
        except HeatliftError as error:
            if len(chosen.items) == 1:
                refused.append((chosen.items[0], str(error)))
                return 0
            # In halves, so that nothing is lost but the image at fault.
            middle = len(chosen.items) // 2
            kept = self._do(chosen[:middle], keep, tables, refused)
            return kept + self._do(chosen[middle:], keep - kept, tables, refused)
        for name, rows in found.items():
            tables[name] += rows
        return min(keep, len(chosen.items))

    def failed(self, item: Item, reason: str) -> dict[str, Rows]:
        """The rows of an image that could not be done."""
        tables: dict[str, Rows] = {name: [] for name in self.task.tables}
        return tables | {
            self.task.tables[0]: [self.task.row(item, reason)],
            "thumbnails": [no_thumbnail(item)],
        }

    def rehearse(self, images: Tensor) -> None:
        """Do to some images (n, 3, h, w) what takes the most memory."""
        classifier = folded(self.classifier)
        inputs = images.to(classifier.device).requires_grad_()
        torch.autograd.grad(classifier(inputs).sum(), inputs)

    def _chosen(self, batch: Batch, refused: list[tuple[Item, str]]) -> Chosen | None:
        network = self.classifier.in_float32().unfolded()
        predicted: list[int] = []
        reasons: list[str | None] = []
        with torch.no_grad():
            for portion, logits in self.portions(batch, lambda part: network(part.images)):
                if isinstance(logits, (TooLarge, NetworkFailed)):
                    predicted.append(-1)
                    reasons.append(TOO_LARGE if isinstance(logits, TooLarge) else str(logits))
                    continue
                finite = logits.isfinite().all(dim=1).tolist()
                for item, said, usable in zip(
                    portion.items, logits.argmax(dim=1).tolist(), finite, strict=True
                ):
                    predicted.append(said)
                    reasons.append(self._excluded(item, said) if usable else NOT_FINITE)
        refused += [
            (item, reason) for item, reason in zip(batch.items, reasons, strict=True) if reason is not None
        ]
        chosen = [i for i, reason in enumerate(reasons) if reason is None]
        if not chosen:
            return None
        target = torch.tensor([self._target(batch.items[i], predicted[i]) for i in chosen])
        return Chosen([batch.items[i] for i in chosen], batch.images[chosen], target)

    def _excluded(self, item: Item, predicted: int) -> str | None:
        """Why an image is left out; without a label nothing speaks against it but that it be wrong."""
        if self.config.include == "all":
            return None
        if item.label is None:
            return "left out: no label" if self.config.include == "wrong" else None
        said = "correct" if item.label == predicted else "wrong"
        return None if said == self.config.include else f"left out: predicted {said}ly"

    def _target(self, item: Item, predicted: int) -> int:
        if isinstance(self.config.target, int):
            return self.config.target
        return predicted if item.label is None or self.config.target == "predicted" else item.label

    def _hears(self, images: int) -> Callable[[float], None]:
        def heard(part: float) -> None:
            if self.heard is not None:
                self.heard(int(part * images))

        return heard
