"""What all but the images takes in a run, measured; and real runs beside what is simulated for them."""

from __future__ import annotations

import logging
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from distributed import Client, LocalCluster, wait
from memory import write_images
from scale_simulation import SERIAL, Cluster, Costs, simulate
from summary import write_run

from heatlift.data import Dataset, Item, find_images
from heatlift.portions import Portions
from heatlift.run import audit as audits
from heatlift.run import plan
from heatlift.run.dask_engine import DaskEngine
from heatlift.run.local import run_shards
from heatlift.run.record import write_json
from heatlift.run.shard import ShardAudit
from heatlift.run.summary import write_summary
from heatlift.run.tables import TABLES, read_table, whole_parts, write_part
from heatlift.run.work import Job, Shards, Work, write_tables

METHODS = ("saliency", "deeplift")


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """Median over some rounds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return median(found)


@contextmanager
def workers(number: int) -> Iterator[tuple[LocalCluster, Client]]:
    """A cluster on 127.0.0.1."""
    with (
        LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL + 1,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, client


def invented(number: int) -> list[Item]:
    """Images that are named as ImageNet's are."""
    names = [f"n{k % 1000:08d}/ILSVRC2012_val_{k:08d}.JPEG" for k in range(number)]
    return [Item(name, Path("/data/imagenet/val") / name, k % 1000) for k, name in enumerate(names)]


def nothing(errand: str, number: int, items: Sequence[Item], culprits: Sequence[Item]) -> str:
    """What the engine submits for a shard, without the work."""
    return "worker"


def later(seconds: float) -> str:
    """A shard that is not done yet."""
    time.sleep(seconds)
    return "worker"


def handing(shards: int = 2000, size: int = 32) -> dict[str, float]:
    """``submit``, ``handle``, ``take_in`` without run.json, ``pending``."""
    with workers(2) as (_, client):
        items = invented(size)
        client.submit(nothing, "", 0, items, (), pure=False).result()
        began = time.perf_counter()
        futures = [
            client.submit(nothing, "", k, list(items), (), pure=False, retries=2) for k in range(shards)
        ]
        submitted = time.perf_counter()
        wait(futures)
        handled = time.perf_counter()
        for one in futures:
            one.result()
            one.release()
        taken = time.perf_counter()
        # One is done, the others are not: a look takes what looking through them takes.
        done = client.submit(later, 0.0, pure=False)
        done.result()
        others = [client.submit(later, 600.0, pure=False) for _ in range(shards)]
        time.sleep(1)
        look = seconds(lambda: wait([*others, done], return_when="FIRST_COMPLETED"))
        few = seconds(lambda: wait([done], return_when="FIRST_COMPLETED"))
        client.cancel(others, force=True)
    return {
        "submit": (submitted - began) / shards,
        "handle": (handled - began) / shards,
        "take_in": (taken - handled) / shards,
        "pending": max(0.0, look - few) / shards,
    }


def files(run: Path, work: ShardAudit, items: Sequence[Item], parts: int = 500) -> dict[str, float]:
    """``part``, the time to write a shard's parts, and bytes of each table per image."""
    tables = work(items)
    write = seconds(lambda: write_tables(run, 0, tables))
    found = {"write": write}
    for table in TABLES["audit"]:
        size = sum(file.stat().st_size for file in (run / table).glob("part-*.parquet"))
        found[f"bytes {table}"] = size / len(items)
    for number in range(1, parts):
        write_part(run, "scores", number, tables["scores"])
    found["part"] = seconds(lambda: read_table(run, "scores", ["co_predicted"]), 3) / parts
    found["whole part"] = seconds(lambda: whole_parts(run, "scores"), 3) / parts
    return found


def shard_cost(work: ShardAudit, items: Sequence[Item]) -> tuple[float, float]:
    """Seconds per shard, for the heatmap that is lent to its first image, and per image."""
    work(items[:2])
    lent = seconds(lambda: work._last_heatmap(items), 3)
    return lent, (seconds(lambda: work(items), 1) - lent) / len(items)


def summaries(images: int = 75_000) -> dict[str, float]:
    """``summary_image`` of 14 pairs of method and operation: from here on resamples stay as many."""
    with tempfile.TemporaryDirectory() as place:
        write_run(Path(place), images, 7, 1000)
        began = time.perf_counter()
        write_summary(Path(place))
        return {"summary_image": (time.perf_counter() - began) / images}


def preparation(data: Path, number: int = 100_000) -> dict[str, float]:
    """``prepare_image``: to list and sample a folder of real images, and to order very many."""
    tracemalloc.start()
    items = tuple(invented(number))
    memory = tracemalloc.get_traced_memory()[0] / number
    tracemalloc.stop()
    shuffled = seconds(lambda: Dataset(data, "", items).shuffled(0), 1) / number
    classes = len(list(data.iterdir()))
    listed = len(find_images(data, classes, None).items)
    read = seconds(lambda: find_images(data, classes, None).fingerprint()) / listed
    return {"prepare_image": shuffled + read, "bytes of an Item": memory}


