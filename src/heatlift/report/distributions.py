"""A run's tables, summarised into what a figure draws: boxes and histograms, never single images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.run.tables import read_table

Values: TypeAlias = npt.NDArray[np.float64]
Kind: TypeAlias = Literal["correct", "wrong", "all"]
"""Which images: those predicted correctly, wrongly, or (where no labels are known) all."""


def kind_of(label: int | None, predicted: int | None) -> Kind:
    """How an image was predicted; ``all`` where nobody knows what is right."""
    if label is None:
        return "all"
    return "correct" if predicted == label else "wrong"


BINS = 28
BEYOND = 2
"""Extreme values drawn on each side of a box's whiskers."""


@dataclass(frozen=True)
class Box:
    """A distribution in seven numbers; ``low`` and ``high`` are the 5th and 95th percentiles.

    ``beyond`` holds the most extreme values outside them, at most two on each side.
    """

    n: int
    low: float
    lower: float
    median: float
    upper: float
    high: float
    beyond: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """One score over the images: a box for each kind of image, and the share of them in each bin."""

    boxes: Mapping[Kind, Box]
    edges: tuple[float, ...]
    shares: Mapping[Kind, tuple[float, ...]]


@dataclass(frozen=True)
class Scores:
    """The CO score of one heatmap and operation: for the label (None without labels), and without it."""

    with_label: Distribution | None
    label_free: Distribution | None


@dataclass(frozen=True)
class Axis:
    """The range of an axis; ``linear`` is the half-width of the linear part of a symmetric-log one.

    Half of that part is as wide as ``decades`` of the rest.
    """

    low: float
    high: float
    linear: float | None = None
    decades: float = 1.0


def read_distributions(
    run: Path, scale: float = 1.0
) -> tuple[dict[tuple[str, str], Scores], Distribution | None]:
    """Scores per (method, operation) at a scale, and plain confidence; rows that failed drop out.

    A method of which every row failed has no entry. A row that names no scale is at 1.

    Raises:
        HeatliftError: a table is missing.
    """
    predictions = read_table(run, "predictions", ["image", "correct", "confidence"])
    scores = read_table(run, "scores", ["image", "method", "operation", "scale", "co_label", "co_predicted"])
    scores = scores.filter(pc.equal(pc.fill_null(scores["scale"], 1.0), scale))
    correct = _floats(predictions["correct"])
    places = pc.index_in(scores["image"], value_set=predictions["image"].combine_chunks())
    kinds = np.append(correct, np.nan)[places.fill_null(-1).to_numpy()]
    label, predicted = _floats(scores["co_label"]), _floats(scores["co_predicted"])
    key = pc.binary_join_element_wise(scores["method"], scores["operation"], "\n").combine_chunks()
    encoded = key.dictionary_encode()
    codes = np.asarray(encoded.indices)
    found: dict[tuple[str, str], Scores] = {}
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        rows = codes == code
        method, _, operation = name.rpartition("\n")
        scored = _scores(label[rows], predicted[rows], kinds[rows])
        if scored.label_free is not None or scored.with_label is not None:
            found[method, operation] = scored
    confidence = _floats(predictions["confidence"])
    groups = _groups(confidence, correct)
    return found, _distribution(groups, _edges(groups.values())) if groups else None


def shared_axis(boxes: Iterable[Box]) -> Axis:
    """One axis for several boxes, symmetric-log where a linear one would crush a quarter of them to lines."""
    drawn = list(boxes)
    if not drawn:
        return Axis(-1.0, 1.0)
    low = min(min(box.low, *box.beyond) if box.beyond else box.low for box in drawn)
    high = max(max(box.high, *box.beyond) if box.beyond else box.high for box in drawn)
    low, high = min(low, 0.0), max(high, 0.0)
    widths = [box.upper - box.lower for box in drawn if box.upper > box.lower]
    typical = float(np.quantile(widths, 0.25)) if widths else 0.0
    if typical > 0 and high - low > 40 * typical:
        linear = 10.0 ** round(math.log10(typical))
        return Axis(1.3 * low - 0.2 * linear, 1.3 * high + 0.2 * linear, linear)
    pad = 0.03 * (high - low) or 1.0
    return Axis(low - pad, high + pad)


def _scores(label: Values, predicted: Values, kinds: Values) -> Scores:
    with_label, label_free = _groups(label, kinds, labelled=True), _groups(predicted, kinds)
    edges = _edges([*with_label.values(), *label_free.values()])
    return Scores(
        _distribution(with_label, edges) if with_label else None,
        _distribution(label_free, edges) if label_free else None,
    )


def _groups(values: Values, kinds: Values, labelled: bool = False) -> dict[Kind, Values]:
    """Finite values by kind of image; ``all`` where no image at all has a label."""
    finite = np.isfinite(values)
    if not labelled and np.isnan(kinds).all():
        return {"all": values[finite]} if finite.any() else {}
    groups: dict[Kind, Values] = {
        "correct": values[finite & (kinds == 1)],
        "wrong": values[finite & (kinds == 0)],
    }
    return {kind: group for kind, group in groups.items() if group.size}


def _edges(groups: Iterable[Values]) -> Values:
    """Bin edges from the 1st to the 99th percentile; a constant gets one unit around it."""
    pooled = np.concatenate(list(groups) or [np.zeros(1)])
    low, high = np.quantile(pooled, [0.01, 0.99])
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    edges: Values = np.linspace(low, high, BINS + 1)
    return edges


def _distribution(groups: Mapping[Kind, Values], edges: Values) -> Distribution:
    shares: dict[Kind, tuple[float, ...]] = {}
    for kind, values in groups.items():
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        shares[kind] = tuple((counts / values.size).tolist())
    return Distribution(
        {kind: _box(values) for kind, values in groups.items()}, tuple(edges.tolist()), shares
    )


def _box(values: Values) -> Box:
    low, lower, median, upper, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    ordered = np.sort(values)
    below, above = ordered[ordered < low], ordered[ordered > high]
    beyond = (*below[:BEYOND].tolist(), *above[-BEYOND:].tolist())
    return Box(int(values.size), low, lower, median, upper, high, beyond)


def _floats(column: pa.ChunkedArray) -> Values:
    """A column as floats, null as NaN, true and false as 1 and 0."""
    values: Values = column.cast(pa.float64()).to_numpy().astype(np.float64)
    return values
