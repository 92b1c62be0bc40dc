"""A run's folder: begun, or gone on with where the same run was begun earlier; and the run's clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from heatlift.data import Item
from heatlift.errors import HeatliftError, first_line
from heatlift.portions import Portions, good_size
from heatlift.run import plan
from heatlift.run.kept import spoilt
from heatlift.run.lock import LOCK_FILES, held
from heatlift.run.record import known_record, write_record
from heatlift.run.tables import TABLES, part_path, parts, whole_parts
from heatlift.run.whole import PARTIAL, tidy
from heatlift.run.work import Engine, Job, Progress, Work

IDENTITY = ("kind", "version", "config", "model", "also", "verify", "data", "code", "packages")
"""What must be the same for a run to go on: with anything else the tables would mix two runs."""


@contextmanager
def opened(folder: Path, new: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The folder for this process alone, and its record: the new one, or that of the same run begun earlier.

    Raises:
        HeatliftError: the folder holds something else or a run of other settings, or another process works
            on it.
    """
    if folder.exists() and not folder.is_dir():
        raise HeatliftError(f"--out {folder} is a file: give a folder")
    if folder.exists() and not _empty(folder) and known_record(folder) is None:
        raise HeatliftError(f"{folder} is not empty and not the folder of a run: choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HeatliftError(f"can't write to {folder}: {error.strerror or first_line(error)}") from error
    with held(folder):
        tidy(folder)
        yield _record(folder, new)


def _empty(folder: Path) -> bool:
    """Whether nothing is in it but what a process leaves that was stopped before it began."""
    return folder.is_dir() and all(
        entry.name in LOCK_FILES or entry.name.endswith(PARTIAL) for entry in folder.iterdir()
    )


def _record(folder: Path, new: dict[str, Any]) -> dict[str, Any]:
    old = known_record(folder)
    if old is not None:
        changed = plan.differences(_identity(old), _identity(json.loads(json.dumps(new))))
        if changed:
            raise HeatliftError(
                f"{folder} holds another {old.get('kind', 'run')} ({'; '.join(changed[:5])}): "
                "use another --out or its settings"
            )
    record = new if old is None else old
    try:
        write_record(folder, record)
    except OSError as error:
        raise HeatliftError(f"can't write to {folder}: {error.strerror or first_line(error)}") from error
    return record


def _identity(record: dict[str, Any]) -> dict[str, Any]:
    """The part of a record that decides the figures: what paths lead to, not how they are written."""
    kept = {key: record.get(key) for key in IDENTITY}
    for part, passed_over in (("config", plan.PATHS), ("data", ("path", "note"))):
        kept[part] = {key: value for key, value in (kept[part] or {}).items() if key not in passed_over}
    return kept


def started(
    record: dict[str, Any], rehearse: Callable[[Tensor], object], images: Tensor, progress: Progress
) -> Portions:
    """How many images go at a time: as on record, or, where that is left open, what suits the machine.

    Args:
        record: the run's.
        rehearse: does to some images what takes the most memory.
        images: as many as may go at a time, (n, 3, h, w).
        progress: hears of it.
    """
    if record["batch_size"] is None:
        progress(0, 1, "finding a batch size")
        return Portions(good_size(lambda n: rehearse(images[:n])))
    return Portions(record["batch_size"])


def go_on(
    folder: Path,
    record: dict[str, Any],
    items: Sequence[Item],
    shard_size: int,
    work: Work,
    job: Job,
    engine: Engine,
    progress: Progress,
    doing: str,
) -> None:
    """Do the shards that a run has no parts of yet, and keep its record up to date after each.

    Args:
        folder: the run's.
        record: its ``run.json``, as `opened` gave it.
        items: all images of the run, in order.
        shard_size: the most images in a shard.
        work: what is done to a shard.
        job: the same for other processes.
        engine: does the shards.
        progress: hears of every shard.
        doing: what is going on, in a word.
    """
    shards = dict(enumerate(plan.shards(items, shard_size)))
    there = set.intersection(*(whole_parts(folder, table) for table in TABLES[record["kind"]]))
    there -= spoilt(folder, record["kind"], there)
    left = {number: shard for number, shard in shards.items() if number not in there}
    total = len(items)
    clock = _Clock(total - sum(map(len, left.values())), record["timing"])
    progress(clock.done, total, doing)

    def noted() -> None:
        # For the sessions that follow: what was found out about memory and pace holds for them, too.
        record["batch_size"] = work.portions.size
        record["status"] = "running"
        write_record(folder, record)

    def finished(images: int) -> None:
        record["timing"] = clock.after(images)
        noted()
        progress(clock.done, total, doing)

    if left:
        noted()
        engine(folder, left, work, job, finished)
        tidy(folder)  # after workers that were killed
    _check_parts(folder, record["kind"], set(shards))


def _check_parts(folder: Path, kind: str, shards: set[int]) -> None:
    """That every shard's parts are there, and no others, before anything is computed from them.

    Raises:
        HeatliftError: some are not, which also happens where machines do not see the same folder.
    """
    deadline = time.monotonic() + SEEN_WITHIN
    while True:
        found = {table: parts(folder, table) for table in TABLES[kind]}
        missing = [(table, number) for table, there in found.items() for number in sorted(shards - there)]
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(1)
    if missing:
        raise HeatliftError(
            f"{len(missing)} parts are not in {folder} though they were written, such as "
            f"{part_path(folder, *missing[0]).relative_to(folder)}: is it on storage that all workers share? "
            "The same command goes on"
        )
    for table, there in found.items():
        for number in sorted(there - shards):
            foreign = part_path(folder, table, number)
            raise HeatliftError(f"{foreign} is not of this run: move it away, and start the same run again")


@dataclass
class _Clock:
    """Counts images and seconds over all sessions of a run."""

    done: int
    earlier: Mapping[str, float]

    def __post_init__(self) -> None:
        self._last, self._seconds, self._here = time.perf_counter(), 0.0, 0

    def after(self, images: int) -> dict[str, float]:
        """The run's timing once more images are through."""
        self.done += images
        self._here += images
        now = time.perf_counter()
        # A machine that was put to sleep, or moved to another, may have a clock that goes back.
        self._seconds += max(now - self._last, 0.0)
        self._last = now
        seconds = self.earlier["seconds"] + self._seconds
        count = self.earlier["images"] + self._here
        return {"seconds": seconds, "images": count, "images_per_second": count / max(seconds, 1e-9)}


SEEN_WITHIN = 90
"""Seconds after which every machine sees what another one wrote; network file systems take up to a minute."""

NOT_BEGUN: Mapping[str, Any] = {"seconds": 0.0, "images": 0, "images_per_second": None}
"""The timing of a run that has done nothing yet."""
