"""Which output of the network a written class stands for: by name, or by an ImageNet wnid."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from heatlift.errors import HeatliftError

WNID = re.compile(r"n\d{8}", re.ASCII)
"""A WordNet id such as n01440764, by which ImageNet's class folders are named."""

Reading = Mapping[str, tuple[int, ...]]


class ClassNames:
    """The names of a network's outputs, and what a person may write for them.

    A name is looked up as written; then as the first part of a description ("tabby" for
    "tabby, tabby cat"); then as either, with no regard to capitals and with ``_``, ``-`` and
    spaces alike. The first reading that knows the name decides.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        firsts = [name.split(",")[0].strip() for name in classes]
        self._readings: tuple[Reading, ...] = (_numbers(classes), _numbers(firsts))
        self._loose = _numbers([_loosely(name) for name in classes], [_loosely(name) for name in firsts])

    def outputs(self, name: str) -> tuple[int, ...]:
        """The outputs that ``name`` may mean: one if it is clear, several if not, none if it is unknown."""
        for reading in self._readings:
            if name in reading:
                return reading[name]
        return self._loose.get(_loosely(name), ())


def chosen_output(wanted: int | str, num_classes: int, classes: Sequence[str] | None) -> int:
    """The output that a person means by a number, a name, a part of one, or a wnid.

    A name is looked up as by `ClassNames`; then among all parts of the descriptions ("tiger cat" of
    "tabby, tiger cat"); then as the first words of a part, where only one class has such a one.

    Raises:
        HeatliftError: it means none of the outputs, or several.
    """
    if isinstance(wanted, str):
        found = _named(wanted.strip(), num_classes, classes or ())
    else:
        found = tuple(index for index in (_whole(wanted),) if 0 <= index < num_classes)
    if len(found) == 1:
        return found[0]
    names = [f"{_brief(classes, i)} ({i})" for i in found[:4]]
    if found:
        more = ", ..." if len(found) > 4 else ""
        raise HeatliftError(f"'{wanted}' may be {', '.join(names)}{more}: give the number")
    raise HeatliftError(f"no class '{wanted}': {_instead(str(wanted), num_classes, classes or ())}")


def _named(wanted: str, num_classes: int, classes: Sequence[str]) -> tuple[int, ...]:
    found = ClassNames(classes).outputs(wanted)
    if found or not wanted:
        return found
    if WNID.fullmatch(wanted) and num_classes == 1000:
        index = imagenet_output(wanted)
        return () if index is None else (index,)
    if wanted.isdecimal():
        return (int(wanted),) if int(wanted) < num_classes else ()
    loose = _loosely(wanted)
    parts = [[_loosely(part) for part in name.split(",")] for name in classes]
    whole = tuple(i for i, each in enumerate(parts) if loose in each)
    # Whole words: a dog is no dogsled.
    return whole or tuple(
        i for i, each in enumerate(parts) if any(part.startswith(f"{loose} ") for part in each)
    )


def _whole(wanted: Any) -> int:
    """A whole number of any kind; -1, which is no class, for anything else."""
    try:
        return -1 if isinstance(wanted, bool) else operator.index(wanted)
    except TypeError:
        return -1


def _instead(wanted: str, num_classes: int, classes: Sequence[str]) -> str:
    """What to give in place of a class that is none."""
    numbers = f"a number from 0 to {num_classes - 1}"
    parts = {_loosely(part): part.strip() for name in classes for part in name.split(",")}
    close = get_close_matches(_loosely(wanted), parts, n=3)
    if close:
        return f"did you mean {' or '.join(parts[each] for each in close)}? A name, or {numbers}"
    return f"give {'one of the names, or ' if classes else ''}{numbers}"


def _brief(classes: Sequence[str] | None, index: int) -> str:
    return classes[index].split(",")[0].strip() if classes is not None else "class"


def imagenet_output(wnid: str) -> int | None:
    """ImageNet-1k's index (0 to 999) of a wnid; None for one that is not among its classes."""
    return _imagenet().get(wnid)


@cache
def _imagenet() -> Mapping[str, int]:
    from timm.data.imagenet_info import ImageNetInfo  # seconds to import, and few runs need it

    info: Any = ImageNetInfo("imagenet-1k")  # timm leaves its methods untyped
    return {wnid: index for index, wnid in enumerate(info.label_names())}


def _numbers(*spellings: Sequence[str]) -> Reading:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for names in spellings:
        for index, name in enumerate(names):
            found[name].add(index)
    return {name: tuple(sorted(indices)) for name, indices in found.items()}


def _loosely(name: str) -> str:
    # Folders made on a Mac spell é as e and an accent; NFC makes the two spellings one.
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()
