"""The tables of a run's folder: columns, format number, and parts that are never half written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from heatlift.errors import HeatliftError, first_line
from heatlift.run.whole import whole

FORMAT = 1
"""Raised whenever a column changes its meaning or goes away."""

PREDICTIONS = pa.schema(
    [
        ("image", pa.string()),  # path relative to DATA, unique in a run
        ("label", pa.int32()),  # the truth; null where DATA has none
        ("predicted", pa.int32()),  # null where the row failed, like every figure below
        ("correct", pa.bool_()),  # null without a label
        ("confidence", pa.float64()),  # largest softmax probability
        ("max_logit", pa.float64()),
        ("margin", pa.float64()),  # largest minus second largest softmax probability
        ("entropy", pa.float64()),  # of the softmax, in nats
        ("energy", pa.float64()),  # -logsumexp(logits): low for confident images
        ("p_label", pa.float64()),  # softmax probability of the label
        # log of the largest softmax probability at each of heatlift.temperature.TEMPERATURES
        ("log_confidence_at", pa.list_(pa.float32())),
        ("status", pa.string()),
    ]
)

SCORES = pa.schema(
    [
        ("image", pa.string()),
        ("method", pa.string()),  # a method's or a control's name
        ("operation", pa.string()),  # add | multiply
        ("control", pa.bool_()),
        ("scale", pa.float64()),  # from the image (0) to what the operation gives (1); null reads as 1
        ("co_label", pa.float64()),  # null without a label
        ("co_predicted", pa.float64()),
        ("delta_p_label", pa.float64()),  # softmax probability after minus before
        ("delta_p_predicted", pa.float64()),
        ("predicted_after", pa.int32()),
        ("completeness", pa.float64()),  # relative difference; DeepLift only
        ("status", pa.string()),
    ]
)

INDICATORS = pa.schema(
    [
        ("image", pa.string()),
        ("indicator", pa.string()),  # its name as it was given
        ("value", pa.float64()),  # high: probably correct
        ("status", pa.string()),
    ]
)

LIFT = pa.schema(
    [
        ("image", pa.string()),
        ("method", pa.string()),  # gax | spotlight
        ("label", pa.int32()),
        ("target", pa.int32()),  # the class raised
        ("operation", pa.string()),  # add | multiply
        ("steps", pa.int32()),  # updates that the heatmap had
        ("reached", pa.bool_()),  # GAX: co is at the target; spotlight: the target is predicted afterwards
        ("co", pa.float64()),  # CO score of x' for the target
        ("co_clipped", pa.float64()),  # the same of x' brought back to [0, 1]
        ("change", pa.float64()),  # mean |x' - x| of x' brought back to [0, 1]
        ("p_before", pa.float64()),  # softmax probability of the target
        ("p_after", pa.float64()),
        ("predicted_before", pa.int32()),
        ("predicted_after", pa.int32()),
        ("co_verify", pa.float64()),  # on the network that took no part, of x' in [0, 1]; null without one
        ("p_verify_before", pa.float64()),
        ("p_verify_after", pa.float64()),
        ("predicted_verify_before", pa.int32()),
        ("predicted_verify_after", pa.int32()),
        ("status", pa.string()),
    ]
)

EVOLUTIONS = pa.schema(
    [
        ("image", pa.string()),
        ("factor", pa.string()),  # of undesirable-pixels runs, their first trial's; null in lift runs
        ("step", pa.int32()),  # updates
        # As the optimiser saw it: what sees a view of the image each step has the figures of a view.
        ("co", pa.float64()),  # CO score; null in undesirable-pixels runs
        ("p_target", pa.float32()),  # softmax probabilities; null unless the image's steps are kept
        ("p_label", pa.float32()),  # null without a label, too
        ("top", pa.list_(pa.int32())),  # the five likeliest classes, likeliest first
        ("p_top", pa.list_(pa.float32())),
    ]
)

THUMBNAILS = pa.schema(
    [
        ("image", pa.string()),
        ("thumbnail", pa.binary()),  # WebP, the longer side 96 pixels; null for an unreadable image
    ]
)

UNDESIRABLE = pa.schema(
    [
        ("image", pa.string()),
        ("label", pa.int32()),
        ("target", pa.int32()),  # the class that the mask is about
        ("factor", pa.string()),  # target | non_target | none
        ("trial", pa.int32()),  # from 0; each starts elsewhere
        ("p_before", pa.float64()),  # softmax probability of the target
        ("p_after", pa.float64()),  # the same for Q = x M' + g(x) (1 - M')
        ("remainder", pa.float64()),  # 1 - p_before, also where that is too small for 1 - p
        ("phi", pa.float64()),  # relative improvement in per cent, up to 100
        ("area", pa.float64()),  # share of the pixels with 1 - M' above 0.6
        ("taken", pa.float64()),  # mean 1 - M'
        ("max_magnitude", pa.float64()),  # largest 1 - M'
        ("predicted_before", pa.int32()),
        ("predicted_after", pa.int32()),
        ("p_blob", pa.float64()),  # control: the mask's own values in random places
        ("phi_blob", pa.float64()),
        ("predicted_blob", pa.int32()),
        ("p_blur", pa.float64()),  # control: nothing kept, the whole of g(x)
        ("phi_blur", pa.float64()),
        ("predicted_blur", pa.int32()),
        ("p_verify_before", pa.float64()),  # on the network that took no part; null without one
        ("p_verify_after", pa.float64()),
        ("predicted_verify_before", pa.int32()),
        ("predicted_verify_after", pa.int32()),
        ("status", pa.string()),
    ]
)

AGREEMENT = pa.schema(
    [
        ("image", pa.string()),
        ("factor", pa.string()),
        ("first", pa.int32()),  # two trials
        ("second", pa.int32()),
        ("iou", pa.float64()),  # of the pixels with 1 - M' above 0.6; null where both masks have none
        ("iou_top", pa.float64()),  # of the 4% where 1 - M' is largest; null for a flat mask
        ("correlation", pa.float64()),  # Pearson's, of 1 - M'; null for a flat mask
        ("spearman", pa.float64()),
        ("ssim", pa.float64()),
    ]
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "predictions": PREDICTIONS,
    "scores": SCORES,
    "indicators": INDICATORS,
    "lift": LIFT,
    "evolutions": EVOLUTIONS,
    "undesirable": UNDESIRABLE,
    "agreement": AGREEMENT,
    "thumbnails": THUMBNAILS,
}

TABLES: Mapping[str, tuple[str, ...]] = {
    "audit": ("predictions", "scores", "indicators", "thumbnails"),
    "lift": ("lift", "evolutions", "thumbnails"),
    "undesirable": ("undesirable", "agreement", "evolutions", "thumbnails"),
}
"""The tables of each kind of run; the first has a row for every image, whatever became of it."""

NEWER = ("indicators", "evolutions", "thumbnails")
"""Tables that runs of earlier versions lack; read, they are empty."""


def part_path(run: Path, table: str, shard: int) -> Path:
    """Where a shard's part of a table is kept."""
    return run / table / f"part-{shard:06d}.parquet"


