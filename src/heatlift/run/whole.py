"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

PARTIAL = ".partial"
"""How the names end of what is not whole yet. They begin with a dot, which scans of a folder pass over."""


@contextmanager
def whole(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """A file to write, which appears under its name only once it is complete and on the disk.

    Raises:
        OSError: it can't be written; says which file, also where the system doesn't, as of a full disk.
    """
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = beside(path)
        try:
            with partial.open(mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def beside(path: Path) -> Path:
    """A name for what is going to have that of ``path``."""
    # Of the writer's own: the same part may be written twice where a worker was thought lost.
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}{PARTIAL}")


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Within the block something is written to ``path``, and an `OSError` says so."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def tidy(folder: Path) -> None:
    """Remove what writers left in a folder, and in those directly in it; nobody else may be writing."""
    for partial in [*folder.glob(f".*{PARTIAL}"), *folder.glob(f"*/.*{PARTIAL}")]:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
