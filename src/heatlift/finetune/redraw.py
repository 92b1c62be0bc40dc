"""Train and validation images drawn anew, written as manifests: no file is moved."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from heatlift.data import Dataset, Item
from heatlift.errors import HeatliftError
from heatlift.finetune.recipe import held_back
from heatlift.manifest import WHOLE_NUMBER
from heatlift.run.whole import whole

LINK = "images"
"""Leads from a training's folder to DATA, as a manifest's paths stay within its own folder."""


def redrawn(data: Dataset, validation: str, num_classes: int, seed: int) -> tuple[list[Item], list[Item]]:
    """Train and validation images, drawn from each class on its own by an order that the seed decides.

    Raises:
        HeatliftError: an image has no label, or a class would have none on one side.
    """
    by_class: list[list[Item]] = [[] for _ in range(num_classes)]
    for item in data.shuffled(seed):
        if item.label is None:
            raise HeatliftError(f"{item.name} has no label: training takes one for every image")
        by_class[item.label].append(item)
    numbers = held_back(validation, [len(items) for items in by_class])
    train, held = [], []
    for items, number in zip(by_class, numbers, strict=True):
        held += items[:number]
        train += items[number:]
    return sorted(train, key=lambda item: item.name), sorted(held, key=lambda item: item.name)


def write_redrawn(
    folder: Path, root: Path, train: Sequence[Item], held: Sequence[Item], classes: Sequence[str]
) -> None:
    """``train.csv`` and ``validation.csv``, which ``heatlift audit`` takes as DATA, and a link to the images.

    Raises:
        HeatliftError: a file's name can't be written in UTF-8.
        OSError: the folder can't be written to.
    """
    link = folder / LINK
    if link.is_symlink() or not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(root, target_is_directory=True)
    # Folders 1, 10, 2 are outputs 0, 1, 2: such a name would be taken for the number of another output, and
    # what has a decimal point can only be a number.
    numbers = any(WHOLE_NUMBER.fullmatch(name) for name in classes)
    for name, items in (("train.csv", train), ("validation.csv", held)):
        with whole(folder / name) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "label"))
            for item in items:
                assert isinstance(item.path, Path)
                assert item.label is not None
                label = f"{item.label}.0" if numbers else classes[item.label]
                relative = item.path.relative_to(root).as_posix()
                try:
                    relative.encode()
                except UnicodeEncodeError as error:
                    raise HeatliftError(f"{item.name} is not in UTF-8: rename it") from error
                writer.writerow((f"{LINK}/{relative}", label))