def starting() -> float:
    """Seconds that this process takes to import what an audit needs; for a worker the first time counts."""
    began = time.perf_counter()
    import_module("heatlift.run.audit")
    return time.perf_counter() - began


def importing() -> float:
    """The same in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        began = time.perf_counter()
        pool.submit(starting).result()
        return time.perf_counter() - began


def measured(model: str = "demo") -> Iterator[tuple[str, float]]:
    """The constants of `Costs`, and what else is found on the way, by name."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        data, run = Path(place) / "data", Path(place) / "run"
        write_images(data, 48)
        config = plan.configured(data=str(data), model=model)
        prepared = audits.prepare(config)
        yield "load", importing() + seconds(lambda: plan.loaded(config), 3)
        work = ShardAudit(prepared.classifier, prepared.requests, config)
        lent, each = shard_cost(work, prepared.items)
        found = files(run, work, prepared.items[:32])
        yield "shard", lent + found["write"]
        yield "image", each
        yield from found.items()
        yield "bytes of DATA", sum(item.path.stat().st_size for item in prepared.items) / len(prepared.items)
        record = audits._record(prepared)
        yield "run.json", seconds(lambda: write_json(run / "run.json", record), 20)
        yield from preparation(data).items()
    yield from handing().items()
    yield from summaries().items()


@dataclass
class Asleep:
    """Work that takes its time and no processor, so that as many workers as one likes have enough of it."""

    each: float
    portions: Portions = field(default_factory=lambda: Portions(16))

    def __call__(self, items: Sequence[Item]) -> dict[str, list[Any]]:
        time.sleep(self.each * len(items))
        return {}


def asleep(each: float, *folder: Path) -> Asleep:
    """A `Job`."""
    return Asleep(each)


def engine_seconds(number: int, run: Path, shards: Shards, work: Work, job: Job) -> float:
    """What the Dask engine takes for some shards with workers that have imported heatlift, no network."""
    with workers(number) as (local, client):
        client.run(starting)
        run.mkdir()
        began = time.perf_counter()
        DaskEngine(local.scheduler_address)(
            run, shards, work, job, lambda done: write_json(run / "run.json", {"images": done})
        )
        return time.perf_counter() - began


def beside(what: str, images: int, size: int, cluster: Cluster, costs: Costs, took: float) -> str:
    """A line that compares a run's shards with what is simulated."""
    found = simulate(images, size, cluster, costs)
    expected = found.seconds - sum(found.spent[serial] for serial in SERIAL)
    ratio = f"measured / predicted {took / expected:.2f}"
    return f"{what}, {cluster.workers} workers: predicted {expected:.1f} s, measured {took:.1f} s, {ratio}"


def validated(costs: Costs, images: int = 400, size: int = 10) -> Iterator[str]:
    """Real runs of the Dask engine: of work that only sleeps, and of a small network."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_images(place / "data", images)
        config = plan.configured(
            data=str(place / "data"),
            model="torchvision:squeezenet1_1",
            weights="random",
            num_classes=len(list((place / "data").iterdir())),
            size=64,
            methods=METHODS,
            shard_size=size,
        )
        prepared = audits.prepare(config)
        shards = dict(enumerate(plan.shards(prepared.items, size)))
        costs = replace(costs, shard=0.0, load=0.0)
        for number in (1, 2, 4, 8):
            took = engine_seconds(
                number, place / f"asleep{number}", shards, Asleep(0.05), partial(asleep, 0.05)
            )
            yield beside("asleep", images, size, Cluster(number, 1 / 0.05).calm(), costs, took)
        work = ShardAudit(prepared.classifier, prepared.requests, config)
        job = partial(audits.loaded_work, config, METHODS, 16)
        sample = dict(list(shards.items())[:10])
        costs = replace(costs, load=seconds(lambda: plan.loaded(config), 3))
        for number in (1, 2):
            # As many processes at once, without Dask: they may share too few cores.
            with ThreadPoolExecutor(number) as pool:
                done = [
                    pool.submit(alone, config, place / f"alone{number}{k}", sample) for k in range(number)
                ]
                pace = sum(map(len, sample.values())) / max(one.result() for one in done)
            took = engine_seconds(number, place / f"network{number}", shards, work, job)
            yield beside("network", images, size, Cluster(number, pace).calm(), costs, took)


def alone(config: plan.AuditConfig, run: Path, shards: Shards) -> float:
    """Seconds for some shards in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_alone, config, run, shards).result()


def _alone(config: plan.AuditConfig, run: Path, shards: Shards) -> float:
    torch.set_num_threads(1)
    prepared = audits.prepare(config)
    work = ShardAudit(prepared.classifier, prepared.requests, config)
    work(shards[0])
    return seconds(lambda: run_shards(run, shards, work, lambda *folder: work, lambda done: None), 2)
