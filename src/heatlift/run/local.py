"""The local engine: one shard after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from heatlift.data import Item
from heatlift.run.tables import write_part

Work = Callable[[Sequence[Item]], Mapping[str, Sequence[Mapping[str, Any]]]]
"""A shard's images -> the rows of each table."""


class Progress(Protocol):
    """Hears how far a run is."""

    def __call__(self, done: int, total: int, step: str) -> None:
        """``done`` of ``total`` images are through; ``step`` says what is going on."""


def run_shards(
    folder: Path, shards: Mapping[int, Sequence[Item]], work: Work, finished: Callable[[int], None]
) -> None:
    """Do the given shards by number and write their parts; ``finished`` hears how many images are done."""
    for number, items in shards.items():
        tables = work(items)
        for table, rows in tables.items():
            write_part(folder, table, number, rows)
        finished(len(items))
