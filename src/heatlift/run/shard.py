"""The unit of work: some images under one configuration become the rows of an audit's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from heatlift.attributor import Attributor, Explanations
from heatlift.classifier import Classifier
from heatlift.controls import CONTROLS
from heatlift.data import Item
from heatlift.errors import NetworkFailed, let_through, out_of_memory
from heatlift.folding import folded, sparing
from heatlift.images import Batch, batches
from heatlift.indicators import Indicator
from heatlift.method import Request
from heatlift.portions import TOO_LARGE, Portions, TooLarge
from heatlift.run.heatmaps import Applied, Lent, Maps, borrowed, finite, lending
from heatlift.run.plan import AuditConfig
from heatlift.run.rows import (
    Rows,
    failed_indicator,
    failed_prediction,
    indicator_rows,
    prediction_rows,
    score_row,
    score_rows,
)
from heatlift.run.tables import TABLES
from heatlift.run.thumbnails import no_thumbnail, thumbnail_rows
from heatlift.types import OK, Target

Tables = dict[str, Rows]


@dataclass
class ShardAudit:
    """Audits the images of one shard, batch by batch.

    The shuffled control gives each image the heatmap of the image before it in the shard, and the
    first one that of the last: whatever the batches, the same image lends to the same.

    Args:
        classifier: the network.
        requests: the methods.
        config: the settings; how many images go at a time is not taken from it.
        portions: how many images go at a time.
        indicators: of the user's own.
    """

    classifier: Classifier
    requests: Sequence[Request]
    config: AuditConfig
    portions: Portions = field(default_factory=lambda: Portions(16))
    indicators: Sequence[Indicator] = ()

    def __post_init__(self) -> None:
        layers = [request.layer for request in self.requests if request.layer is not None]
        # One for all passes: with another for the scores an unchanged image would show the difference.
        self.classifier = sparing(folded(self.classifier), layers)
        self._attributor = Attributor(self.classifier, self.requests, self.config.space)
        # On its own, for the single image that lends its heatmap to the first one of a shard.
        self._lender = Attributor(self.classifier, self.requests[:1], self.config.space)

    def __call__(self, items: Sequence[Item]) -> Tables:
        """Rows of an audit's tables for all items, readable or not."""
        tables: Tables = {table: [] for table in TABLES["audit"]}
        previous = self._last_heatmap(items) if "shuffled" in self.config.controls else None

        def audited(portion: Batch) -> tuple[Tables, Lent]:
            return self._audit(portion, previous)

        for batch in batches(items, self.classifier.framing, self.portions.size):
            failed = list(batch.failed)
            for portion, done in self.portions(batch, audited):
                if isinstance(done, (TooLarge, NetworkFailed)):
                    reason = TOO_LARGE if isinstance(done, TooLarge) else str(done)
                    failed.append((portion.items[0], reason))
                    continue
                found, previous = done
                _append(tables, found)
            for item, reason in failed:
                _append(tables, self.failed(item, reason))
        return tables

    def rehearse(self, images: Tensor) -> None:
        """Do to some images (n, 3, h, w) what takes the most memory in an audit."""
        self._attributor.explain(images)
        for indicator in self.indicators:
            indicator.values(self.classifier, images)

    def heatmaps(self, batch: Batch, previous: Lent | None) -> Iterator[Maps]:
        """Every method's and then every control's heatmaps for a batch, rescaled.

        Args:
            batch: the images.
            previous: name and heatmap of the image before the batch, for the shuffled control.
        """
        return self._maps(batch, self._attributor.explain(batch.images, self._target(batch)), previous)

    def _maps(self, batch: Batch, explanations: Explanations, previous: Lent | None) -> Iterator[Maps]:
        inputs = self.classifier.inputs(batch.images, self.config.space)
        first: Maps | None = None
        for name, found in explanations.found.items():
            maps = Maps.explained(name, found, inputs)
            first = maps if first is None else first
            yield maps
        names = [item.name for item in batch.items]
        for name in self.config.controls:
            others, status = torch.zeros_like(inputs), [OK] * len(inputs)
            if name == "shuffled" and first is not None:
                others, status = borrowed(names, first, previous)
            yield Maps.of(name, True, CONTROLS[name].compute(inputs, others, names, self.config.seed), status)

    def _audit(self, batch: Batch, previous: Lent | None) -> tuple[Tables, Lent]:
        inputs = self.classifier.inputs(batch.images, self.config.space)
        explanations = self._attributor.explain(batch.images, self._target(batch))
        before = _exact(explanations.logits)
        usable = finite(before)
        maps = list(self._maps(batch, explanations, previous))
        given = [
            Applied(one, operation, scale)
            for one in maps
            for operation in self.config.operations
            for scale in self.config.scales
        ]
        tables: Tables = {
            "predictions": prediction_rows(batch.items, before, usable),
            "scores": [],
            "indicators": [],
            "thumbnails": thumbnail_rows(batch.items, batch.images),
        }
        for one, after in zip(given, self._after(inputs, given), strict=True):
            tables["scores"] += score_rows(batch.items, one, before, after, usable)
        for indicator in self.indicators:
            values, status = indicator.values(self.classifier, batch.images)
            tables["indicators"] += indicator_rows(batch.items, indicator.name, values, status)
        return tables, lending(batch.items[-1], maps[0])

    def _after(self, inputs: Tensor, given: Sequence[Applied]) -> Iterator[Tensor]:
        """Logits of the images augmented by each heatmap, as many heatmaps at a time as fill a batch."""
        together = max(1, self.portions.size // len(inputs))
        for chosen in _groups(given, together):
            augmented = torch.cat([one.to(inputs) for one in chosen])
            with torch.no_grad():
                shown = self._clipped(augmented) if self.config.clip else augmented
                logits = self.classifier(shown, self.config.space)
            yield from _exact(logits).split(len(inputs))

    def _clipped(self, inputs: Tensor) -> Tensor:
        """Inputs brought back to what an image in [0, 1] can be."""
        if self.config.space == "pixel":
            return inputs.clamp(0, 1)
        black, white = (self.classifier.normalise(torch.full((1, 3, 1, 1), v)) for v in (0.0, 1.0))
        return torch.minimum(torch.maximum(inputs, black), white)

    def _target(self, batch: Batch) -> Target:
        if self.config.target == "label":
            return torch.tensor([0 if item.label is None else item.label for item in batch.items])
        return self.config.target

    def _last_heatmap(self, items: Sequence[Item]) -> Lent | None:
        """What the last readable image lends to the first."""
        for item in reversed(items):
            for batch in batches([item], self.classifier.framing, 1):
                if not batch.items:
                    continue
                inputs = self.classifier.inputs(batch.images, self.config.space)
                try:
                    found = self._lender(batch.images, self._target(batch))[self.requests[0].name]
                except (RuntimeError, MemoryError) as error:
                    if not isinstance(error, NetworkFailed) and not out_of_memory(error):
                        let_through(error)
                        raise
                    continue
                return lending(item, Maps.explained(self.requests[0].name, found, inputs))
        return None

    def failed(self, item: Item, reason: str) -> Tables:
        """The rows of an image that could not be audited."""
        names = [(request.name, False) for request in self.requests]
        names += [(name, True) for name in self.config.controls]
        scores = [
            score_row(item, name, operation, scale, control, reason)
            for name, control in names
            for operation in self.config.operations
            for scale in self.config.scales
        ]
        indicators = [failed_indicator(item, indicator.name, reason) for indicator in self.indicators]
        return {
            "predictions": [failed_prediction(item, reason)],
            "scores": scores,
            "indicators": indicators,
            "thumbnails": [no_thumbnail(item)],
        }


def _append(tables: Tables, more: Tables) -> None:
    for table, rows in more.items():
        tables[table] += rows


def _groups(given: Sequence[Applied], together: int) -> Iterator[Sequence[Applied]]:
    """Heatmaps in their order, at most so many together; those that must be alone, alone."""
    group: list[Applied] = []
    for one in given:
        if group and (one.alone or len(group) == together):
            yield group
            group = []
        group.append(one)
        if one.alone:
            yield group
            group = []
    if group:
        yield group


def _exact(logits: Tensor) -> Tensor:
    """Logits in float64 on the processor: what is computed from them adds no rounding of its own."""
    return logits.detach().double().cpu()
