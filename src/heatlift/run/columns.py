"""A run's tables as arrays with one entry per image, checked: one row each, and every figure a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray
from heatlift.run.tables import read_table
from heatlift.temperature import TEMPERATURES
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
        predicted: class index.
        correct: predicted the label.
        confidences: name to score, high meaning "probably correct".
        log_confidence_at: logarithm of the confidence at each temperature, (n, 49); None where the run is
            from before it was kept.
        p_label: softmax probability of the label, NaN where unknown.
    """

    images: Any
    ok: Mask
    failures: dict[str, int]
    labelled: Mask
    label: Codes
    predicted: Codes
    correct: Mask
    confidences: dict[str, FloatArray]
    log_confidence_at: FloatArray | None
    p_label: FloatArray


@dataclass(frozen=True)
class PairScores:
    """What one method (or control) did under one operation at one scale, an entry per image."""

    method: str
    operation: str
    control: bool
    scale: float
    ok: Mask
    failures: dict[str, int]
    co_label: FloatArray
    co_predicted: FloatArray
    delta_p_label: FloatArray
    predicted_after: Codes
    completeness: FloatArray

    @property
    def name(self) -> str:
        """``saliency/add``, or ``saliency/add x0.3`` where the scale is not 1."""
        return pair_name(self.method, self.operation, self.scale)


@dataclass(frozen=True)
class IndicatorScores:
    """What one indicator said, an entry per image; high means "probably correct"."""

    indicator: str
    ok: Mask
    failures: dict[str, int]
    values: FloatArray


def read_predictions(run: Path) -> Predictions:
    """The predictions of a run.

    A row that claims to be ok while a figure is missing or not finite is counted as failed, with the
    figure's name as the reason.

    Raises:
        HeatliftError: the run has no predictions, or an image has more than one row.
    """
    columns = ["image", "label", "predicted", "status", "p_label", "log_confidence_at", *CONFIDENCES]
    table = read_table(run, "predictions", columns)
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
    log_confidence_at = _at_temperatures(table["log_confidence_at"])
    figures = scores if log_confidence_at is None else scores | {"log_confidence_at": log_confidence_at[:, 0]}
    ok, failures = _usable(
        table["status"],
        {"predicted is missing": predicted == NONE}
        | {f"{name} is not a finite number": ~np.isfinite(values) for name, values in figures.items()},
    )
    labelled = label != NONE
    return Predictions(
        images,
        ok,
        failures,
        labelled,
        label,
        predicted,
        labelled & (label == predicted),
        scores,
        log_confidence_at,
        _floats(table["p_label"]),
    )


def read_scores(run: Path, predictions: Predictions) -> Iterator[PairScores]:
    """Each method under each operation at each scale, in the order in which the table first has them.

    Raises:
        HeatliftError: a pair has no row, or more than one, for an image; or an image is not among the
            predictions.
    """
    table = read_table(run, "scores")
    # Runs from before there were scales are at 1.
    table = table.set_column(
        table.schema.get_field_index("scale"), "scale", pc.fill_null(table["scale"], 1.0)
    )
    keys = ["method", "operation", "scale"]
    for key, rows in _by_key(run, "scores", table, keys, pair_name, predictions):
        yield _pair(rows, key, predictions)


def read_indicators(run: Path, predictions: Predictions) -> Iterator[IndicatorScores]:
    """Each indicator, in the order in which the table first has them; none where the run had none.

    Raises:
        HeatliftError: as of `read_scores`.
    """
    table = read_table(run, "indicators")
    for (indicator,), rows in _by_key(run, "indicators", table, ["indicator"], str, predictions):
        values = _floats(rows["value"])
        ok, failures = _usable(
            rows["status"],
            {"its prediction failed": ~predictions.ok, "value is not a finite number": ~np.isfinite(values)},
        )
        yield IndicatorScores(indicator, ok, failures, values)


def _by_key(
    run: Path,
    name: str,
    table: pa.Table,
    keys: list[str],
    called: Callable[..., str],
    predictions: Predictions,
) -> Iterator[tuple[tuple[Any, ...], pa.Table]]:
    """The rows of each combination of the key columns, one for each image, in the order of the images.

    Args:
        run: the run's folder.
        name: the table's.
        table: all its rows.
        keys: columns that say what a row is about, the image aside.
        called: what a combination is called in a message.
        predictions: whose images there are.
    """
    place = pc.index_in(table["image"], value_set=predictions.images)
    if place.null_count:
        strangers = pc.unique(table["image"].filter(pc.is_null(place)))
        raise HeatliftError(
            f"{run}/{name} has rows for {_names(strangers)}, which predictions lacks: run the audit again, "
            "it does what is missing"
        )
    texts = [pc.cast(table[key], pa.string()) for key in keys]
    joined = pc.binary_join_element_wise(*texts, "\n").combine_chunks()
    distinct = pc.unique(joined)
    which, places = pc.index_in(joined, value_set=distinct).to_numpy(), place.to_numpy()
    order = np.lexsort((places, which))
    bounds = np.searchsorted(which[order], np.arange(len(distinct) + 1))
    for start, stop in pairwise(bounds):
        chosen = order[start:stop]
        rows = table.take(pa.array(chosen))
        key = tuple(rows[column][0].as_py() for column in keys)
        seen = np.bincount(places[chosen], minlength=len(predictions.images))
        for found, what, remedy in (
            (seen == 0, "no row", "run the same audit again, it does what is missing"),
            (seen > 1, "more than one row", "move the folder away and run the audit again"),
        ):
            if found.any():
                images = _names(predictions.images.filter(pa.array(found)))
                raise HeatliftError(f"{run}/{name} has {what} of {called(*key)} for {images}: {remedy}")
        yield key, rows


def _pair(table: pa.Table, key: tuple[str, str, float], predictions: Predictions) -> PairScores:
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
    method, operation, scale = key
    control = bool(table["control"][0].as_py())
    return PairScores(
        method,
        operation,
        control,
        scale,
        ok,
        failures,
        predicted_after=after,
        completeness=completeness,
        **figures,
    )


def pair_name(method: str, operation: str, scale: float) -> str:
    return f"{method}/{operation}" + ("" if scale == 1 else f" x{scale:g}")


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


def _at_temperatures(column: pa.ChunkedArray) -> FloatArray | None:
    """A list per row -> (n, 49), NaN in rows that lack any of it; None where no row has any."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    if not lengths.any():
        return None
    full = lengths == len(TEMPERATURES)
    found = np.full((len(full), len(TEMPERATURES)), np.nan)
    found[full] = _floats(pc.list_flatten(column.filter(pa.array(full)))).reshape(-1, len(TEMPERATURES))
    found[~np.isfinite(found).all(axis=1)] = np.nan
    return found


def _classes(column: pa.ChunkedArray) -> Codes:
    return np.asarray(pc.fill_null(column, NONE).to_numpy(), dtype=np.int64)


def _names(images: Any) -> str:
    """The first three, and how many more."""
    shown = ", ".join(images[:3].to_pylist())
    return shown if len(images) <= 3 else f"{shown} and {len(images) - 3} more"
