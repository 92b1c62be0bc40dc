"""Parts of a run's tables, read so that nothing in a file can do more than make it be left out."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heatlift.errors import HeatliftError, first_line
from heatlift.run.tables import NEWER, SCHEMAS, part_path
from heatlift.viewer.confined import confined

LARGEST, MOST_ROWS = 2**28, 2**22
"""Bytes and rows of a part: a run writes some hundred thousand and a few thousand."""

UNPACKED = 2**29
"""Bytes of a column, decoded, and of all values: a word that is repeated very often takes next to no file."""

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
        buffer = pa.py_buffer(confined(run, path, LARGEST).read_bytes())
        there = set(pq.read_schema(buffer).names)
        words = [field.name for field in schema if _wordy(field.type) and field.name in there]
        with pq.ParquetFile(buffer, read_dictionary=words, page_checksum_verification=True) as file:
            rows = file.metadata.num_rows
            if not rows:
                return schema.empty_table()
            if rows > MOST_ROWS:
                raise ValueError(f"{rows:,} rows")
            if _values(file.metadata) > UNPACKED // 8:
                raise ValueError("more values than a run writes")
            found = _plain(file.read([name for name in schema.names if name in there], use_threads=False))
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


def _wordy(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _values(metadata: pq.FileMetaData) -> int:
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return sum(group.column(k).num_values for group in groups for k in range(group.num_columns))


def _plain(found: pa.Table) -> pa.Table:
    """The table with its words written out, if they are not too many."""
    for place, field in enumerate(found.schema):
        if pa.types.is_dictionary(field.type):
            column = found[field.name]
            size = sum(
                pc.sum(pc.binary_length(each.dictionary).take(each.indices)).as_py() or 0
                for each in column.chunks
            )
            if size > UNPACKED:
                raise ValueError(f"{size:,} bytes of {field.name}")
            found = found.set_column(place, field.name, column.cast(field.type.value_type))
    return found


def _fitted(found: pa.Table, schema: pa.Schema, rows: int) -> pa.Table:
    columns = [
        found[field.name].cast(field.type) if field.name in found.schema.names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
