"""DATA -> Dataset: which images there are, what they are called, and the output each one belongs to."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from heatlift.class_names import WNID, ClassNames, imagenet_output
from heatlift.errors import HeatliftError
from heatlift.manifest import SUFFIXES, read_manifest

_EVERYDAY = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".avif", ".heic", ".heif"}
_OTHER = {".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm"}
EXTENSIONS = frozenset(_EVERYDAY | _OTHER)
"""A file of a folder is an image if its name ends so, in small or capital letters.

Pillow has no decoder for .heic and .heif; they are here so that a phone's photograph shows up as a
row that says so instead of going unmentioned."""

CLUTTER = frozenset({"__MACOSX", "@eaDir", "lost+found"})
"""Folders that archives and file servers leave behind."""

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"})
"""Folders so named hold parts of a data set, each with its own class folders."""


SAMPLE = 4096
"""Bytes of a file's beginning, and of its end, that its fingerprint takes in."""


@dataclass(frozen=True)
class Item:
    """One image of DATA.

    Attributes:
        name: the path relative to DATA (a manifest's: to its folder), with ``/``; unique, and always
            valid Unicode: a backslash is doubled, and a byte ff that is not UTF-8 is written ``\\udcff``.
        path: where the file is, or should be.
        label: the index of the network's output; None where DATA says nothing.
    """

    name: str
    path: Path
    label: int | None


@dataclass(frozen=True)
class Dataset:
    """The images of DATA, sorted by name."""

    root: Path
    kind: str
    items: tuple[Item, ...]
    by_order: tuple[str, ...] = ()
    """The class folders that belong to outputs 0, 1, ... by the order of their names alone."""

    @property
    def labelled(self) -> bool:
        """Whether any image has a label."""
        return any(item.label is not None for item in self.items)

    def fingerprint(self) -> dict[str, str | int]:
        """Kind, number of images, and a digest of their names, labels, sizes, and first and last bytes."""
        digest = hashlib.blake2b(digest_size=16)
        for item in self.items:
            digest.update(json.dumps([item.name, item.label]).encode() + _sample(item.path))
        return {"kind": self.kind, "images": len(self.items), "digest": digest.hexdigest()}

    def shuffled(self, seed: int) -> tuple[Item, ...]:
        """The items in an order set by each one's name and the seed, whatever else is in DATA.

        The first n of them are a fair sample, and neighbours have nothing to do with one another.
        """
        return tuple(sorted(self.items, key=lambda item: _rank(seed, item.name)))


def find_images(data: str | Path, num_classes: int, classes: Sequence[str] | None) -> Dataset:
    """The images of DATA with their labels, for a network with ``num_classes`` outputs.

    DATA is one of:

    - A folder of **class folders**; images may lie deeper within them. The folders belong to the
      outputs that bear their names, if ``classes`` is given and has them all (see `ClassNames`), also
      when some classes have no folder; to ImageNet's outputs, if all are named by wnids and the network
      has 1000 outputs; else to the outputs in the sorted order of their names, if there are as many
      (a folder without images counts only if that makes the number right).
    - A **manifest**, see `heatlift.manifest.read_manifest`.
    - A **flat folder**: images directly in it and none deeper; no labels.

    Images beside class folders are kept, without a label. In folders, a file is an image by its
    extension (`EXTENSIONS`); other files, hidden ones and `CLUTTER` are passed over. Symbolic links
    are followed, each folder once.

    Raises:
        HeatliftError: DATA is not there, is none of these, has no images, or its classes do not fit
            the network's outputs.
    """
    root = Path(os.path.abspath(data))
    if os.path.isdir(root):
        return _from_folder(root, num_classes, classes)
    if not os.path.exists(root):
        raise HeatliftError(f"{data} does not exist: give a folder of images, or a .csv or .parquet manifest")
    suffix = root.suffix.lower()
    if suffix in SUFFIXES and root.is_file():
        rows = read_manifest(root, num_classes, classes)
        return _dataset(root.parent, "manifest", (Item(_name(Path(row[0])), row[1], row[2]) for row in rows))
    if suffix in EXTENSIONS:
        raise HeatliftError(f"{data} is a single image: give its folder")
    raise HeatliftError(f"{data} is neither a folder nor a .csv or .parquet manifest with path,label")


def first_images(path: str | Path, number: int) -> list[Item]:
    """An image file by itself, or the first images anywhere below a folder, without labels.

    Raises:
        HeatliftError: there is nothing of the kind.
    """
    root = Path(os.path.abspath(path))
    if root.is_file() and root.suffix.lower() in EXTENSIONS:
        return [_item(root.parent, root, None)]
    if not root.is_dir():
        raise HeatliftError(f"{path} is no folder and no image file: give one of them")
    folders, loose = _listing(root)
    found = chain(loose, chain.from_iterable(_images_below(folder, root) for folder in folders))
    items = [_item(root, image, None) for image in islice(found, number)]
    if not items:
        raise HeatliftError(f"{root} has no images: none of its files ends in {' '.join(sorted(EXTENSIONS))}")
    return items


