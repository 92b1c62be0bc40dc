"""The Dask engine as a queue: a run on many workers, simulated event by event.

One process hands out and takes in, one scheduler assigns, workers load the network with their first shard
and do one shard at a time. Some machines are slower than others, images take unequal time, shards stall,
workers die; a dead worker's shard is begun again, and after `LIVES` deaths its images are looked at one by
one. `Costs` are measured (`benchmarks/scale_costs.py`), `Cluster` is assumed.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from heatlift.run.dask_engine import AHEAD, LIVES
from heatlift.run.tables import TABLES

PARTS = len(TABLES["audit"])
"""Files of a shard."""

SERIAL = ("preparing", "reading parts", "summary")
"""What one process does before the first shard, and after the last."""


@dataclass(frozen=True)
class Costs:
    """Seconds, as ``--measure`` prints them: here of one core of an AMD EPYC, a local disk, 2026-11-23."""

    prepare_image: float = 7e-5  # to list, sample and shuffle: before the first shard, by one process
    submit: float = 1.1e-3  # the handing process, per shard
    handle: float = 7.5e-3  # the scheduler, per shard
    take_in: float = 6.8e-3  # the handing process, per finished shard: the result, run.json
    pending: float = 4e-5  # the same, per look at what is finished and shard that is not
    load: float = 5.6  # a worker, once: to load the network
    shard: float = 0.1  # a worker, per shard: its parts, the lent heatmap, a pipeline that fills
    part: float = 1e-3  # to read a part, once in a summary and once where a run is resumed
    summary_image: float = 1.2e-3  # the summary, per image: 14 pairs of method and operation


@dataclass(frozen=True)
class Cluster:
    """Workers as they are assumed to be."""

    workers: int = 1
    pace: float = 1.0  # images per second of a worker
    slow_share: float = 0.05  # of the workers
    slow_factor: float = 2.0  # times as long as the others
    spread: float = 0.5  # of an image's time: standard deviation by mean
    stall_share: float = 1e-5  # of the images, for a time with a heavy tail (Pareto, 1.5)
    stall: float = 10.0  # seconds at least; a hundred times that at most
    deaths: float = 0.01  # per worker and hour
    replaced: float = 60.0  # seconds until there is another worker

    def calm(self) -> Cluster:
        """The same without anything left to chance."""
        return replace(self, slow_share=0.0, spread=0.0, stall_share=0.0, deaths=0.0)

    def factors(self) -> np.ndarray:
        """How many times as long as the others each worker takes."""
        slow = math.ceil(self.slow_share * self.workers) if self.workers > 1 else 0
        return np.where(np.arange(self.workers) < slow, self.slow_factor, 1.0)

    def ideal(self, images: int) -> float:
        """Seconds for some images if nothing but their own work took any time."""
        return images / float((self.pace / self.factors()).sum())


@dataclass
class Outcome:
    """What became of a run; seconds of the whole cluster, so that they add up to ``seconds``.

    Attributes:
        seconds: from the command to the summary.
        ideal: if nothing but the images took any time.
        spent: by what it was for; ``images`` is what had to be done.
        done: images by how many times a part of theirs was taken in, which must be once.
        deaths: of workers while they had a shard.
        bisected: shards that were looked at image by image.
        files: that there are in the end.
    """

    seconds: float
    ideal: float
    spent: dict[str, float]
    done: dict[int, int]
    deaths: int
    bisected: int
    files: int

    @property
    def efficiency(self) -> float:
        """Share of the time that the images alone would have taken."""
        return self.ideal / self.seconds

    @property
    def limit(self) -> str:
        """What took most of the rest."""
        return max((what for what in self.spent if what != "images"), key=self.spent.__getitem__)


@dataclass
class _Hall:
    """The run while it goes on."""

    sizes: np.ndarray
    cluster: Cluster
    costs: Costs
    seed: int
    ahead: float
    spent: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("images", "writing", "loading", "stalls"), 0.0)
    )

    def __post_init__(self) -> None:
        cluster, n = self.cluster, len(self.sizes)
        draw = np.random.default_rng(self.seed)
        work = self.sizes / cluster.pace
        if cluster.spread:
            shape = self.sizes / cluster.spread**2
            work = work * draw.gamma(shape) / shape
        stalls = draw.random(n) > (1 - cluster.stall_share) ** self.sizes
        lasts = np.minimum(cluster.stall * (1 + draw.pareto(1.5, n)), 100 * cluster.stall)
        self.work, self.stalls = work.tolist(), np.where(stalls, lasts, 0.0).tolist()
        self.factors = cluster.factors().tolist()
        self._draw = draw
        self.dies_at = [self._life() for _ in range(cluster.workers)]
        self.loaded = [False] * cluster.workers
        self.lives, self.again, self.taken_in = [0] * n, [False] * n, [0] * n
        self.deaths = self.bisected = 0
        self.events: list[tuple[float, int, str, int, int]] = []
        self._order = count()
        self.waiting: deque[int] = deque()
        self.idle = deque(range(cluster.workers))
        self.scheduler_free = self.handing_free = 0.0
        self.submitted = 0
        self.finished: list[int] = []
        self.blocked = 0
        self.last_end, self.began = [0.0] * cluster.workers, [0.0] * cluster.workers
        self.lost = 0.0

    def _life(self) -> float:
        return float(self._draw.exponential(3600 / self.cluster.deaths)) if self.cluster.deaths else math.inf

    def push(self, time: float, what: str, worker: int = -1, shard: int = -1) -> None:
        heapq.heappush(self.events, (time, next(self._order), what, worker, shard))

    def run(self) -> float:
        """Do all shards; when the last was taken in."""
        now, total, taken = 0.0, len(self.sizes), 0
        self.submit(0.0, int(min(total, self.ahead)))
        while taken < total:
            now, _, what, worker, shard = heapq.heappop(self.events)
            if what == "submitted":
                self.waiting.append(shard)
            elif what == "done":
                self.blocked -= bool(self.again[shard])
                self.finished.append(shard)
                self.last_end[worker] = now
                self.idle.append(worker)
            elif what == "died":
                self.died(now, worker, shard)
            elif what == "back":
                self.idle.append(worker)
            elif what == "taken in":
                taken += 1
                self.taken_in[shard] += 1
            self.assign(now)
            self.take_in(now, total - taken)
        return now

    def submit(self, now: float, many: int) -> None:
        for _ in range(min(many, len(self.sizes) - self.submitted)):
            now += self.costs.submit
            self.push(now, "submitted", shard=self.submitted)
            self.submitted += 1
        self.handing_free = now
        self.push(now, "free")

    def assign(self, now: float) -> None:
        while self.waiting and self.idle:
            worker = self.idle.popleft()
            if self.dies_at[worker] <= now:  # while it had nothing to do
                self.revive(worker, max(now, self.dies_at[worker] + self.cluster.replaced))
                continue
            shard = self.waiting.popleft()
            start = self.scheduler_free = max(now, self.scheduler_free) + self.costs.handle
            self.began[worker] = start
            load = 0.0 if self.loaded[worker] else self.costs.load
            fixed = self.costs.shard
            work = self.work[shard] * self.factors[worker]
            twice = work if self.again[shard] else 0.0  # both halves for nothing, then in earnest
            end = start + load + fixed + work + twice + self.stalls[shard]
            if self.dies_at[worker] < end:
                self.push(max(start, self.dies_at[worker]), "died", worker, shard)
                continue
            self.loaded[worker] = True
            stall = self.stalls[shard]
            for what, took in (("loading", load), ("writing", fixed), ("images", work), ("stalls", stall)):
                self.spent[what] += took
            self.lost += twice
            self.push(end, "done", worker, shard)

    def died(self, now: float, worker: int, shard: int) -> None:
        self.deaths += 1
        self.lives[shard] += 1
        self.lost += now - self.began[worker] + self.cluster.replaced
        self.last_end[worker] = now
        if self.lives[shard] == LIVES:
            # Image by image, while the process that hands out waits for it.
            self.bisected += 1
            self.blocked += 1
            self.again[shard] = True
        self.waiting.appendleft(shard)
        self.revive(worker, now + self.cluster.replaced)

    def revive(self, worker: int, at: float) -> None:
        self.loaded[worker] = False
        self.dies_at[worker] = at + self._life()
        self.push(at, "back", worker)

    def take_in(self, now: float, left: int) -> None:
        if not self.finished or self.blocked or self.handing_free > now:
            return
        look = min(left, self.ahead)
        at = now + self.costs.pending * look
        for shard in self.finished:
            at += self.costs.take_in
            self.push(at, "taken in", shard=shard)
        more, self.finished = len(self.finished), []
        self.submit(at, more)


def shard_sizes(images: int, size: int) -> np.ndarray:
    """How many images each shard has, as `heatlift.run.plan.shards` cuts them."""
    number = -(-images // size)
    return np.diff(images * np.arange(number + 1) // number)


def simulate(
    images: int, size: int, cluster: Cluster, costs: Costs, seed: int = 0, ahead: float = AHEAD
) -> Outcome:
    """A run on a cluster.

    Args:
        images: of the run.
        size: of a shard, at most.
        cluster: the workers.
        costs: of everything but the images.
        seed: of all that is left to chance.
        ahead: shards that are with the scheduler at a time, for each worker; ``math.inf`` for all at once.
    """
    sizes = shard_sizes(images, size)
    hall = _Hall(sizes, cluster, costs, seed, ahead * cluster.workers)
    makespan, workers = hall.run(), cluster.workers
    files = PARTS * len(sizes)
    end = max(hall.last_end)
    spent = {what: seconds / workers for what, seconds in hall.spent.items()}
    spent["end"] = sum(end - one for one in hall.last_end) / workers
    spent["taking in"] = makespan - end
    rest = max(0.0, makespan - sum(spent.values()))
    spent["deaths"] = min(rest, hall.lost / workers)
    spent["hand-out"] = rest - spent["deaths"]
    spent["preparing"] = costs.prepare_image * images + costs.load
    spent["reading parts"], spent["summary"] = costs.part * files, costs.summary_image * images
    seconds = makespan + spent["preparing"] + spent["reading parts"] + spent["summary"]
    times, number = np.unique(np.repeat(hall.taken_in, sizes), return_counts=True)
    done = dict(zip(times.tolist(), number.tolist(), strict=True))
    return Outcome(seconds, cluster.ideal(images), spent, done, hall.deaths, hall.bisected, files)
