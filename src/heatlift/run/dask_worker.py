"""What a Dask worker does: it loads the network once and writes shards itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import torch

from heatlift.allocation import keep_freed_memory
from heatlift.data import Item
from heatlift.errors import HeatliftError
from heatlift.run.lease import token
from heatlift.run.lock import holder
from heatlift.run.mirror import Mirror, temporary_mirror
from heatlift.run.work import Job, Work, write_tables

FATAL = "every worker that began with this image ended"


@dataclass(frozen=True)
class Errand:
    """What a worker has to know of a run.

    Attributes:
        token: tells runs apart, so that a worker keeps what it has loaded.
        job: loads the work.
        run: its folder, or its address in object storage.
        holder: what is said there of the handing process, by itself: both must see the same.
        threads: of torch; with another number figures differ in their last bits.
    """

    token: str
    job: Job
    run: Path | str
    holder: str
    threads: int


def seen(items: Sequence[Item]) -> int:
    """How many images' files this machine sees; those in object storage are not looked for."""
    return sum(not isinstance(item.path, Path) or item.path.exists() for item in items)


def do_shard(
    errand: Errand, number: int, items: Sequence[Item], there: int, culprits: Sequence[Item] = ()
) -> str:
    """On a worker: do a shard and write its parts; the worker's name.

    Args:
        errand: what there is to know of the run.
        number: the shard's.
        items: its images.
        there: how many of them the process that hands out has `seen`.
        culprits: further ones of it, which get failed rows.

    Raises:
        HeatliftError: this worker can't do the run.
    """
    with _ONE_AT_A_TIME:
        desk = _desk(errand)
        if seen(items) < there:
            gone = next(item for item in items if not seen([item]))
            raise HeatliftError(
                f"the worker {_own_name()} does not see all images, such as {gone.path}: "
                "DATA must be on storage that all workers share, under the same path"
            )
        tables = {name: list(rows) for name, rows in (desk.work(items) if items else {}).items()}
        for item in culprits:
            for name, rows in desk.work.failed(item, FATAL).items():
                tables.setdefault(name, []).extend(rows)
        write_tables(desk.folder, number, tables)
        if desk.mirror is not None:
            desk.mirror.push()
            desk.mirror.clear()
        return _own_name()


def try_images(errand: Errand, items: Sequence[Item]) -> None:
    """On a worker: do images for nothing, to see whether it survives that."""
    with _ONE_AT_A_TIME:
        _desk(errand).work(items)


_ONE_AT_A_TIME = Lock()
"""Tasks of a worker with several threads would change the same network's modes and hooks."""


@dataclass
class _Desk:
    """What a worker has of a run: the work, where it is written, and what brings that to object storage."""

    work: Work
    folder: Path
    mirror: Mirror | None


_DESKS: dict[str, _Desk] = {}
"""This worker's, by the run's token; never more than one."""


def _desk(errand: Errand) -> _Desk:
    if errand.token not in _DESKS:
        if holder_of(errand.run) != errand.holder:
            raise HeatliftError(
                f"{errand.run} is something else on the worker {_own_name()}: "
                "run and DATA must be on storage that all workers share, under the same path"
            )
        torch.set_num_threads(errand.threads)
        keep_freed_memory()
        _DESKS.clear()
        mirror = temporary_mirror(errand.run) if isinstance(errand.run, str) else None
        folder = mirror.folder if mirror else Path(errand.run)
        _DESKS[errand.token] = _Desk(errand.job(folder), folder, mirror)
    return _DESKS[errand.token]


def holder_of(run: Path | str) -> str:
    """What is said at a run's place of the process that works on it, as seen from here."""
    return token(run) if isinstance(run, str) else holder(run)


def _own_name() -> str:
    from distributed import get_worker

    return str(get_worker().name)
