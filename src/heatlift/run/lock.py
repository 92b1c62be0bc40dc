"""A run's folder belongs to one process at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from heatlift.errors import HeatliftError, first_line

NAME = ".lock"
"""The file that is locked. It stays; the lock itself ends with the process, however that ends."""

HOLDER = ".holder"
"""Says who holds the lock: on some systems a locked file can't be read."""

LOCK_FILES = (NAME, HOLDER)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have the folder for oneself.

    Raises:
        HeatliftError: another process has it, or it can't be written to.
    """
    lock = FileLock(folder / NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise HeatliftError(
            f"{folder} is being worked on by {holder(folder)}: wait for it, or stop it and start again"
        ) from error
    except OSError as error:
        raise HeatliftError(f"can't write to {folder}: {error.strerror or first_line(error)}") from error
    try:
        (folder / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        lock.release()


def holder(folder: Path) -> str:
    """Who has the folder, or had it last."""
    try:
        return (folder / HOLDER).read_text()[:200] or "another process"
    except OSError:
        return "another process"
