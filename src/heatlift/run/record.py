"""``run.json``: what a run is, what it was made with, and how far it got."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError
from heatlift.json_object import Damaged, read_json
from heatlift.run.tables import FORMAT
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

NAME, COPY = "run.json", ".run.json"


def read_record(folder: Path) -> dict[str, Any]:
    """The content of ``run.json``.

    Raises:
        HeatliftError: there is none, it is damaged, or a newer heatlift wrote it.
    """
    path = folder / NAME
    if not path.is_file():
        raise HeatliftError(f"{folder} is not the folder of a run: it has no {NAME}")
    return _of_this_format(folder, read_json(path))


def known_record(folder: Path) -> dict[str, Any] | None:
    """``run.json``, or its copy where it is gone or damaged; None where no run was begun.

    Raises:
        HeatliftError: what there is can't be read, or a newer heatlift wrote it.
    """
    damaged = None
    for path in (folder / NAME, folder / COPY):
        if path.is_file():
            try:
                return _of_this_format(folder, read_json(path))
            except Damaged as error:
                damaged = error
    if damaged is not None:
        raise HeatliftError(f"{damaged}; what was begun there can't be known: use another --out")
    return None


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``run.json`` and its copy: without either of them nothing could be gone on with.

    Raises:
        OSError: it can't be written.
    """
    for name in (COPY, NAME):
        write_json(folder / name, record)


def _of_this_format(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
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
