"""Work in portions that fit into memory: smaller ones after running out of it, and a good size to start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch

from heatlift.errors import HeatliftError, NetworkFailed, let_through, out_of_memory

LARGEST = 64
"""The most items that `good_size` tries at a time."""

WORTHWHILE = 1.05
"""How much faster, per item, a doubled portion must be to be worth its memory."""


TOO_LARGE = "out of memory with a single image: use a smaller size, or a machine with more"


class TooLarge:
    """Stands for the result of a single item that does not fit into memory by itself."""


class Sliceable(Protocol):
    """Items that can be counted and cut, such as a sequence or a batch."""

    def __len__(self) -> int:
        """How many items there are."""

    def __getitem__(self, part: slice, /) -> Self:
        """Some of them."""


Items = TypeVar("Items", bound=Sliceable)
Result = TypeVar("Result")


@dataclass
class Portions:
    """Does work on items in portions, and halves their size for good each time that memory runs out.

    Attributes:
        size: the most items in a portion.
    """

    size: int

    def __call__(
        self, items: Items, work: Callable[[Items], Result]
    ) -> Iterator[tuple[Items, Result | TooLarge | NetworkFailed]]:
        """Each portion with its result; for a single item the error, where the network fails on it.

        That is `TooLarge` where it does not fit into memory by itself.

        Args:
            items: all of them, done in their order.
            work: what is done to a portion; it must leave no trace where it fails.

        Raises:
            DeviceFailed: the device gave out.
        """
        start = alone = 0
        while start < len(items):
            # Up to ``alone`` one by one, to find those that the network failed on.
            portion = items[start : start + (self.size if start >= alone else 1)]
            done: Result | TooLarge | NetworkFailed
            try:
                done = work(portion)
            except NetworkFailed as error:
                if len(portion) > 1:
                    alone = start + len(portion)
                    continue
                done = error
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    let_through(error)
                    raise
                done = TooLarge()
            if isinstance(done, TooLarge):
                # Here, and not where it was caught: the error holds on to what was being computed.
                _release()
                if len(portion) > 1:
                    self.size = len(portion) // 2
                    continue
            yield portion, done
            start += len(portion)

    def all(self, items: Items, work: Callable[[Items], Result]) -> list[Result]:
        """The results of all portions.

        Raises:
            HeatliftError: a single item does not fit by itself.
            NetworkFailed: the network fails on one.
        """
        found: list[Result] = []
        for _, done in self(items, work):
            if isinstance(done, TooLarge):
                raise HeatliftError(TOO_LARGE)
            if isinstance(done, NetworkFailed):
                raise done
            found.append(done)
        return found


def good_size(trial: Callable[[int], object], largest: int = LARGEST) -> int:
    """The number of items at a time from which on more do not make it faster, or no longer fit.

    Args:
        trial: does the work on that many items, for the clock.
        largest: where to stop.
    """
    trial(1)
    best, pace = 1, _pace(trial, 1)
    size = 2
    while size <= largest:
        try:
            faster = _pace(trial, size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            _release()
            break
        if faster < WORTHWHILE * pace:
            break
        best, pace, size = size, faster, 2 * size
    return best


def _pace(trial: Callable[[int], object], size: int) -> float:
    """Items per second."""
    start = time.perf_counter()
    trial(size)
    return size / max(time.perf_counter() - start, 1e-9)


def _release() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
