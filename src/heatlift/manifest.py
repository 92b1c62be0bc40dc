"""Manifests: a .csv or .parquet table with the columns path and label, one row per image."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heatlift.class_names import WNID, ClassNames, imagenet_output
from heatlift.errors import HeatliftError, first_line, shown

SUFFIXES = (".csv", ".parquet")

COLUMNS = ("path", "label")

LONGEST = 4096
"""Bytes of a path or a class name; no file system has longer paths."""

ROWS = 512
"""Of a Parquet file at a time: few, as each cell of a hostile one may unpack to very much."""

WHOLE_NUMBER = re.compile(r"([+-]?\d{1,18})(\.0*)?", re.ASCII)  # 3.0 is how pandas writes a 3 beside gaps

Row = tuple[str, object, object]
"""Where the row is (``line 3``), and its two cells as they were read."""


def read_manifest(
    manifest: Path, num_classes: int, classes: Sequence[str] | None
) -> Iterator[tuple[str, Path, int | None]]:
    """Each row's path relative to the manifest's folder, its whole path, and its label.

    A label is the number of an output (0 to ``num_classes`` - 1), a class name, or, for 1000 outputs,
    an ImageNet wnid; an empty cell, null or NaN is no label. A file need not exist: that shows when it
    is decoded. Columns beside ``path`` and ``label`` are passed over. Paths stay within the manifest's
    folder, so that one from elsewhere shows nothing else of this machine; links in it are followed.

    Raises:
        HeatliftError: the manifest cannot be read, lacks a column or any row, or one of its rows has no
            path, one that leads out of the folder, the path of an earlier row, or a label that stands for
            no output; the row is named.
    """
    names = ClassNames(classes) if classes is not None else None
    rows = _csv_rows(manifest) if manifest.suffix.lower() == ".csv" else _parquet_rows(manifest)
    root = os.path.abspath(manifest.parent)
    first_seen: dict[str, str] = {}
    for where, path, label in rows:
        try:
            written = _path(path)
            output = _output(label, num_classes, names)
        except ValueError as error:
            raise HeatliftError(f"{manifest}, {where}: {error}") from error
        place = os.path.normpath(os.path.join(root, written))
        # Of very many rows relpath takes longer than everything else.
        inside = place.startswith(root + os.sep)
        relative = place[len(root) + 1 :] if inside else os.path.relpath(place, root)
        if relative == os.pardir or relative.startswith(os.pardir + os.sep):
            raise HeatliftError(
                f"{manifest}, {where}: {shown(repr(written))} leads out of the manifest's folder: move the "
                "manifest up to a folder that holds all its images, or put a link to theirs beside it"
            )
        if relative in first_seen:
            raise HeatliftError(
                f"{manifest}, {where}: {shown(repr(written))} is in {first_seen[relative]} already: "
                "keep one of the two"
            )
        first_seen[relative] = where
        # The path that was looked at: ``link/../x`` as it is written may be a file elsewhere.
        yield relative, manifest.parent / relative, output
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
                for name, cell in zip(COLUMNS, (cells[path], cells[label]), strict=True):
                    _check_length(manifest, where, name, len(cell.encode("utf-8", "surrogatepass")))
                yield where, cells[path], cells[label]
    except UnicodeDecodeError as error:
        raise HeatliftError(f"{manifest} is not in UTF-8: save it again with that encoding") from error
    except csv.Error as error:
        raise HeatliftError(f"{manifest}, line {reader.line_num}: not a CSV table ({error})") from error
    except OSError as error:
        raise HeatliftError(f"cannot read {manifest}: {error.strerror}") from error


def _parquet_rows(manifest: Path) -> Iterator[Row]:
    above = 0
    # ParquetFile, since read_table would make columns of folder names such as label=3.
    try:
        with pq.ParquetFile(manifest) as file:
            schema = file.schema_arrow
            chosen = [schema.names[column] for column in _columns(manifest, schema.names)]
            _check_kinds(manifest, file, chosen)
        # As dictionaries, in which a long text that stands in every row is there once.
        texts = [name for name in chosen if pa.types.is_string(schema.field(name).type)]
        with pq.ParquetFile(manifest, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=chosen):
                columns = [_plain(manifest, above, name, batch.column(name)) for name in chosen]
                cells = zip(*(column.to_pylist() for column in columns), strict=True)
                for number, (path, label) in enumerate(cells, above + 1):
                    yield f"row {number}", path, label
                above += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise HeatliftError(f"cannot read {manifest} as Parquet: {first_line(error)}") from error


def _check_kinds(manifest: Path, file: pq.ParquetFile, columns: Sequence[str]) -> None:
    """Refuse columns that are no plain values."""
    for name in columns:
        kind = file.schema_arrow.field(name).type
        values = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_nested(values) or "binary" in str(values):
            raise HeatliftError(
                f"{manifest}: its column {name!r} holds {shown(str(kind))}: write text, or numbers as labels"
            )


def _plain(manifest: Path, above: int, name: str, column: pa.Array) -> pa.Array:
    """A column's values one by one, once it is known that none is too long; ``above`` it are as many rows."""
    encoded = pa.types.is_dictionary(column.type)
    values = column.dictionary if encoded else column
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        lengths = pc.binary_length(values)
        lengths = lengths.take(column.indices) if encoded else lengths
        row = pc.index(pc.greater(lengths, LONGEST), True).as_py()
        if row >= 0:
            _check_length(manifest, f"row {above + row + 1}", name, lengths[row].as_py())
    return column.dictionary_decode() if encoded else column


