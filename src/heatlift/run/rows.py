"""What an audit found of a batch, as rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from heatlift.data import Item
from heatlift.run.heatmaps import Applied, finite
from heatlift.score import class_probability, confidence_measures, log_confidence_at, logit_gain
from heatlift.temperature import TEMPERATURES
from heatlift.types import OK

Rows = list[dict[str, Any]]

NOT_FINITE = "the network returned NaN or infinite logits"


def prediction_rows(items: Sequence[Item], logits: Tensor, usable: Sequence[bool]) -> Rows:
    """Rows of the table ``predictions``; ``usable`` says whose logits are finite."""
    predicted = logits.argmax(dim=1)
    measures = {name: values.tolist() for name, values in confidence_measures(logits).items()}
    p_label = class_probability(logits, _labels(items)).tolist()
    # One at a time: of many classes at every temperature a whole batch would take much memory.
    at_temperatures = [log_confidence_at(one, TEMPERATURES)[0].tolist() for one in logits.split(1)]
    rows = []
    for i, item in enumerate(items):
        if not usable[i]:
            rows.append(failed_prediction(item, NOT_FINITE))
            continue
        rows.append(
            {
                "image": item.name,
                "label": item.label,
                "predicted": int(predicted[i]),
                "correct": None if item.label is None else int(predicted[i]) == item.label,
                "p_label": None if item.label is None else p_label[i],
                "log_confidence_at": at_temperatures[i],
                "status": OK,
                **{name: values[i] for name, values in measures.items()},
            }
        )
    return rows


def score_rows(
    items: Sequence[Item], given: Applied, before: Tensor, after: Tensor, usable: Sequence[bool]
) -> Rows:
    """Rows of the table ``scores`` for one method or control under one operation at one scale."""
    maps = given.maps
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
    for i, (item, after_finite) in enumerate(zip(items, finite(after), strict=True)):
        status = maps.status[i] if usable[i] and after_finite else NOT_FINITE
        figures = {name: column[i] for name, column in values.items()}
        if item.label is None:
            figures |= {"co_label": None, "delta_p_label": None}
        row = score_row(item, maps.method, given.operation, given.scale, maps.control, status)
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


def failed_prediction(item: Item, reason: str) -> dict[str, Any]:
    """The row of an image that has no prediction."""
    return {"image": item.name, "label": item.label, "status": reason}


def indicator_rows(
    items: Sequence[Item], indicator: str, values: Sequence[float], status: Sequence[str]
) -> Rows:
    """Rows of the table ``indicators`` for one of them."""
    return [
        {**failed_indicator(item, indicator, state), "value": value if state == OK else None}
        for item, value, state in zip(items, values, status, strict=True)
    ]


def failed_indicator(item: Item, indicator: str, reason: str) -> dict[str, Any]:
    """The row of an image that an indicator has no value of."""
    return {"image": item.name, "indicator": indicator, "status": reason}


def score_row(
    item: Item, method: str, operation: str, scale: float, control: bool, status: str
) -> dict[str, Any]:
    """A row of the table ``scores`` without its figures."""
    return {
        "image": item.name,
        "method": method,
        "operation": operation,
        "scale": scale,
        "control": control,
        "status": status,
    }
