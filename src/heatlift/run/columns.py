"""A run's tables as arrays with one entry per image, checked: one row each, and every figure a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray
from heatlift.run.tables import read_table
from heatlift.types import OK

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

CONFIDENCES: Mapping[str, int] = {"confidence": 1, "max_logit": 1, "margin": 1, "entropy": -1, "energy": -1}
"""The confidence baselines, and the sign that makes a high score mean "probably correct"."""

NONE = -1
"""Stands for a null class."""


@dataclass(frozen=True)
class Predictions:
    """What the classifier said: one entry per image of the run, in the order of the table.

    Attributes:
        images: names.
        ok: the row's figures can be used; everything else is meaningless where this is false.
        failures: why the others can't, with counts.
        labelled: the label is known.
        label: class index, NONE where unknown.
        correct: predicted the label.
        confidences: name to score, high meaning "probably correct".
    """

    images: Any
    ok: Mask
    failures: dict[str, int]
    labelled: Mask
    label: Codes
    correct: Mask
    confidences: dict[str, FloatArray]


@dataclass(frozen=True)
class PairScores:
    """What one method (or control) under one operation did: one entry per image, as in `Predictions`."""

    method: str
    operation: str
    control: bool
    ok: Mask
    failures: dict[str, int]
    co_label: FloatArray
    co_predicted: FloatArray
    delta_p_label: FloatArray
    predicted_after: Codes
    completeness: FloatArray


def read_predictions(run: Path) -> Predictions:
    """The predictions of a run.

    A row that claims to be ok while a figure is missing or not finite is counted as failed, with the
    figure's name as the reason.

    Raises:
        HeatliftError: the run has no predictions, or an image has more than one row.
    """
    table = read_table(run, "predictions", ["image", "label", "predicted", "status", *CONFIDENCES])
    images = table["image"].combine_chunks()
    counted = pc.value_counts(images)
    repeated = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    if len(repeated):
        raise HeatliftError(
            f"{run}/predictions has more than one row for {_names(repeated)}: "
            "move the folder away and run the audit again"
        )
    label, predicted = _classes(table["label"]), _classes(table["predicted"])
    scores = {name: sign * _floats(table[name]) for name, sign in CONFIDENCES.items()}
    ok, failures = _usable(
        table["status"],
        {"predicted is missing": predicted == NONE}
        | {f"{name} is not a finite number": ~np.isfinite(values) for name, values in scores.items()},
    )
    labelled = label != NONE
    return Predictions(images, ok, failures, labelled, label, labelled & (label == predicted), scores)


def read_scores(run: Path, predictions: Predictions) -> Iterator[PairScores]:
    """Each pair of method and operation, in the order in which the table first has them.

    Raises:
        HeatliftError: a pair has no row, or more than one, for an image; or an image is not among the
            predictions.
    """
    table = read_table(run, "scores")
    place = pc.index_in(table["image"], value_set=predictions.images)
    if place.null_count:
        strangers = pc.unique(table["image"].filter(pc.is_null(place)))
        raise HeatliftError(
            f"{run}/scores has rows for {_names(strangers)}, which predictions lacks: run the audit again, "
            "it does what is missing"
        )
    names = pc.binary_join_element_wise(table["method"], table["operation"], "\n").combine_chunks()
    pairs = pc.unique(names)
    pair, places = pc.index_in(names, value_set=pairs).to_numpy(), place.to_numpy()
    order = np.lexsort((places, pair))
    bounds = np.searchsorted(pair[order], np.arange(len(pairs) + 1))
    figures = table.drop_columns(["image", "method", "operation"])
    for name, start, stop in zip(pairs.to_pylist(), bounds[:-1], bounds[1:], strict=True):
        method, operation = name.rsplit("\n", 1)
        rows = order[start:stop]
        seen = np.bincount(places[rows], minlength=len(predictions.images))
        for found, what, remedy in (
            (seen == 0, "no row", "run the same audit again, it does what is missing"),
            (seen > 1, "more than one row", "move the folder away and run the audit again"),
        ):
            if found.any():
                images = _names(predictions.images.filter(pa.array(found)))
                raise HeatliftError(f"{run}/scores has {what} of {method}/{operation} for {images}: {remedy}")
        yield _pair(figures.take(pa.array(rows)), method, operation, predictions)


def _pair(table: pa.Table, method: str, operation: str, predictions: Predictions) -> PairScores:
    """One pair's rows, already in the order of the images."""
    figures = {name: _floats(table[name]) for name in ("co_label", "co_predicted", "delta_p_label")}
    after = _classes(table["predicted_after"])
    completeness = _floats(table["completeness"])
    known = pc.is_valid(table["completeness"]).to_numpy()
    problems = {
        "its prediction failed": ~predictions.ok,
        "co_predicted is not a finite number": ~np.isfinite(figures["co_predicted"]),
        "co_label is not a finite number": predictions.labelled & ~np.isfinite(figures["co_label"]),
        "delta_p_label is not a finite number": predictions.labelled & ~np.isfinite(figures["delta_p_label"]),
        "predicted_after is missing": after == NONE,
        "completeness is not a finite number": known & ~np.isfinite(completeness),
    }
    ok, failures = _usable(table["status"], problems)
    control = bool(table["control"][0].as_py())
    return PairScores(
        method, operation, control, ok, failures, predicted_after=after, completeness=completeness, **figures
    )


def _usable(status: pa.ChunkedArray, problems: Mapping[str, Mask]) -> tuple[Mask, dict[str, int]]:
    """Which rows can be used, and for the others each one's first reason, counted."""
    ok: Mask = pc.fill_null(pc.equal(status, OK), False).to_numpy()
    stated = pc.value_counts(pc.fill_null(status, "no status").filter(pa.array(~ok)))
    failures = Counter({entry["values"]: entry["counts"] for entry in stated.to_pylist()})
    for reason, found in problems.items():
        failures[reason] += int((ok & found).sum())
        ok = ok & ~found
    return ok, {reason: count for reason, count in failures.most_common() if count}


def _floats(column: pa.ChunkedArray) -> FloatArray:
    """Nulls become NaN."""
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _classes(column: pa.ChunkedArray) -> Codes:
    return np.asarray(pc.fill_null(column, NONE).to_numpy(), dtype=np.int64)


def _names(images: Any) -> str:
    """The first three, and how many more."""
    shown = ", ".join(images[:3].to_pylist())
    return shown if len(images) <= 3 else f"{shown} and {len(images) - 3} more"
