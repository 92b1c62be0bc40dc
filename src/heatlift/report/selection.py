"""Which of many things a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def evenly(things: Sequence[Thing], most: int) -> list[Thing]:
    """At most so many of them, evenly spread, always the first and the last.

    >>> evenly("abcdefghi", 3), evenly("ab", 3)
    (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(things) <= most:
        return list(things)
    return [things[round(place * (len(things) - 1) / (most - 1))] for place in range(most)]
