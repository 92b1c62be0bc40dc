"""A run read back: its tables, its record and its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from heatlift.errors import HeatliftError
from heatlift.json_object import read_json
from heatlift.run.place import fetched
from heatlift.run.record import read_record
from heatlift.run.tables import TABLES, read_table


@dataclass(frozen=True)
class Run:
    """A run read back.

    Attributes:
        folder: where it is.
        record: ``run.json``: kind, command, configuration, model, data, package versions, status, timing.
        tables: of an audit ``predictions``, ``scores`` and ``indicators``, of a lift run ``lift`` and
            ``evolutions``, of an undesirable-pixels run ``undesirable``, ``agreement`` and ``evolutions``;
            columns as in `heatlift.run.tables`. Thumbnails, which are large, are not read.
        summary: the figures that the report prints; None until the run is finished.
    """

    folder: Path
    record: dict[str, Any] = field(repr=False)
    tables: Mapping[str, pa.Table] = field(repr=False)
    summary: dict[str, Any] | None = field(repr=False)

    @property
    def predictions(self) -> pa.Table:
        """One row per image of an audit."""
        return self._table("predictions")

    @property
    def scores(self) -> pa.Table:
        """One row per image, method, operation and scale of an audit."""
        return self._table("scores")

    @property
    def indicators(self) -> pa.Table:
        """One row per image and indicator of an audit; none in a run without indicators."""
        return self._table("indicators")

    @property
    def lift(self) -> pa.Table:
        """One row per image of a lift run."""
        return self._table("lift")

    @property
    def evolutions(self) -> pa.Table:
        """One row per image and step of a run that optimises."""
        return self._table("evolutions")

    def _repr_html_(self) -> str:
        """What a notebook shows: what came out, in words, and the first images with their heatmaps."""
        from heatlift.viewer.notebook import run_html

        return run_html(self.folder)

    def _table(self, name: str) -> pa.Table:
        if name not in self.tables:
            raise HeatliftError(f"{self.folder} has no {name}: it has {', '.join(self.tables)}")
        return self.tables[name]


def read(folder: str | Path) -> Run:
    """Read the tables and the summary of a run, finished or not: its folder, or ``s3://bucket/folder``.

    Raises:
        HeatliftError: not the folder of a run, or one that has no rows yet.

    Example:
        >>> read("no/such/run")
        Traceback (most recent call last):
            ...
        heatlift.errors.HeatliftError: ...
    """
    folder = fetched(folder)
    record = read_record(folder)
    summary = folder / "summary.json"
    names = [name for name in TABLES.get(record.get("kind", "audit"), ()) if name != "thumbnails"]
    tables = {name: read_table(folder, name) for name in names}
    return Run(folder, record, tables, read_json(summary) if summary.exists() else None)
