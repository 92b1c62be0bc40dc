"""The images that an audit keeps with all their heatmaps: RUN/examples, one file each."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatlift.errors import HeatliftError, first_line
from heatlift.viewer.confined import confined, stamp

LARGEST = 2**29
"""Bytes of an example's heatmaps, unpacked: what is more was not written by an audit."""

MOST_EXAMPLES = 500
"""Files: an audit writes a dozen."""


def examples(run: Path) -> tuple[Mapping[str, Path], Mapping[str, str]]:
    """By image, the files of an audit's examples; and what is damaged, by file."""
    found, damaged = {}, {}
    for file in sorted((run / "examples").glob("[!.]*.npz"))[:MOST_EXAMPLES]:
        try:
            found[_name(confined(run, file), stamp(file))] = file
        except HeatliftError as error:
            damaged[f"examples/{file.name}"] = first_line(error)
    return found, damaged


def unpacked(file: Path, *names: str) -> list[npt.NDArray[np.generic]]:
    """Arrays of an example.

    Raises:
        HeatliftError: it is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError("it unpacks to more than any example has")
        with np.load(file, allow_pickle=False) as found:
            return [np.asarray(found[name]) for name in names]
    except Exception as error:  # archives, compression and arrays fail in a dozen ways of their own
        raise HeatliftError(
            f"examples/{file.name} is damaged ({first_line(error)}): delete it and start the same audit again"
        ) from error


@lru_cache(maxsize=1024)
def _name(file: Path, changed: object) -> str:
    """The image that an example is of; ``changed`` does when the file does."""
    (name,) = unpacked(file, "name")
    return str(name)