def _from_folder(root: Path, num_classes: int, classes: Sequence[str] | None) -> Dataset:
    folders, loose = _listing(root)
    images = {folder.name: list(_images_below(folder, root)) for folder in folders}
    filled = [name for name, paths in images.items() if paths]
    if not filled and not loose:
        raise HeatliftError(f"{root} has no images: none of its files ends in {' '.join(sorted(EXTENSIONS))}")
    if not filled:
        return _dataset(root, "flat folder", (_item(root, path, None) for path in loose))
    kind, labels, ordered = _folder_labels(root, filled, list(images), num_classes, classes)
    inside = (_item(root, path, labels[name]) for name in filled for path in images[name])
    found = _dataset(root, kind, chain(inside, (_item(root, path, None) for path in loose)))
    return replace(found, by_order=tuple(ordered))


def _folder_labels(
    root: Path, filled: Sequence[str], every: Sequence[str], num_classes: int, classes: Sequence[str] | None
) -> tuple[str, Mapping[str, int], Sequence[str]]:
    """The kind of DATA, each class folder's output, and the folders whose order alone says theirs.

    ``filled`` are those of ``every`` that have images.
    """
    names = ClassNames(classes or ())
    named = {name: names.outputs(name) for name in filled}
    if all(len(outputs) == 1 for outputs in named.values()):
        return "class folders", {name: outputs[0] for name, outputs in named.items()}, ()
    if num_classes == 1000 and all(WNID.fullmatch(name) for name in filled):
        return "ImageNet folders", {name: _imagenet_label(root, name) for name in filled}, ()
    if all(name.casefold() in SPLITS for name in filled):
        raise HeatliftError(
            f"{root} holds parts of a data set ({', '.join(filled)}): give one, such as {root / filled[0]}"
        )
    for folders in (filled, every):
        if len(folders) == num_classes:
            labels = {name: label for label, name in enumerate(folders)}
            _check_order(root, labels, named)
            _check_numbers(root, folders)
            return "class folders", labels, folders
    misfit = next(name for name, outputs in named.items() if len(outputs) != 1)
    why = (
        "is not the name of exactly one of them" if classes else "cannot be looked up, as they have no names"
    )
    raise HeatliftError(
        f"{root} has {_count(len(filled), 'class folder')}, the network has {_count(num_classes, 'output')}, "
        f"and {misfit!r} {why}: name the outputs like the folders with --classes FILE, "
        "or give a manifest (.csv with path,label) that has the outputs' numbers"
    )


def _check_order(root: Path, labels: Mapping[str, int], named: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse labels by sorted order where a folder that does bear a class's name says otherwise."""
    misfit = next(name for name, outputs in named.items() if len(outputs) != 1)
    for name, outputs in named.items():
        if len(outputs) == 1 and outputs[0] != labels[name]:
            raise HeatliftError(
                f"{root}: {name!r} is the network's output {outputs[0]} by name, {labels[name]} by order, "
                f"and {misfit!r} is no class's name: rename it, or name the outputs with --classes FILE"
            )


def _check_numbers(root: Path, folders: Sequence[str]) -> None:
    """Refuse folders named by numbers whose order as text is not that of the numbers: both are in use."""
    if all(name.isdecimal() for name in folders) and list(folders) != sorted(folders, key=int):
        raise HeatliftError(
            f"{root}: folders named by numbers sort as text ({', '.join(folders[:4])}, ...), not by value: "
            "say the network's order with --classes FILE, one folder name a line"
        )


def _imagenet_label(root: Path, wnid: str) -> int:
    label = imagenet_output(wnid)
    if label is None:
        raise HeatliftError(f"{wnid} in {root} is not one of ImageNet's 1000 classes: move that folder away")
    return label


def _listing(folder: Path) -> tuple[list[Path], list[Path]]:
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


def _images_below(folder: Path, root: Path) -> Iterator[Path]:
    # A link may lead back up or to itself, so each folder on the disk is visited once.
    seen = {_identity(root)}
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if _identity(here) in seen:
            continue
        seen.add(_identity(here))
        folders, images = _listing(here)
        yield from images
        waiting.extend(reversed(folders))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _dataset(root: Path, kind: str, items: Iterable[Item]) -> Dataset:
    return Dataset(root, kind, tuple(sorted(items, key=lambda item: item.name)))


def _item(root: Path, path: Path, label: int | None) -> Item:
    return Item(_name(path.relative_to(root)), path, label)


def _name(relative: Path) -> str:
    doubled = relative.as_posix().replace("\\", "\\\\")
    return doubled.encode("utf-8", "backslashreplace").decode("utf-8")


def _rank(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()


def _sample(path: Path) -> bytes:
    """What tells a file from another one under its name, without reading all of it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b"no file"  # opening a named pipe would wait for its other end
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(SAMPLE)
            file.seek(max(size - SAMPLE, 0))
            return hashlib.blake2b(str(size).encode() + head + file.read(SAMPLE), digest_size=16).digest()
    except OSError:
        return b"unreadable"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
