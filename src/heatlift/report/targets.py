"""Where a report is written to: never over a part of a run, and nothing is created before all is well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heatlift.errors import HeatliftError

OWN = ("run.json", "summary.json")
"""What a run is read from, beside its tables."""

LISTED = "captions.md"
"""The file by which a folder of figures is known."""


def file_target(out: Path, runs: Sequence[Path]) -> Path:
    """``out``, if a file can be written there that belongs to no run.

    Raises:
        HeatliftError: it is a folder, a part of a run, or the report of one of several runs.
    """
    if out.is_dir():
        raise HeatliftError(f"{out} is a folder: give the file that the report is to be written to")
    if out.name in OWN and (out.parent / "run.json").exists():
        raise HeatliftError(f"{out} is a part of a run: give another file")
    if len(runs) > 1 and any(out.resolve() == (run / "report.html").resolve() for run in runs):
        raise HeatliftError(f"{out} is the report of one run alone: give another file")
    return out


def folder_target(out: Path) -> Path:
    """``out``, if it is a new folder, an empty one, or one with earlier figures.

    Raises:
        HeatliftError: it is a file, or a folder with other things in it.
    """
    if out.exists() and not out.is_dir():
        raise HeatliftError(f"{out} is a file: give the folder that the figures are to be written to")
    if out.is_dir() and any(out.iterdir()) and not (out / LISTED).exists():
        raise HeatliftError(f"{out} has other things in it: give a new folder for the figures")
    return out
