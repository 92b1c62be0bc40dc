"""A run in object storage, and the folder of this machine in which it is worked on."""

from __future__ import annotations

import atexit
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

from heatlift.errors import HeatliftError
from heatlift.storage import below, opened, speaking

RECORD = "run.json"

RARELY = 10
"""So many times what it took to look for what is new pass before it is looked for again."""


class Mirror:
    """Keeps object storage and a folder alike: what is new here goes there, what is new there comes here.

    Args:
        url: the run's address.
        folder: the folder of this machine, which nobody else uses.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._here: dict[str, tuple[int, int, int]] = {}  # as it was when both were alike
        self._there: dict[str, str] = {}  # marks, of what came from there
        self._due = 0.0

    def pull(self) -> None:
        """Fetch what is new there.

        Raises:
            HeatliftError: the storage can't be reached, or has files that are no run's.
        """
        new = {
            name: file
            for name, file in below(self.url).items()
            if name not in self._here or self._there.get(name, file.mark) != file.mark
        }
        for name in new:
            # Somebody else may have put files there, under names that would lead out of the folder.
            if not {"", ".", ".."}.isdisjoint(name.split("/")):
                raise HeatliftError(f"{self.url} is no run: it has a file named {name!r}")
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        files, root = opened(self.url)
        if new:
            with speaking("read", self.url):
                files.get([f"{root}/{name}" for name in new], [str(self.folder / name) for name in new])
        for name, file in new.items():
            self._here[name], self._there[name] = _state(self.folder / name), file.mark

    def push(self) -> None:
        """Store what is new here, tables last: a shard whose parts are there is done.

        Raises:
            HeatliftError: the storage can't be written to.
        """
        began = time.monotonic()
        new = {
            name: state
            for name, path in _files(self.folder)
            if self._here.get(name) != (state := _state(path))
        }
        looked = time.monotonic()
        self._due = looked + RARELY * (looked - began)
        # A run is known by its record, so that comes first, once; later it tells what is there already.
        first = {RECORD} & new.keys() - self._here.keys()
        parts = {name for name in new if name.endswith(".parquet")}
        last = {RECORD} & new.keys() - first
        files, root = opened(self.url)
        for group in (first, new.keys() - parts - first - last, parts, last):
            names = sorted(group)
            if names:
                with speaking("write to", self.url):
                    files.put([str(self.folder / name) for name in names], [f"{root}/{n}" for n in names])
        self._here |= new
        for name in new:
            self._there.pop(name, None)

    def push_if_due(self) -> None:
        """`push`, but not often where just to see what is new takes long, as with many kept heatmaps."""
        if time.monotonic() >= self._due:
            self.push()

    def clear(self) -> None:
        """Forget what is here and stored, to make room."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._here.clear()


def temporary_mirror(url: str) -> Mirror:
    """A mirror in a folder that ends with this process.

    It has the run's own name, which reports and viewers show.
    """
    temporary = mkdtemp(prefix="heatlift-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    folder = Path(temporary).resolve() / (url.rpartition("/")[2] or "run")
    folder.mkdir()
    return Mirror(url, folder)


def _files(folder: Path, before: str = "") -> Iterator[tuple[str, Path]]:
    """The files below a folder by their paths from there; hidden ones are of no use elsewhere."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{before}{entry.name}/")
            else:
                yield f"{before}{entry.name}", Path(entry.path)


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
