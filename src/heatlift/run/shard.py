"""The unit of work: some images under one configuration become the rows of an audit's tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from heatlift.attribution import COMPLETENESS_TOLERANCE, Attribution, Attributor
from heatlift.augmentation import augment, rescale
from heatlift.classifier import Classifier
from heatlift.controls import CONTROLS
from heatlift.data import Item
from heatlift.errors import Refused
from heatlift.images import Batch, batches
from heatlift.registry import Request
from heatlift.run.plan import AuditConfig
from heatlift.score import class_probability, confidence_measures, logit_gain
from heatlift.types import OK, Target

Rows = list[dict[str, Any]]

Lent = tuple[str, Tensor, str]
"""An image's name, its raw heatmap (3, h, w) by the first method, and that map's status."""

NOT_FINITE = "the network returned NaN or infinite logits"
ALONE = "no other readable image in this shard"


@dataclass(frozen=True)
class Maps:
    """One method's or control's heatmaps of a batch.

    Attributes:
        method: its name.
        control: whether it is a control's.
        heatmaps: (n, 3, h, w), rescaled to a largest absolute value of 1.
        scale: (n,), the largest absolute value before.
        status: per image, `OK` or what speaks against the map.
        completeness: (n,), DeepLift's relative difference.
    """

    method: str
    control: bool
    heatmaps: Tensor
    scale: Tensor
    status: Sequence[str]
    completeness: Tensor | None = None

    @classmethod
    def of(
        cls,
        method: str,
        control: bool,
        raw: Tensor,
        status: Sequence[str],
        completeness: Tensor | None = None,
    ) -> Maps:
        """Rescale raw heatmaps."""
        return cls(method, control, rescale(raw), raw.abs().amax(dim=(1, 2, 3)), status, completeness)


@dataclass
class ShardAudit:
    """Audits the images of one shard, batch by batch.

    The shuffled control gives each image the heatmap of the image before it in the shard, and the
    first one that of the last: whatever the batches, the same image lends to the same.
    """

    classifier: Classifier
    requests: Sequence[Request]
    config: AuditConfig

    def __post_init__(self) -> None:
        self._attributor = Attributor(self.classifier, self.requests, self.config.space)
        # On its own, for the single image that lends its heatmap to the first one of a shard.
        self._lender = Attributor(self.classifier, self.requests[:1], self.config.space)

    def __call__(self, items: Sequence[Item]) -> dict[str, Rows]:
        """Rows of the tables ``predictions`` and ``scores`` for all items, readable or not."""
        tables: dict[str, Rows] = {"predictions": [], "scores": []}
        previous = self._last_heatmap(items) if "shuffled" in self.config.controls else None
        for batch in batches(items, self.classifier.framing, self.config.batch_size):
            for item, reason in batch.failed:
                tables["predictions"].append(_failed_prediction(item, reason))
                tables["scores"] += self._failed_scores(item, reason)
            if batch.items:
                predictions, scores, previous = self._audit(batch, previous)
                tables["predictions"] += predictions
                tables["scores"] += scores
        return tables

    def heatmaps(self, batch: Batch, previous: Lent | None) -> Iterator[Maps]:
        """Every method's and then every control's heatmaps for a batch, rescaled.

        Args:
            batch: the images.
            previous: name and heatmap of the image before the batch, for the shuffled control.
        """
        inputs = self.classifier.inputs(batch.images, self.config.space)
        first: Maps | None = None
        for name, found in self._attributor(batch.images, self._target(batch)).items():
            maps = _maps(name, found, inputs)
            first = maps if first is None else first
            yield maps
        names = [item.name for item in batch.items]
        for name in self.config.controls:
            others, status = torch.zeros_like(inputs), [OK] * len(inputs)
            if name == "shuffled" and first is not None:
                others, status = _lent(names, first, previous)
            yield Maps.of(name, True, CONTROLS[name].compute(inputs, others, names, self.config.seed), status)

    def _audit(self, batch: Batch, previous: Lent | None) -> tuple[Rows, Rows, Lent | None]:
        inputs = self.classifier.inputs(batch.images, self.config.space)
        before = self._logits(inputs)
        finite = _finite(before)
        scores: Rows = []
        last = previous
        for maps in self.heatmaps(batch, previous):
            if not maps.control and maps.method == self.requests[0].name:
                last = (batch.items[-1].name, maps.heatmaps[-1], maps.status[-1])
            for operation in self.config.operations:
                augmented = augment(inputs, maps.heatmaps, operation)
                after = self._logits(self._clipped(augmented) if self.config.clip else augmented)
                scores += _score_rows(batch.items, maps, operation, before, after, finite)
        return _prediction_rows(batch.items, before, finite), scores, last

    def _logits(self, inputs: Tensor) -> Tensor:
        """Logits in float64 on the processor: what is computed from them adds no rounding of its own."""
        with torch.no_grad():
            return self.classifier(inputs, self.config.space).double().cpu()

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
                if batch.items:
                    inputs = self.classifier.inputs(batch.images, self.config.space)
                    ((name, found),) = self._lender(batch.images, self._target(batch)).items()
                    maps = _maps(name, found, inputs)
                    return item.name, maps.heatmaps[0], maps.status[0]
        return None

    def _failed_scores(self, item: Item, reason: str) -> Rows:
        names = [(request.name, False) for request in self.requests]
        names += [(name, True) for name in self.config.controls]
        return [
            _score_row(item, name, operation, control, reason)
            for name, control in names
            for operation in self.config.operations
        ]


def _maps(name: str, found: Attribution | Refused, inputs: Tensor) -> Maps:
    """A method's heatmaps with what speaks against each."""
    if isinstance(found, Refused):
        return Maps.of(name, False, torch.zeros_like(inputs), [str(found)] * len(inputs))
    status = [OK if ok else "the heatmap is not finite" for ok in _finite(found.heatmaps)]
    if found.completeness is not None:
        status = [_complete(s, c) for s, c in zip(status, found.completeness.tolist(), strict=True)]
    return Maps.of(name, False, found.heatmaps, status, found.completeness)


