"""``run.json``: what a run is, what it was made with, and how far it got."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from heatlift.errors import HeatliftError
from heatlift.json_object import read_json
from heatlift.run.tables import FORMAT, TABLES, read_table
from heatlift.run.whole import whole

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pillow",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "matplotlib",
    "zarr",
)


@dataclass(frozen=True)
class Run:
    """A run read back.

    Attributes:
        folder: where it is.
        record: ``run.json``: kind, command, configuration, model, data, package versions, status, timing.
        tables: of an audit ``predictions``, ``scores`` and ``indicators``, of a lift run ``lift`` and
            ``evolutions``; columns as in `heatlift.run.tables`.
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
        """One row per image and step of a lift run."""
        return self._table("evolutions")

    def _table(self, name: str) -> pa.Table:
        if name not in self.tables:
            raise HeatliftError(f"{self.folder} has no {name}: it has {', '.join(self.tables)}")
        return self.tables[name]


def read(folder: str | Path) -> Run:
    """Read the tables and the summary of a run, finished or not.

    Raises:
        HeatliftError: not the folder of a run, or one that has no rows yet.
    """
    folder = Path(folder)
    record = read_record(folder)
    summary = folder / "summary.json"
    names = TABLES.get(record.get("kind", "audit"), ())
    tables = {name: read_table(folder, name) for name in names}
    return Run(folder, record, tables, read_json(summary) if summary.exists() else None)


def read_record(folder: Path) -> dict[str, Any]:
    """The content of ``run.json``.

    Raises:
        HeatliftError: there is none, it is damaged, or a newer heatlift wrote it.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise HeatliftError(f"{folder} is not the folder of a run: it has no run.json")
    record = read_json(path)
    if record.get("format") != FORMAT:
        raise HeatliftError(
            f"{folder} has format {record.get('format')}, not {FORMAT}: use the heatlift that wrote it"
        )
    return record


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object so that a reader sees the old file or the new one, never a part."""
    with whole(path) as file:
        json.dump(content, file, indent=1, allow_nan=False, ensure_ascii=False)
        file.write("\n")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
