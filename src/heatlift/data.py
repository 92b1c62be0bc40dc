"""DATA -> Dataset: which images there are, what they are called, and the output each one belongs to."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from heatlift.class_folders import folder_labels
from heatlift.errors import HeatliftError
from heatlift.image_files import EXTENSIONS, images_below, listing, stored_images
from heatlift.manifest import SUFFIXES, read_manifest
from heatlift.storage import StoredFile, below, local_or_url, opened, speaking

NOTE = "NOTE.txt"
"""A file beside the images: what there is to know of them as data, such as that they are not independent."""

SAMPLE = 4096
"""Bytes of a file's beginning, and of its end, that its fingerprint takes in."""


@dataclass(frozen=True)
class Item:
    """One image of DATA.

    Attributes:
        name: the path relative to DATA (a manifest's: to its folder), with ``/``; unique, and always
            valid Unicode: a backslash is doubled, and a byte ff that is not UTF-8 is written ``\\udcff``.
        path: where the file is, or should be: on this machine or in object storage.
        label: the index of the network's output; None where DATA says nothing.
    """

    name: str
    path: Path | StoredFile
    label: int | None


@dataclass(frozen=True)
class Dataset:
    """The images of DATA, sorted by name."""

    root: str | Path
    kind: str
    items: tuple[Item, ...]
    by_order: tuple[str, ...] = ()
    """The class folders that belong to outputs 0, 1, ... by the order of their names alone."""

    @property
    def labelled(self) -> bool:
        """Whether any image has a label."""
        return any(item.label is not None for item in self.items)

    @property
    def note(self) -> str | None:
        """What a `NOTE` says, its first 300 characters in one line; None without one."""
        if isinstance(self.root, str) or not (self.root / NOTE).is_file():
            return None
        try:
            with (self.root / NOTE).open(encoding="utf-8", errors="replace") as file:
                return " ".join(file.read(300).split()) or None
        except OSError:
            return None

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
    extension (see `heatlift.image_files`); other files, hidden ones and what archives leave behind
    are passed over. Symbolic links are followed, each folder once. Any of these may be in object storage, as ``s3://bucket/folder``.

    Raises:
        HeatliftError: DATA is not there, is none of these, has no images, or its classes do not fit
            the network's outputs.
    """
    place = local_or_url(data)
    if isinstance(place, str):
        return _from_storage(place, num_classes, classes)
    root = Path(os.path.abspath(place))
    if os.path.isdir(root):
        folders, loose = listing(root)
        images = {
            folder.name: [_item(root, path) for path in images_below(folder, root)] for folder in folders
        }
        return _labelled(root, images, [_item(root, path) for path in loose], num_classes, classes)
    if not os.path.exists(root):
        raise HeatliftError(f"{data} does not exist: give a folder of images, or a .csv or .parquet manifest")
    suffix = root.suffix.lower()
    if suffix in SUFFIXES and root.is_file():
        rows = read_manifest(root, num_classes, classes)
        return _dataset(root.parent, "manifest", (Item(_name(row[0]), row[1], row[2]) for row in rows))
    if suffix in EXTENSIONS:
        raise HeatliftError(f"{data} is a single image: give its folder")
    raise HeatliftError(f"{data} is neither a folder nor a .csv or .parquet manifest with path,label")


def class_folders(data: str | Path) -> list[str]:
    """The names of the class folders of DATA that have images, sorted.

    Raises:
        HeatliftError: it is no folder, or has no such folders.
    """
    root = Path(os.path.abspath(data))
    if not root.is_dir():
        problem = "is no folder" if root.exists() else "does not exist"
        raise HeatliftError(
            f"{data} {problem}: give a folder of class folders, or a manifest with --classes FILE"
        )
    names = [folder.name for folder in listing(root)[0] if next(images_below(folder, root), None)]
    if not names:
        raise HeatliftError(f"{data} has no class folders: put the images of each class into one of its own")
    return names


def first_images(path: str | Path, number: int) -> list[Item]:
    """An image file by itself, or the first images anywhere below a folder, without labels.

    Raises:
        HeatliftError: there is nothing of the kind.
    """
    place = local_or_url(path)
    if isinstance(place, str):
        items = [_stored(name, file) for name, file in islice(stored_images(place).items(), number)]
        return items or _no_images(place)
    root = Path(os.path.abspath(place))
    if root.is_file() and root.suffix.lower() in EXTENSIONS:
        return [_item(root.parent, root)]
    if not root.is_dir():
        raise HeatliftError(f"{path} is no folder and no image file: give one of them")
    folders, loose = listing(root)
    found = chain(loose, chain.from_iterable(images_below(folder, root) for folder in folders))
    return [_item(root, image) for image in islice(found, number)] or _no_images(root)


def _labelled(
    root: str | Path,
    images: Mapping[str, Sequence[Item]],
    loose: Sequence[Item],
    num_classes: int,
    classes: Sequence[str] | None,
) -> Dataset:
    """A folder's images, given those below each folder in it, and those directly in it."""
    filled = [name for name, items in images.items() if items]
    if not filled:
        return _dataset(root, "flat folder", loose or _no_images(root))
    kind, labels, ordered = folder_labels(root, filled, list(images), num_classes, classes)
    inside = (replace(item, label=labels[name]) for name in filled for item in images[name])
    return replace(_dataset(root, kind, chain(inside, loose)), by_order=tuple(ordered))