def write_part(run: Path, table: str, shard: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one shard's rows so that a reader sees the whole part or none of it."""
    found = pa.Table.from_pylist(list(rows), schema=SCHEMAS[table])
    with whole(part_path(run, table, shard), "wb") as file:
        # Without checksums two of five flipped bits would be read as other figures.
        pq.write_table(found, file, compression="zstd", write_page_checksum=True)


def parts(run: Path, table: str) -> set[int]:
    """The shards whose part of a table is there."""
    return {int(path.stem.removeprefix("part-")) for path in (run / table).glob("part-*.parquet")}


def whole_parts(run: Path, table: str) -> set[int]:
    """The shards whose part of a table is there, neither cut off nor damaged."""
    found = set()
    for part in parts(run, table):
        with suppress(HeatliftError):
            read_part(part_path(run, table, part), table)
            found.add(part)
    return found


def read_table(run: Path, table: str, columns: Iterable[str] | None = None) -> pa.Table:
    """All finished parts of a table as one, in the order of the shards; columns that it lacks are null.

    Raises:
        HeatliftError: the folder has no part of this table, or a damaged one.
    """
    files = sorted((run / table).glob("part-*.parquet"))
    names = list(columns) if columns is not None else None
    if not files and table in NEWER:
        empty = SCHEMAS[table].empty_table()
        return empty if names is None else empty.select(names)
    if not files:
        raise HeatliftError(f"{run} has no {table} yet: is it the folder of a finished run?")
    return pa.concat_tables([read_part(file, table, names) for file in files])


def read_part(file: Path, table: str, names: list[str] | None = None) -> pa.Table:
    """One part of a table, its named columns or all of them.

    Raises:
        HeatliftError: it is damaged.
    """
    schema = SCHEMAS[table]
    try:
        foreign = set(pq.read_schema(file).names) - set(schema.names)
        if foreign:
            raise ValueError(f"it has a column {min(foreign)!r}")
        return pq.read_table(file, columns=names, schema=schema, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise HeatliftError(
            f"{file} is damaged ({first_line(error)}): delete it and start the same run again, "
            "it does what is missing"
        ) from error
