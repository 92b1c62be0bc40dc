"""Which images are asked for, and in which order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from heatlift.errors import HeatliftError
from heatlift.viewer.columns import MISSING, Choice
from heatlift.viewer.images import Images

Positions: TypeAlias = npt.NDArray[np.int64]

LONGEST = 4096
"""Characters of a filter that is read."""


@dataclass(frozen=True)
class Filter:
    """What an image must have in one column: one of some values, a number in a range, a text, or nothing."""

    column: str
    values: frozenset[str] | None = None
    low: float | None = None
    high: float | None = None
    below: bool = False
    contains: str | None = None
    missing: bool = False


def parsed(text: str) -> Filter:
    """A filter from its JSON.

    Raises:
        HeatliftError: it is no filter.
    """
    try:
        given = json.loads(text[:LONGEST])
        values = given.get("in")
        low, high = (None if given.get(end) is None else float(given[end]) for end in ("low", "high"))
        contains = None if given.get("contains") is None else str(given["contains"])
        (contains or "").encode()  # half characters are in no name, and no table can look for them
        return Filter(
            str(given["column"]),
            None if values is None else frozenset(map(str, values)),
            low,
            high,
            bool(given.get("below")),
            contains,
            bool(given.get("missing")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise HeatliftError(f"no filter: {text[:80]}") from error


def selected(images: Images, filters: Sequence[Filter]) -> npt.NDArray[np.bool_]:
    """Whether each image has all that is asked for.

    Raises:
        HeatliftError: a column that there is not, a range of what has no numbers, or such.
    """
    found = np.ones(len(images), bool)
    for each in filters:
        found &= _matching(images, each)
    return found


def ordered(images: Images, chosen: npt.NDArray[np.bool_], key: str, descending: bool) -> Positions:
    """The positions of the chosen images sorted by a column, in the run's order where they are equal.

    Images without a value come last, whichever way the others go.

    Raises:
        HeatliftError: a column that there is not.
    """
    positions = np.flatnonzero(chosen)
    if key == "name":
        order = pc.sort_indices(images.names.take(positions)).to_numpy()
        return np.asarray(positions[order[::-1] if descending else order], np.int64)
    column = images.column(key) if key else None
    if column is None:
        return positions[::-1] if descending else positions
    if isinstance(column, Choice):
        titles = column.titles or column.values
        ranks = np.empty(len(titles) + 1)
        ranks[np.array(sorted(range(len(titles)), key=titles.__getitem__), int)] = np.arange(len(titles))
        ranks[MISSING] = np.nan
        values = ranks[column.codes[positions]]
    else:
        values = column.values[positions]
    return positions[np.argsort(-values if descending else values, kind="stable")]


def _matching(images: Images, asked: Filter) -> npt.NDArray[np.bool_]:
    if asked.column == "name":
        if asked.contains is None:
            raise HeatliftError("names are filtered by a text that they contain")
        found = pc.match_substring(images.names, asked.contains, ignore_case=True)
        return np.asarray(found.to_numpy(zero_copy_only=False), bool)
    column = images.column(asked.column)
    if column is None:
        return np.zeros(0, bool)
    if isinstance(column, Choice):
        if asked.missing:
            return np.asarray(column.codes == MISSING)
        titles = column.titles or column.values
        if asked.contains is not None:
            like = asked.contains.casefold()
            wanted = [like in title.casefold() for title in titles]
        elif asked.values is not None:
            wanted = [value in asked.values for value in column.values]
        else:
            raise HeatliftError(f"{asked.column} has words, no numbers: give some of them")
        return np.array([*wanted, False], bool)[column.codes]
    if asked.missing:
        return np.isnan(column.values)
    if asked.low is None and asked.high is None:
        raise HeatliftError(f"{asked.column} has numbers: give low, high or both")
    with np.errstate(invalid="ignore"):
        found = ~np.isnan(column.values)
        if asked.low is not None:
            found &= column.values >= asked.low
        if asked.high is not None:
            found &= column.values < asked.high if asked.below else column.values <= asked.high
    return found
