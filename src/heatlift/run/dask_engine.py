"""The Dask engine: shards as tasks of a cluster, which every worker writes itself.

Workers share the run's folder and DATA with the process that hands out, or both are in object storage. A
shard whose worker ended three times (killed by the system, out of memory, a crash in native code) is put
aside until all others are done. Then, with nothing beside it that could be at fault in its place, it is cut
in half until the images are found that end a worker; they become failed rows, and the others are done
without them. Where only the shard as a whole ends its worker, the run ends with a line that says so.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from heatlift.data import Item
from heatlift.errors import HeatliftError, device_failure, first_line
from heatlift.run.dask_worker import Errand, do_shard, holder_of, seen, try_images
from heatlift.run.work import Job, Shards, Work

LIVES = 3
"""Times that a shard's worker may end before its images are looked at one by one.

Of a cluster that somebody else has started, its own ``distributed.scheduler.allowed-failures`` decides."""

AHEAD = 3
"""Shards that are with the cluster for each of its threads.

Where a resource is asked for, the scheduler gives out all that it has, and counts a worker's end against
each that it gave to that worker, begun or not. Besides, each takes the scheduler some 20 kB."""

RETRIES = 2
"""Times that a shard is begun again after an error that is not about its images, such as a full disk."""

LOOK, PATIENCE = 10, 120
"""Seconds between looks at whether there are any workers, and for which there may be none."""

RESOURCE = "GPU"
"""The resource that is asked for where any worker has it (dask-cuda: ``--resources GPU=1``)."""


@dataclass
class DaskEngine:
    """An `Engine` on a cluster.

    Attributes:
        scheduler: address of a running cluster's scheduler; None for a cluster of this machine's own.
        workers: processes of the machine's own cluster; None for one for each core.
        url: where workers put what they make, if the run is in object storage.
        done_by: images by worker, once shards are done.
    """

    scheduler: str | None = None
    workers: int | None = None
    url: str | None = None
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
            _Handing(client, self.url or folder.resolve(), job, self.done_by)(shards, finished)


class _Handing:
    """Hands out the shards of one run."""

    def __init__(self, client: Any, run: Path | str, job: Job, done_by: Counter[str]) -> None:
        self._client, self._done_by = client, done_by
        self._left: Iterator[tuple[int, Sequence[Item]]] = iter(())
        self._waiting: dict[Any, int] = {}
        # With every task: what is sent to workers once is lost with the last of them.
        self._errand = Errand(uuid4().hex, job, run, holder_of(run), torch.get_num_threads())
        infos = client.scheduler_info(n_workers=-1)["workers"].values()
        needs_gpu = any(RESOURCE in info.get("resources", {}) for info in infos)
        self._options: dict[str, Any] = {"pure": False, "retries": RETRIES}
        self._options |= {"resources": {RESOURCE: 1}} if needs_gpu else {}

    def __call__(self, shards: Shards, finished: Callable[[int], None]) -> None:
        from distributed import KilledWorker

        def done(worker: str, number: int) -> None:
            self._done_by[worker] += len(shards[number])
            finished(len(shards[number]))

        self._left = iter(shards.items())
        suspects: list[int] = []
        self._top_up()
        while self._waiting:
            for future in self._done(self._waiting):
                number = self._waiting.pop(future)
                try:
                    done(_result(future, number), number)
                except KilledWorker:
                    suspects.append(number)
                future.release()
            self._top_up()
        for number in suspects:
            done(self._without_culprits(number, shards[number]), number)

    def _top_up(self) -> None:
        """Hand out as much as the workers that are there now have to do with."""
        threads = max(1, sum(self._client.nthreads().values()))
        room = AHEAD * threads - sum(not future.done() for future in self._waiting)
        for number, items in islice(self._left, max(0, room)):
            future = self._submitted(do_shard, number, list(items), seen(items))
            self._waiting[future] = number

    def _done(self, futures: Collection[Any]) -> Collection[Any]:
        """Those that are done, at least one; until then workers that come get shards.

        Raises:
            HeatliftError: nobody is there to do any.
        """
        from distributed import wait

        alone_since: float | None = None
        while True:
            self._top_up()
            try:
                found: Collection[Any] = wait(list(futures), timeout=LOOK, return_when="FIRST_COMPLETED").done
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

    def _submitted(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._client.submit(function, self._errand, *arguments, **self._options)

    def _without_culprits(self, number: int, items: Sequence[Item]) -> str:
        """Do a shard without the images that end its worker; who did it.

        Raises:
            HeatliftError: those that do not by themselves do so together: nothing is known of any of them.
        """
        from distributed import KilledWorker

        culprits = self._culprits(number, items)
        others = [item for item in items if item not in culprits]
        future = self._submitted(do_shard, number, others, seen(others), tuple(culprits))
        self._done([future])
        try:
            return str(_result(future, number))
        except KilledWorker as error:
            raise HeatliftError(
                f"shard {number} ends its worker only as a whole: give workers more memory, or begin another "
                "run with a smaller --shard-size"
            ) from error

    def _culprits(self, number: int, items: Sequence[Item]) -> list[Item]:
        """Those of some images that end a worker alone."""
        from distributed import KilledWorker

        future = self._submitted(try_images, list(items))
        self._done([future])
        try:
            _result(future, number)
        except KilledWorker:
            if len(items) == 1:
                return list(items)
            middle = len(items) // 2
            return self._culprits(number, items[:middle]) + self._culprits(number, items[middle:])
        return []


def _result(future: Any, number: int) -> Any:
    """What a task gave that is done, on behalf of a shard.

    Raises:
        KilledWorker: its workers ended.
        HeatliftError: it failed in any other way.
    """
    from distributed import KilledWorker

    try:
        return future.result()
    except (KilledWorker, HeatliftError):
        raise
    except Exception as error:
        raise device_failure(error) or HeatliftError(
            f"shard {number} failed on its worker {1 + RETRIES} times: {type(error).__name__}, "
            f"{first_line(error)}; the same command goes on from here"
        ) from error


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
        # A worker that was ended is begun again, which takes a while on a busy machine: without this, the
        # machine's own cluster gives it up for good before it is back.
        "distributed.deploy.lost-worker-timeout": f"{PATIENCE}s",
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        try:
            if scheduler is None:
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",  # with None, the port that others have, and a warning
                    silence_logs=logging.ERROR,
                    preload=["heatlift.run.dask_setup"],
                )
                stack.enter_context(cluster)
                client = Client(cluster)
            else:
                client = Client(scheduler, timeout="30s")
            stack.enter_context(client)
            if not client.scheduler_info(n_workers=-1)["workers"]:
                client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, ValueError, TimeoutError) as error:
            where = scheduler or "this machine"
            raise HeatliftError(f"no Dask cluster at {where}: {first_line(error)}") from error
        yield client
