"""The local engine: one shard after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from heatlift.run.work import Job, Shards, Work, write_tables


def run_shards(folder: Path, shards: Shards, work: Work, job: Job, finished: Callable[[int], None]) -> None:
    """An `Engine`: do the given shards by number."""
    for number, items in shards.items():
        write_tables(folder, number, work(items))
        finished(len(items))