def _no_images(root: str | Path) -> NoReturn:
    raise HeatliftError(f"{root} has no images: none of its files ends in {' '.join(sorted(EXTENSIONS))}")


def _from_storage(url: str, num_classes: int, classes: Sequence[str] | None) -> Dataset:
    if url.lower().endswith(SUFFIXES):
        return _stored_manifest(url, num_classes, classes)
    folders: dict[str, list[Item]] = {}
    loose: list[Item] = []
    for name, file in stored_images(url).items():
        folder, inside, _ = name.partition("/")
        (folders.setdefault(folder, []) if inside else loose).append(_stored(name, file))
    return _labelled(url, dict(sorted(folders.items())), loose, num_classes, classes)


def _stored_manifest(url: str, num_classes: int, classes: Sequence[str] | None) -> Dataset:
    base, _, name = url.rpartition("/")
    with TemporaryDirectory(prefix="heatlift-") as folder:
        copy = Path(folder) / name
        files, path = opened(url)
        try:
            with speaking("read", url):
                files.get_file(path, str(copy))
        except FileNotFoundError as error:
            raise HeatliftError(f"{url} does not exist: give a manifest's address, or a folder's") from error
        try:
            rows = [(name, label) for name, _, label in read_manifest(copy, num_classes, classes)]
        except HeatliftError as error:
            raise HeatliftError(str(error).replace(str(copy), url)) from error
    # Rows name what they name, hidden or not.
    there = below(base, hidden=True)
    missing = StoredFile("", None, "")
    return _dataset(
        base,
        "manifest",
        (
            replace(_stored(name, replace(there.get(name, missing), url=f"{base}/{name}")), label=label)
            for name, label in rows
        ),
    )


def _dataset(root: str | Path, kind: str, items: Iterable[Item]) -> Dataset:
    return Dataset(root, kind, tuple(sorted(items, key=lambda item: item.name)))


def _item(root: Path, path: Path) -> Item:
    return Item(_name(path.relative_to(root).as_posix()), path, None)


def _stored(name: str, file: StoredFile) -> Item:
    return Item(_name(name), file, None)


def _name(relative: str) -> str:
    doubled = relative.replace("\\", "\\\\")
    return doubled.encode("utf-8", "backslashreplace").decode("utf-8")


def _rank(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()


def _sample(path: Path | StoredFile) -> bytes:
    """What tells a file from another one under its name, without reading all of it."""
    if isinstance(path, StoredFile):
        return f"{path.size} {path.mark}".encode()
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
