"""Which files are images: those below a folder of this machine, and those in object storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from heatlift.errors import HeatliftError
from heatlift.storage import StoredFile, below

_EVERYDAY = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".avif", ".heic", ".heif"}
_OTHER = {".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm"}
EXTENSIONS = frozenset(_EVERYDAY | _OTHER)
"""A file of a folder is an image if its name ends so, in small or capital letters.

Pillow has no decoder for .heic and .heif; they are here so that a phone's photograph shows up as a
row that says so instead of going unmentioned."""

CLUTTER = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Folders that archives and file servers leave behind."""


def listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the images directly in a folder, each sorted by name."""
    folders, images = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in CLUTTER:
                    continue
                # isdir, since is_dir raises for a link that leads to itself.
                linked = entry.is_symlink() and os.path.isdir(entry.path)
                if linked or entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                    images.append(Path(entry.path))
    except OSError as error:
        raise HeatliftError(f"cannot list {folder}: {error.strerror}") from error
    return sorted(folders), sorted(images)


def images_below(folder: Path, root: Path) -> Iterator[Path]:
    """The images anywhere below a folder, which is root or below it, each folder's sorted by name."""
    # A link may lead back up or to itself, so each folder on the disk is visited once.
    seen = {_identity(root)}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if _identity(here) in seen:
            continue
        seen.add(_identity(here))
        folders, images = listing(here)
        yield from images
        waiting.extend(reversed(folders))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def stored_images(url: str) -> dict[str, StoredFile]:
    """The image files below an address, by their paths from there."""
    return {
        name: file
        for name, file in below(url).items()
        if os.path.splitext(name)[1].lower() in EXTENSIONS and CLUTTER.isdisjoint(name.split("/"))
    }
