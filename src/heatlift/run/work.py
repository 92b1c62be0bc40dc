"""What engines hand out: the work on a shard's images, and how a worker comes by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from heatlift.data import Item
from heatlift.portions import Portions
from heatlift.run.tables import write_part

Tables: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""The rows of each table."""


class Work(Protocol):
    """Does the images of a shard, with networks that are loaded."""

    portions: Portions

    def __call__(self, items: Sequence[Item]) -> Tables:
        """A row for every image in the first table, readable or not."""

    def failed(self, item: Item, reason: str) -> Tables:
        """The rows of an image that could not be done."""


Job: TypeAlias = Callable[[Path], Work]
"""Loads what the work needs, given the run's folder. It can be pickled, for another process or machine."""

Shards: TypeAlias = Mapping[int, Sequence[Item]]
"""Images by the shard's number."""


class Engine(Protocol):
    """Does shards."""

    def __call__(
        self, folder: Path, shards: Shards, work: Work, job: Job, finished: Callable[[int], None]
    ) -> None:
        """Do the given shards and write their parts.

        Args:
            folder: the run's.
            shards: what is left to do.
            work: for this process.
            job: for others.
            finished: hears of each shard that is done, how many images it has.
        """


class Progress(Protocol):
    """Hears how far a run is."""

    def __call__(self, done: int, total: int, step: str) -> None:
        """``done`` of ``total`` images are through; ``step`` says what is going on."""


def write_tables(folder: Path, number: int, tables: Tables) -> None:
    """Write a shard's parts."""
    for table, rows in tables.items():
        write_part(folder, table, number, rows)
