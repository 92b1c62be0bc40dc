"""Manifests: a .csv or .parquet table with the columns path and label, one row per image."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from heatlift.class_names import WNID, ClassNames, imagenet_output
from heatlift.errors import HeatliftError

SUFFIXES = (".csv", ".parquet")

COLUMNS = ("path", "label")

WHOLE_NUMBER = re.compile(r"([+-]?\d{1,18})(\.0*)?", re.ASCII)  # 3.0 is how pandas writes a 3 beside gaps

Row = tuple[str, object, object]
"""Where the row is (``line 3``), and its two cells as they were read."""


def read_manifest(
    manifest: Path, num_classes: int, classes: Sequence[str] | None
) -> Iterator[tuple[str, Path, int | None]]:
    """Each row's path relative to the manifest's folder, its whole path, and its label.

    A label is the number of an output (0 to ``num_classes`` - 1), a class name, or, for 1000 outputs,
    an ImageNet wnid; an empty cell, null or NaN is no label. A file need not exist: that shows when it
    is decoded. Columns beside ``path`` and ``label`` are passed over.

    Raises:
        HeatliftError: the manifest cannot be read, lacks a column or any row, or one of its rows has no
            path, the path of an earlier row, or a label that stands for no output; the row is named.
    """
    names = ClassNames(classes) if classes is not None else None
    rows = _csv_rows(manifest) if manifest.suffix.lower() == ".csv" else _parquet_rows(manifest)
    first_seen: dict[str, str] = {}
    for where, path, label in rows:
        try:
            written = _path(path)
            output = _output(label, num_classes, names)
        except ValueError as error:
            raise HeatliftError(f"{manifest}, {where}: {error}") from error
        whole = manifest.parent / written
        relative = os.path.relpath(whole, manifest.parent)
        if relative in first_seen:
            raise HeatliftError(
                f"{manifest}, {where}: {written!r} is in {first_seen[relative]} already: keep one of the two"
            )
        first_seen[relative] = where
        yield relative, whole, output
    if not first_seen:
        raise HeatliftError(f"{manifest} has no rows: write one row per image, with its path and label")


def _csv_rows(manifest: Path) -> Iterator[Row]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            path, label = _columns(manifest, header)
            for cells in reader:
                where = f"line {reader.line_num}"
                if not cells:  # a blank line
                    continue
                if len(cells) != len(header):
                    raise HeatliftError(
                        f"{manifest}, {where}: {len(cells)} cells where the header has {len(header)}: "
                        "put quotes around a path that has a comma, and write a comma before an empty label"
                    )
                yield where, cells[path], cells[label]
    except UnicodeDecodeError as error:
        raise HeatliftError(f"{manifest} is not in UTF-8: save it again with that encoding") from error
    except csv.Error as error:
        raise HeatliftError(f"{manifest}, line {reader.line_num}: not a CSV table ({error})") from error
    except OSError as error:
        raise HeatliftError(f"cannot read {manifest}: {error.strerror}") from error


def _parquet_rows(manifest: Path) -> Iterator[Row]:
    numbers = count(1)
    # ParquetFile, since read_table would make columns of folder names such as label=3.
    try:
        with pq.ParquetFile(manifest) as file:
            header = file.schema_arrow.names
            chosen = [header[column] for column in _columns(manifest, header)]
            for batch in file.iter_batches(columns=chosen):
                cells = zip(*(batch.column(name).to_pylist() for name in chosen), strict=True)
                for path, label in cells:
                    yield f"row {next(numbers)}", path, label
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason, *_ = str(error).splitlines() or [type(error).__name__]
        raise HeatliftError(f"cannot read {manifest} as Parquet: {reason}") from error


def _columns(manifest: Path, header: Sequence[str]) -> tuple[int, int]:
    plain = [name.strip().casefold() for name in header]
    for name in COLUMNS:
        if plain.count(name) != 1:
            problem = "more than one column" if name in plain else "no column"
            raise HeatliftError(
                f"{manifest} has {problem} named {name!r} (its columns: {', '.join(header) or 'none'}): "
                "write path,label in its first line; labels may be empty"
            )
    return plain.index("path"), plain.index("label")


def _path(cell: object) -> str:
    if not isinstance(cell, str):
        raise ValueError("the path is missing" if cell is None else f"the path {cell!r} is not text")
    if not cell.strip():
        raise ValueError("the path is empty")
    if "\0" in cell:
        raise ValueError(f"the path {cell!r} has a null character")
    return cell


def _output(cell: object, num_classes: int, names: ClassNames | None) -> int | None:
    """The output that a label's cell stands for.

    Raises:
        ValueError: it stands for none, or for more than one.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(cell).strip()
    if not text:
        return None
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(f"label {cell!r} is neither a whole number nor a class name")
    named = names.outputs(text) if names is not None else ()
    if number := WHOLE_NUMBER.fullmatch(text):
        index = int(number[1])
        if not 0 <= index < num_classes:
            raise ValueError(
                f"the network has no output {text}: its {num_classes} outputs are 0 to {num_classes - 1}"
            )
        if isinstance(cell, str) and named not in ((), (index,)):
            raise ValueError(f"label {text!r} is one output's number and another's name: rename that class")
        return index
    if len(named) == 1:
        return named[0]
    if named:
        raise ValueError(f"class {text!r} may be any of the outputs {named}: write the number")
    if WNID.fullmatch(text) and num_classes == 1000 and (output := imagenet_output(text)) is not None:
        return output
    if names is None:
        raise ValueError(
            f"label {text!r} is a name, and the network's class names are not known: "
            "give them with --classes FILE, or write numbers"
        )
    raise ValueError(f"the network has no class {text!r}: check the spelling, or give --classes FILE")
