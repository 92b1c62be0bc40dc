"""Files of a run, whatever links, pipes or giants somebody has put in their place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from heatlift.errors import HeatliftError

LARGEST = 2**31
"""Bytes of a file that is read."""

LARGEST_TEXT = 2**26
"""Bytes of a file that is read into memory as it is."""


def confined(run: Path, path: Path, most: int = LARGEST) -> Path:
    """The path of a file of the run, to be opened; of one that is not there, too.

    Raises:
        HeatliftError: it is a link that leads out of the run, no plain file, or larger than ``most``.
    """
    _inside(run, path)
    try:
        found = path.stat()
    except OSError:  # whoever opens it says so
        return path
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for without end
        raise HeatliftError(f"{path.relative_to(run)} is no file: it is not read")
    if found.st_size > most:
        raise HeatliftError(f"{path.relative_to(run)} is too large to be read: {found.st_size:,} bytes")
    return path


def confined_folder(run: Path, folder: Path) -> Path:
    """The path of a folder of the run in which everything is a file of the run.

    Raises:
        HeatliftError: as of `confined`.
    """
    _inside(run, folder)
    for path in folder.rglob("*"):
        if not path.is_dir() or path.is_symlink():
            confined(run, path, LARGEST_TEXT if path.suffix == ".json" else LARGEST)
    return folder


def without_folder(text: str, run: Path) -> str:
    """An error's line with paths as they are in the run: where it is on this machine concerns no reader."""
    return text.replace(f"{run}{os.sep}", "").replace(str(run), run.name or "the run")


def stamp(path: Path) -> object:
    """What changes when a file or folder does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _inside(run: Path, path: Path) -> None:
    home = os.path.join(os.path.realpath(run), "")
    if not os.path.realpath(path).startswith(home):
        raise HeatliftError(f"{path.relative_to(run)} is a link that leads out of the run: it is not read")