def _lent(names: Sequence[str], first: Maps, previous: Lent | None) -> tuple[Tensor, list[str]]:
    """Each image's heatmap from the image before it, and a status where that one has none to lend."""
    if previous is None or previous[0] == names[0]:
        return torch.zeros_like(first.heatmaps), [ALONE] * len(names)
    heatmaps = torch.cat([previous[1].unsqueeze(0), first.heatmaps[:-1]])
    lenders = [previous[2], *first.status[:-1]]
    return heatmaps, [OK if status == OK else f"the lender's map: {status}" for status in lenders]


def _finite(values: Tensor) -> list[bool]:
    return [bool(v) for v in values.isfinite().flatten(1).all(dim=1)]


def _complete(status: str, difference: float) -> str:
    if status != OK or difference <= COMPLETENESS_TOLERANCE:
        return status
    return f"incomplete: the heatmap's sum misses the logit's rise by more than {COMPLETENESS_TOLERANCE:.0%}"


def _prediction_rows(items: Sequence[Item], logits: Tensor, finite: Sequence[bool]) -> Rows:
    predicted = logits.argmax(dim=1)
    measures = {name: values.tolist() for name, values in confidence_measures(logits).items()}
    p_label = class_probability(logits, _labels(items)).tolist()
    rows = []
    for i, item in enumerate(items):
        if not finite[i]:
            rows.append(_failed_prediction(item, NOT_FINITE))
            continue
        rows.append(
            {
                "image": item.name,
                "label": item.label,
                "predicted": int(predicted[i]),
                "correct": None if item.label is None else int(predicted[i]) == item.label,
                "p_label": None if item.label is None else p_label[i],
                "status": OK,
                **{name: values[i] for name, values in measures.items()},
            }
        )
    return rows


def _score_rows(
    items: Sequence[Item], maps: Maps, operation: str, before: Tensor, after: Tensor, finite: Sequence[bool]
) -> Rows:
    predicted, labels = before.argmax(dim=1), _labels(items)
    columns = {
        "co_label": logit_gain(before, after, labels),
        "co_predicted": logit_gain(before, after, predicted),
        "delta_p_label": class_probability(after, labels) - class_probability(before, labels),
        "delta_p_predicted": class_probability(after, predicted) - class_probability(before, predicted),
        "predicted_after": after.argmax(dim=1),
    }
    if maps.completeness is not None:
        columns["completeness"] = maps.completeness
    values = {name: column.tolist() for name, column in columns.items()}
    rows = []
    for i, (item, after_finite) in enumerate(zip(items, _finite(after), strict=True)):
        status = maps.status[i] if finite[i] and after_finite else NOT_FINITE
        figures = {name: column[i] for name, column in values.items()}
        if item.label is None:
            figures |= {"co_label": None, "delta_p_label": None}
        row = _score_row(item, maps.method, operation, maps.control, status)
        # A certificate that failed stays in the table: it is why the figures are not there.
        kept = (
            figures
            if status == OK
            else {name: figures[name] for name in ("completeness",) if name in figures}
        )
        rows.append(row | kept)
    return rows


def _labels(items: Sequence[Item]) -> Tensor:
    """Labels, 0 where there is none: such an image's figures are dropped."""
    return torch.tensor([0 if item.label is None else item.label for item in items])


def _failed_prediction(item: Item, reason: str) -> dict[str, Any]:
    return {"image": item.name, "label": item.label, "status": reason}


def _score_row(item: Item, method: str, operation: str, control: bool, status: str) -> dict[str, Any]:
    return {
        "image": item.name,
        "method": method,
        "operation": operation,
        "control": control,
        "status": status,
    }
