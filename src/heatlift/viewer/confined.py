"""Paths that stay inside a run's folder, whatever links somebody has put there."""

from __future__ import annotations

from pathlib import Path

from heatlift.errors import HeatliftError


def confined(run: Path, path: Path) -> Path:
    """The path of a file or folder, all of it inside the run.

    Raises:
        HeatliftError: it, or a file in it, is a link that leads out of the run.
    """
    home = run.resolve()
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    for each in inside:
        if not each.resolve().is_relative_to(home):
            raise HeatliftError(
                f"{each.relative_to(run)} is a link that leads out of the run: it is not read"
            )
    return path
