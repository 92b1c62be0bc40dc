"""Class folders: which output of the network each of them stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from heatlift.class_names import WNID, ClassNames, imagenet_output
from heatlift.errors import HeatliftError

SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing"})
"""Folders so named hold parts of a data set, each with its own class folders."""


def folder_labels(
    root: str | Path,
    filled: Sequence[str],
    every: Sequence[str],
    num_classes: int,
    classes: Sequence[str] | None,
) -> tuple[str, Mapping[str, int], Sequence[str]]:
    """The kind of DATA, each class folder's output, and the folders whose order alone says theirs.

    Args:
        root: DATA, for messages.
        filled: the folders that have images, sorted by name.
        every: all folders, sorted by name.
        num_classes: outputs of the network.
        classes: their names, if they are known.

    Raises:
        HeatliftError: the folders do not fit the outputs.
    """
    names = ClassNames(classes or ())
    named = {name: names.outputs(name) for name in filled}
    if all(len(outputs) == 1 for outputs in named.values()):
        return "class folders", {name: outputs[0] for name, outputs in named.items()}, ()
    if num_classes == 1000 and all(WNID.fullmatch(name) for name in filled):
        return "ImageNet folders", {name: _imagenet_label(root, name) for name in filled}, ()
    if all(name.casefold() in SPLITS for name in filled):
        raise HeatliftError(
            f"{root} holds parts of a data set ({', '.join(filled)}): give one, such as {root}/{filled[0]}"
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


def _check_order(root: str | Path, labels: Mapping[str, int], named: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse labels by sorted order where a folder that does bear a class's name says otherwise."""
    misfit = next(name for name, outputs in named.items() if len(outputs) != 1)
    for name, outputs in named.items():
        if len(outputs) == 1 and outputs[0] != labels[name]:
            raise HeatliftError(
                f"{root}: {name!r} is the network's output {outputs[0]} by name, {labels[name]} by order, "
                f"and {misfit!r} is no class's name: rename it, or name the outputs with --classes FILE"
            )


def _check_numbers(root: str | Path, folders: Sequence[str]) -> None:
    """Refuse folders named by numbers whose order as text is not that of the numbers: both are in use."""
    if all(name.isdecimal() for name in folders) and list(folders) != sorted(folders, key=int):
        raise HeatliftError(
            f"{root}: folders named by numbers sort as text ({', '.join(folders[:4])}, ...), not by value: "
            "say the network's order with --classes FILE, one folder name a line"
        )


def _imagenet_label(root: str | Path, wnid: str) -> int:
    label = imagenet_output(wnid)
    if label is None:
        raise HeatliftError(f"{wnid} in {root} is not one of ImageNet's 1000 classes: move that folder away")
    return label


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
