"""Parts of a run's tables, read so that nothing in a file can do more than make it be left out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from heatlift.errors import HeatliftError, first_line
from heatlift.run.tables import NEWER, SCHEMAS, part_path
from heatlift.viewer.confined import confined

LARGEST, MOST_ROWS = 2**28, 2**23
"""Bytes and rows of a part: a run writes some hundred thousand and a few thousand."""

_NAME = re.compile(r"part-(\d{6}|[1-9]\d{6,8})\.parquet", re.ASCII)


def numbers(run: Path, table: str) -> set[int]:
    """The parts of a table that are there."""
    try:
        names = os.listdir(run / table)
    except OSError:
        return set()
    return {int(found[1]) for found in map(_NAME.fullmatch, names) if found}


def read_part(run: Path, table: str, part: int, columns: Sequence[str] | None = None) -> pa.Table:
    """A part's columns, or all that its table has; those that it lacks are null, and so is a newer table.

    Raises:
        HeatliftError: it is damaged, or not of the run.
    """
    path, schema = part_path(run, table, part), SCHEMAS[table]
    schema = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    try:
        # As one piece, and not as a data set like run.tables: of thousands of parts either is felt.
        with pq.ParquetFile(pa.py_buffer(confined(run, path, LARGEST).read_bytes())) as file:
            rows = file.metadata.num_rows
            if not rows:
                return schema.empty_table()
            if rows > MOST_ROWS:
                raise ValueError(f"{rows:,} rows")
            there = set(file.schema_arrow.names)
            found = file.read([name for name in schema.names if name in there], use_threads=False)
        if found.schema != schema or found.num_rows != rows:
            found = _fitted(found, schema, rows)
        found.validate(full=True)  # names that are no text, for one, would fail much later
    except FileNotFoundError as error:
        if table in NEWER:
            return schema.empty_table()
        raise HeatliftError(f"{path.relative_to(run)} is gone") from error
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        raise HeatliftError(
            f"{path.relative_to(run)} is damaged ({first_line(error)}): delete it and start the same run "
            "again, it does what is missing"
        ) from error
    return found


def _fitted(found: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    columns = [
        found[field.name].cast(field.type) if field.name in found.schema.names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
