"""The simulation of many workers: what can be said in closed form, and what must hold whatever happens."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from heatlift.data import Item
from heatlift.run import plan
from heatlift.run.dask_engine import AHEAD, DaskEngine

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from scale import best_size, closed_makespan, most_shards, rounded
from scale_simulation import PARTS, SERIAL, Cluster, Costs, Outcome, shard_sizes, simulate

FREE = Costs(**dict.fromkeys(vars(Costs()), 0.0))
CALM = Cluster(1, 2.0).calm()
ROUGH = Cluster(20, 5.0, deaths=5.0, stall_share=1e-3, replaced=30.0)


def shards_alone(found: Outcome) -> float:
    """Seconds from the first shard's hand-out to the last one's being taken in."""
    return found.seconds - sum(found.spent[what] for what in SERIAL)


@pytest.mark.parametrize("images", [1, 31, 33, 1000])
@pytest.mark.parametrize("size", [1, 8, 32])
def test_shards_are_cut_as_a_run_cuts_them(images: int, size: int) -> None:
    items = [Item(str(k), Path(str(k)), None) for k in range(images)]
    assert shard_sizes(images, size).tolist() == [len(shard) for shard in plan.shards(items, size)]


@pytest.mark.parametrize("workers", [1, 3, 10, 64])
def test_equal_shards_take_whole_rounds(workers: int) -> None:
    costs = replace(FREE, load=7.0, shard=0.5)
    cluster = replace(CALM, workers=workers)
    found = shards_alone(simulate(3200, 32, cluster, costs))
    assert found == pytest.approx(closed_makespan(3200, 32, cluster, costs))
    assert found == pytest.approx(7 + math.ceil(100 / workers) * 16.5)


def test_alone_and_free_is_ideal() -> None:
    found = simulate(1000, 1, CALM, FREE)
    assert found.seconds == pytest.approx(500)
    assert found.efficiency == pytest.approx(1)


@pytest.mark.parametrize("cost", ["handle", "take_in"])
def test_hand_out_limits_how_many_workers_help(cost: str) -> None:
    costs = replace(FREE, **{cost: 0.01})
    # 1000 workers could do 2000 shards a second.
    found = shards_alone(simulate(5000, 1, replace(CALM, workers=1000), costs))
    assert most_shards(costs, 0) == pytest.approx(100)
    assert found == pytest.approx(5000 / most_shards(costs, 0), rel=0.02)


class Quick:
    """Work that is hardly any."""

    def __call__(self, items: Sequence[Item]) -> dict[str, list[Any]]:
        time.sleep(0.003)
        return {}


def quick(*given: Any) -> Quick:
    return Quick()


def test_a_worker_s_end_counts_against_few_shards(tmp_path: Path) -> None:
    """With a resource the scheduler gives out all shards that it has, and counts an end against each."""
    shards = {number: [Item(str(number), tmp_path, None)] for number in range(60)}
    given: list[int] = []
    with LocalCluster(
        n_workers=2,
        processes=False,
        threads_per_worker=1,
        resources={"GPU": 1},
        dashboard_address="127.0.0.1:0",
    ) as cluster:

        def finished(images: int) -> None:
            given.append(max(len(worker.processing) for worker in cluster.scheduler.workers.values()))

        engine = DaskEngine(cluster.scheduler_address)
        engine(tmp_path, shards, Quick(), quick, finished)
    assert sum(engine.done_by.values()) == len(given) == 60
    assert max(given) <= 2 * AHEAD


def test_time_is_accounted_for() -> None:
    costs = Costs(1e-4, 1e-3, 1e-3, 5e-3, 1e-6, 5.0, 0.1, 1e-3, 1e-4)
    found = simulate(20_000, 64, ROUGH, costs)
    assert sum(found.spent.values()) == pytest.approx(found.seconds)
    assert all(seconds >= 0 for seconds in found.spent.values())
    assert found.files == PARTS * 313
    assert 0 < found.efficiency < 1


@pytest.mark.parametrize("seed", range(5))
def test_every_image_is_done_once_whatever_dies(seed: int) -> None:
    # A worker lives as long as a shard takes: many shards see three of them die.
    deadly = replace(ROUGH, deaths=240.0, stall_share=0.0)
    found = simulate(4000, 75, deadly, FREE, seed)
    assert found.done == {1: 4000}
    assert found.deaths > 0
    assert found.bisected > 0


def test_a_seed_decides_everything() -> None:
    assert simulate(3000, 16, ROUGH, FREE, 1) == simulate(3000, 16, ROUGH, FREE, 1)
    assert simulate(3000, 16, ROUGH, FREE, 1) != simulate(3000, 16, ROUGH, FREE, 2)


def test_more_workers_are_no_slower_and_more_trouble_is_no_faster() -> None:
    costs = replace(FREE, shard=0.1, load=1.0)
    hours = [simulate(20_000, 32, replace(CALM, workers=n), costs).seconds for n in (1, 2, 5, 20, 100, 500)]
    assert hours == sorted(hours, reverse=True)
    for trouble in ("deaths", "stall_share", "slow_share"):
        values = {"deaths": (0.0, 5.0, 50.0), "stall_share": (0.0, 1e-3, 1e-2), "slow_share": (0.0, 0.2, 0.9)}
        cluster = replace(CALM, workers=10)
        taken = [
            simulate(20_000, 32, replace(cluster, **{trouble: v}), costs).seconds for v in values[trouble]
        ]
        assert taken == sorted(taken), trouble
        assert taken[0] < taken[-1], trouble


@pytest.mark.parametrize("workers", [1, 10, 100, 1000])
def test_the_rule_is_near_the_best_of_all_sizes(workers: int) -> None:
    # A stall takes what it takes whatever the size.
    cluster = Cluster(workers, 40.0, stall_share=0.0)
    images = 1_000_000
    rule = rounded(best_size(images, cluster, Costs()))
    sizes = (rule // 4, rule // 2, rule, 2 * rule, 4 * rule)
    found = {size: simulate(images, size, cluster, Costs()).seconds for size in sizes}
    assert found[rule] <= 1.05 * min(found.values())
