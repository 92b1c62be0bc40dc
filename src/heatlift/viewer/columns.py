"""Columns of a run's images by which they are sorted and filtered: numbers, choices, and the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heatlift.wording import class_name, clean, number

Values: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int32]

MISSING = -1
"""The code of an image that a choice says nothing about."""


@dataclass(frozen=True)
class Heading:
    """What a column is called; ``group`` is the heatmap and operation, or the factor, that it is about."""

    key: str
    title: str
    help: str = ""
    group: str = ""
    method: str = ""
    operation: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the page gets it."""
        about = {"method": self.method, "operation": self.operation} if self.method else {}
        return {"key": self.key, "title": self.title, "group": self.group, "help": self.help} | about


@dataclass(frozen=True)
class Numbers:
    """A number for each image, NaN where there is none."""

    heading: Heading
    values: Values = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """As the page gets it."""
        known = self.values[np.isfinite(self.values)]
        ends = {"low": float(known.min()), "high": float(known.max())} if len(known) else {}
        return self.heading.as_json() | {"type": "number", "low": None, "high": None} | ends


@dataclass(frozen=True)
class Choice:
    """One of a few words for each image: the place of a value, or MISSING."""

    heading: Heading
    codes: Codes = field(repr=False)
    values: tuple[str, ...]
    titles: tuple[str, ...] = ()

    def title(self, position: int) -> str | None:
        """The value of one image as it is displayed."""
        code = int(self.codes[position])
        return None if code == MISSING else (self.titles or self.values)[code]

    def as_json(self) -> dict[str, Any]:
        """As the page gets it, with the values that occur."""
        counts = np.bincount(self.codes[self.codes != MISSING], minlength=len(self.values)).tolist()
        titles = self.titles or self.values
        found = [
            {"value": value, "title": title, "count": count}
            for value, title, count in zip(self.values, titles, counts, strict=True)
            if count
        ]
        return self.heading.as_json() | {"type": "choice", "values": found}


Column: TypeAlias = "Numbers | Choice"

WHOLE = ("steps",)
"""Figures that are counts."""


def keyed(group: str, name: str) -> str:
    """The key of a column of a group; of none, its name."""
    return f"{group}:{name}" if group else name


def figure_text(key: str, value: float | None) -> str:
    """A column's value as it is displayed."""
    whole = key.rpartition(":")[2] in WHOLE and value is not None and np.isfinite(value)
    return f"{value:,.0f}" if whole else number(value)


def class_names(given: object) -> Sequence[str] | None:
    """The names of the network's outputs as they are displayed, where the run knows them."""
    if not isinstance(given, list):
        return None
    names = [str(name) for name in given]
    return [class_name(index, names) for index in range(len(names))]


def named(index: int, names: Sequence[str] | None) -> str:
    """What a class is called, by names that `class_names` made."""
    return names[index] if names is not None and 0 <= index < len(names) else class_name(index, None)


def finite(value: object) -> float | None:
    """A number of a JSON file; None where it is anything else, or too large."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None


def chosen(heading: Heading, words: Sequence[str | None]) -> Choice:
    """A choice from a word for each image, None where there is none; values in their first order."""
    values = tuple(dict.fromkeys(clean(word) for word in words if word is not None))
    places = {value: place for place, value in enumerate(values)}
    codes = [MISSING if word is None else places[clean(word)] for word in words]
    return Choice(heading, np.array(codes, np.int32), values)


def classes_chosen(heading: Heading, indices: npt.NDArray[np.int64], names: Sequence[str] | None) -> Choice:
    """A choice from class indices; below zero there is none."""
    known, places = np.unique(indices, return_inverse=True)
    none = int((known < 0).sum())
    codes = np.where(indices < 0, MISSING, places - none).astype(np.int32)
    values = tuple(str(index) for index in known[none:].tolist())
    return Choice(heading, codes, values, tuple(named(int(value), names) for value in values))


def joined(columns: Sequence[Mapping[str, Column] | None], lengths: Sequence[int]) -> dict[str, Column]:
    """The columns of several groups of images as those of all; what a group lacks is missing there."""
    found: dict[str, Column] = {}
    for key in dict.fromkeys(key for group in columns for key in group or {}):
        pieces = [(group or {}).get(key) for group in columns]
        first = next(piece for piece in pieces if piece is not None)
        found[key] = (
            _joined_numbers(first, pieces, lengths)
            if isinstance(first, Numbers)
            else _joined_choices(first, pieces, lengths)
        )
    return found


def _joined_numbers(first: Numbers, pieces: Sequence[Column | None], lengths: Sequence[int]) -> Numbers:
    values = [
        piece.values if isinstance(piece, Numbers) else np.full(length, np.nan)
        for piece, length in zip(pieces, lengths, strict=True)
    ]
    return replace(first, values=np.concatenate(values))


def _joined_choices(first: Choice, pieces: Sequence[Column | None], lengths: Sequence[int]) -> Choice:
    titles: dict[str, str] = {}
    for piece in pieces:
        if isinstance(piece, Choice):
            titles |= zip(piece.values, piece.titles or piece.values, strict=True)
    # Classes in the order of the network's outputs, whatever parts they came from.
    values = sorted(titles, key=int) if first.titles else list(titles)
    places = {value: place for place, value in enumerate(values)}
    codes = []
    for piece, length in zip(pieces, lengths, strict=True):
        if not isinstance(piece, Choice):
            codes.append(np.full(length, MISSING, np.int32))
            continue
        moved = np.array([*(places[value] for value in piece.values), MISSING], np.int32)
        codes.append(moved[piece.codes])
    named = tuple(titles[value] for value in values) if first.titles else ()
    return replace(first, codes=np.concatenate(codes), values=tuple(values), titles=named)
