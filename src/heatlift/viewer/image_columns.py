"""Columns that the images of every kind of run have, and how a table's columns become arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.types import OK
from heatlift.viewer.columns import Choice, Column, Heading, Values, chosen

LEFT_OUT = "left out"
"""How the status of an image begins that the run was not about."""

MOST_GROUPS = 2000
"""Heatmaps with their operations, factors, or indicators."""

OUTCOMES = ("ok", "failed", LEFT_OUT)


def aligned(table: pa.Table, images: pa.Array) -> pa.Table:
    """For each image its first row in a table, all null where it has none."""
    return table.take(pc.index_in(images, value_set=table["image"].combine_chunks()))


def distinct(column: pa.ChunkedArray) -> pa.Array:
    """The different values of a column by which rows are told apart, in their first order.

    Raises:
        ValueError: more than any run has.
    """
    found = pc.unique(column.drop_null())
    if len(found) > MOST_GROUPS:
        raise ValueError(f"{len(found):,} different heatmaps, factors or indicators: more than any run has")
    return found


def floats(column: pa.ChunkedArray) -> Values:
    """Nulls and what is not finite become NaN."""
    values = np.asarray(pc.cast(column, pa.float64()).to_numpy(), np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def classes_of(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Class indices, -1 where there is none."""
    return np.asarray(pc.fill_null(column, -1).to_numpy(), np.int64)


def correctness(label: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> Choice:
    """Whether the label was predicted, of images that were predicted at all."""
    heading = Heading("correct", "Prediction", "of the image as it is")
    codes = np.where(label < 0, 2, np.where(label == predicted, 0, 1))
    return Choice(
        heading, np.where(predicted < 0, -1, codes).astype(np.int32), ("correct", "wrong", "unlabelled")
    )


def outcome(status: pa.ChunkedArray) -> dict[str, Column]:
    """Whether there is a result, and why not."""
    words = [str(word or "no status") for word in status.to_pylist()]
    codes = [0 if word == OK else 2 if word.startswith(LEFT_OUT) else 1 for word in words]
    return {
        "outcome": Choice(Heading("outcome", "Outcome"), np.array(codes, np.int32), OUTCOMES),
        "reason": chosen(
            Heading("reason", "Reason", "why there is no result"),
            [None if word == OK else word for word in words],
        ),
    }