def _check_length(manifest: Path, where: str, name: str, length: int) -> None:
    if length > LONGEST:
        raise HeatliftError(
            f"{manifest}, {where}: {name!r} has {length} bytes: a path or label has at most {LONGEST}"
        )


def _columns(manifest: Path, header: Sequence[str]) -> tuple[int, int]:
    plain = [name.strip().casefold() for name in header]
    for name in COLUMNS:
        if plain.count(name) != 1:
            problem = "more than one column" if name in plain else "no column"
            raise HeatliftError(
                f"{manifest} has {problem} named {name!r} "
                f"(its columns: {shown(', '.join(header), 200) or 'none'}): "
                "write path,label in its first line; labels may be empty"
            )
    return plain.index("path"), plain.index("label")


def _path(cell: object) -> str:
    if not isinstance(cell, str):
        raise ValueError(
            "the path is missing" if cell is None else f"the path {shown(repr(cell))} is not text"
        )
    if not cell.strip():
        raise ValueError("the path is empty")
    if "\0" in cell:
        raise ValueError(f"the path {shown(repr(cell))} has a null character")
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
        raise ValueError(f"label {shown(repr(cell))} is neither a whole number nor a class name")
    named = names.outputs(text) if names is not None else ()
    if number := WHOLE_NUMBER.fullmatch(text):
        index = int(number[1])
        if not 0 <= index < num_classes:
            raise ValueError(
                f"the network has no output {shown(text)}: "
                f"its {num_classes} outputs are 0 to {num_classes - 1}"
            )
        if isinstance(cell, str) and named not in ((), (index,)):
            raise ValueError(
                f"label {shown(repr(text))} is one output's number and another's name: rename that class"
            )
        return index
    if len(named) == 1:
        return named[0]
    if named:
        raise ValueError(
            f"class {shown(repr(text))} may be any of the outputs {shown(str(named))}: write the number"
        )
    if WNID.fullmatch(text) and num_classes == 1000 and (output := imagenet_output(text)) is not None:
        return output
    if names is None:
        raise ValueError(
            f"label {shown(repr(text))} is a name, and the network's class names are not known: "
            "give them with --classes FILE, or write numbers"
        )
    raise ValueError(
        f"the network has no class {shown(repr(text))}: check the spelling, or give --classes FILE"
    )
