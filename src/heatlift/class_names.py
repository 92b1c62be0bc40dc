"""Which output of the network a written class stands for: by name, or by an ImageNet wnid."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

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
