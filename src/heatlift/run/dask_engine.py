"""The Dask engine: shards as tasks of a cluster, which every worker writes itself.

Workers share the run's folder and DATA with the process that hands out. Each loads the network once. A
shard whose worker ended three times (killed by the system, out of memory, a crash in native code) is cut in
half until the images at fault are found; they become failed rows, and the others are done without them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from heatlift.data import Item
from heatlift.errors import HeatliftError, first_line
from heatlift.run.lock import holder
from heatlift.run.work import Job, Shards, Work, write_tables

LIVES = 3
"""Times that a shard's worker may end before its images are looked at one by one.

Of a cluster that somebody else has started, its own ``distributed.scheduler.allowed-failures`` decides."""

RETRIES = 2
"""Times that a shard is begun again after an error that is not about its images, such as a full disk."""

LOOK, PATIENCE = 10, 120
"""Seconds between looks at whether there are any workers, and for which there may be none."""

FATAL = "every worker that began with this image ended"

RESOURCE = "GPU"
"""The resource that is asked for where any worker has it (dask-cuda: ``--resources GPU=1``)."""


@dataclass
class DaskEngine:
    """An `Engine` on a cluster.

    Attributes:
        scheduler: address of a running cluster's scheduler; None for a cluster of this machine's own.
        workers: processes of the machine's own cluster; None for one for each core.
        done_by: images by worker, once shards are done.
    """

    scheduler: str | None = None
    workers: int | None = None
    done_by: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """Who did what, in a line."""
        each = ", ".join(f"{worker} {images}" for worker, images in sorted(self.done_by.items()))
        return f"{len(self.done_by)}; images by worker: {each}"

    def __call__(
        self, folder: Path, shards: Shards, work: Work, job: Job, finished: Callable[[int], None]
    ) -> None:
        """As of `Engine`.

        Raises:
            HeatliftError: no cluster can be had, or its workers can't do this run.
        """
        if not shards:
            return
        with _client(self.scheduler, self.workers) as client:
            _Handing(client, folder.resolve(), job, self.done_by)(shards, finished)


@dataclass(frozen=True)
class Errand:
    """What a worker has to know of a run.

    Attributes:
        token: tells runs apart, so that a worker keeps what it has loaded.
        job: loads the work.
        folder: the run's.
        holder: what the file says there that the handing process wrote: the folders must be the same.
        threads: of torch; with another number figures differ in their last bits.
    """

    token: str
    job: Job
    folder: Path
    holder: str
    threads: int


class _Handing:
    """Hands out the shards of one run."""

    def __init__(self, client: Any, folder: Path, job: Job, done_by: Counter[str]) -> None:
        self._client, self._done_by = client, done_by
        # With every task: what is sent to workers once is lost with the last of them.
        self._errand = Errand(uuid4().hex, job, folder, holder(folder), torch.get_num_threads())
        infos = client.scheduler_info(n_workers=-1)["workers"].values()
        needs_gpu = any(RESOURCE in info.get("resources", {}) for info in infos)
        self._options: dict[str, Any] = {"pure": False}
        self._options |= {"resources": {RESOURCE: 1}} if needs_gpu else {}

    def __call__(self, shards: Shards, finished: Callable[[int], None]) -> None:
        waiting = {
            self._submitted(do_shard, number, list(items), (), retries=RETRIES): number
            for number, items in shards.items()
        }
        while waiting:
            for future in self._done(list(waiting)):
                number = waiting.pop(future)
                worker = self._worker(future, number, shards[number])
                future.release()
                self._done_by[worker] += len(shards[number])
                finished(len(shards[number]))

    def _worker(self, future: Any, number: int, items: Sequence[Item]) -> str:
        """Who has done a shard, once it is done in one way or another."""
        from distributed import KilledWorker

        try:
            return str(future.result())
        except KilledWorker:
            return self._without_culprits(number, items)
        except HeatliftError:
            raise
        except Exception as error:
            raise HeatliftError(
                f"shard {number} failed on its worker {1 + RETRIES} times: {type(error).__name__}, "
                f"{first_line(error)}; the same command goes on from here"
            ) from error

    def _done(self, futures: Sequence[Any]) -> Collection[Any]:
        """Those that are done, at least one.

        Raises:
            HeatliftError: nobody is there to do any.
        """
        from distributed import wait

        alone_since: float | None = None
        while True:
            try:
                found: Collection[Any] = wait(futures, timeout=LOOK, return_when="FIRST_COMPLETED").done
                return found
            except TimeoutError:
                now = time.monotonic()
                if self._client.scheduler_info(n_workers=-1)["workers"]:
                    alone_since = None
                elif alone_since is None:
                    alone_since = now
                elif now - alone_since > PATIENCE:
                    raise HeatliftError(
                        f"the cluster has had no worker for {PATIENCE} s; the same command goes on from here"
                    ) from None

    def _result(self, future: Any) -> Any:
        self._done([future])
        return future.result()

    def _submitted(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return self._client.submit(function, self._errand, *arguments, **(self._options | options))

    def _without_culprits(self, number: int, items: Sequence[Item]) -> str:
        """Do a shard without the images that end its worker; who did it."""
        from distributed import KilledWorker

        culprits = self._culprits(items)
        others = [item for item in items if item not in culprits]
        while True:
            try:
                return str(self._result(self._submitted(do_shard, number, others, tuple(culprits))))
            except KilledWorker:
                # Only together do they end it: nothing is known of any of them.
                culprits, others = list(items), []

    def _culprits(self, items: Sequence[Item]) -> list[Item]:
        """Those of some images, known to end a worker together, that do so alone."""
        from distributed import KilledWorker

        if len(items) == 1:
            return list(items)
        middle, found = len(items) // 2, []
        for half in (items[:middle], items[middle:]):
            try:
                self._result(self._submitted(try_images, list(half)))
            except KilledWorker:
                found += self._culprits(half)
        return found


def do_shard(errand: Errand, number: int, items: Sequence[Item], culprits: Sequence[Item]) -> str:
    """On a worker: do a shard and write its parts; the worker's name.

    Args:
        errand: what there is to know of the run.
        number: the shard's.
        items: its images.
        culprits: further ones of it, which get failed rows.

    Raises:
        HeatliftError: this worker can't do the run.
    """
    work = _loaded(errand)
    tables = {name: list(rows) for name, rows in (work(items) if items else {}).items()}
    for item in culprits:
        for name, rows in work.failed(item, FATAL).items():
            tables.setdefault(name, []).extend(rows)
    write_tables(errand.folder, number, tables)
    return _own_name()


def try_images(errand: Errand, items: Sequence[Item]) -> None:
    """On a worker: do images for nothing, to see whether it survives that."""
    _loaded(errand)(items)


_LOADED: dict[str, Work] = {}
"""This worker's work, by the run's token; never more than one."""


def _loaded(errand: Errand) -> Work:
    if errand.token not in _LOADED:
        if holder(errand.folder) != errand.holder:
            raise HeatliftError(
                f"{errand.folder} is another folder on the worker {_own_name()}: "
                "run and DATA must be on storage that all workers share, under the same path"
            )
        torch.set_num_threads(errand.threads)
        _LOADED.clear()
        _LOADED[errand.token] = errand.job()
    return _LOADED[errand.token]


def _own_name() -> str:
    from distributed import get_worker

    return str(get_worker().name)


@contextmanager
def _client(scheduler: str | None, workers: int | None) -> Iterator[Any]:
    """A connection to a cluster, or to one of this machine's own, which ends with it."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise HeatliftError("--engine dask needs Dask: pip install 'heatlift[dask]'") from error
    settings: Mapping[str, Any] = {
        "distributed.scheduler.allowed-failures": LIVES - 1,
        # A worker that computes does not answer in time, which says nothing.
        "distributed.comm.timeouts.connect": "60s",
        "distributed.comm.timeouts.tcp": "300s",
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        try:
            if scheduler is None:
                cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
                )
                stack.enter_context(cluster)
                client = Client(cluster)
            else:
                client = Client(scheduler, timeout="30s")
            stack.enter_context(client)
            if not client.scheduler_info(n_workers=-1)["workers"]:
                client.wait_for_workers(1, timeout=60)
        except (OSError, ValueError, TimeoutError) as error:
            where = scheduler or "this machine"
            raise HeatliftError(f"no Dask cluster at {where}: {first_line(error)}") from error
        yield client
