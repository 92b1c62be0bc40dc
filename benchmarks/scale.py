"""How long a run takes on many workers, by simulation: what limits it, and the shard size that follows.

    python benchmarks/scale.py --images 50000 --pace 40 --workers 1,10,100,1000
    python benchmarks/scale.py --measure    # the constants anew, on this machine, a few minutes
    python benchmarks/scale.py --validate   # real runs beside what is predicted for them

`benchmarks/scale_simulation.py` says what is simulated. Its constants are measured; how fast, how unequal
and how mortal the workers are is assumed, and can be given.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import fields
from statistics import mean

from scale_simulation import PARTS, Cluster, Costs, simulate

SIZES = tuple(2**power for power in range(3, 15))


def closed_makespan(images: int, size: int, cluster: Cluster, costs: Costs) -> float:
    """Seconds for the shards on a calm cluster whose hand-out is no limit: rounds of equal shards."""
    rounds = math.ceil(math.ceil(images / size) / cluster.workers)
    return costs.load + rounds * (costs.shard + size / cluster.pace)


def most_shards(costs: Costs, left: int) -> float:
    """Shards per second that can be handed out and taken in while ``left`` are left, one look for each."""
    return 1 / max(costs.handle, costs.take_in + costs.pending * left)


def best_size(images: int, cluster: Cluster, costs: Costs) -> float:
    """The shard size with the least overhead, by a formula.

    Small shards cost ``shard`` seconds of a worker and ``submit`` and the reading of their parts from all
    of them; large ones leave the others idle while the slowest machine does its last, and die half done.
    """
    fixed = costs.shard + cluster.workers * (costs.submit + PARTS * costs.part)
    slowest = float(cluster.factors().max())
    per_image = slowest * cluster.workers / images + cluster.deaths / 7200 / cluster.pace
    fewest = cluster.workers * cluster.pace * max(costs.handle, costs.take_in)
    return min(max(math.sqrt(fixed * cluster.pace / per_image), fewest, 1.0), images / cluster.workers)


def rounded(size: float) -> int:
    """The nearest of `SIZES`, by ratio."""
    return min(SIZES, key=lambda one: abs(math.log(one / size)))


def table(images: int, clusters: Sequence[Cluster], sizes: Sequence[int], costs: Costs, seeds: int) -> str:
    """Rows of a table for each number of workers and shard size, means over some seeds."""
    rows = [
        "| workers | shard | hours | share of ideal | files | what limits most |",
        "|---|---|---|---|---|---|",
    ]
    for cluster in clusters:
        rule = rounded(best_size(images, cluster, costs))
        for size in sorted({*sizes, rule}):
            found = [simulate(images, size, cluster, costs, seed) for seed in range(seeds)]
            seconds = mean(one.seconds for one in found)
            lost = {
                what: mean(one.spent[what] for one in found) for what in found[0].spent if what != "images"
            }
            limit = max(lost, key=lost.__getitem__)
            shard = f"**{size:,}**" if size == rule else f"{size:,}"
            rows.append(
                f"| {cluster.workers:,} | {shard} | {seconds / 3600:.3g} | {found[0].ideal / seconds:.0%} "
                f"| {found[0].files:,} | {limit} ({lost[limit] / seconds:.0%}) |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--workers", default="1,2,10,100,1000")
    parser.add_argument("--sizes", default="32,128,512")
    parser.add_argument("--seeds", type=int, default=5, help="simulations that a row is the mean of")
    parser.add_argument("--measure", action="store_true", help="the constants anew, on this machine")
    parser.add_argument("--validate", action="store_true", help="real runs beside what is predicted")
    for group in (Cluster, Costs):
        for one in fields(group):
            if one.name != "workers":
                parser.add_argument(f"--{one.name.replace('_', '-')}", type=float, default=one.default)
    options = parser.parse_args()
    costs = Costs(**{one.name: getattr(options, one.name) for one in fields(Costs)})
    if options.measure:
        from scale_costs import measured

        for name, value in measured():
            print(f"{name:<28}{value:.3g}", flush=True)
        return
    if options.validate:
        from scale_costs import validated

        for line in validated(costs):
            print(line)
        return
    clusters = [
        Cluster(
            number,
            **{one.name: getattr(options, one.name) for one in fields(Cluster) if one.name != "workers"},
        )
        for number in map(int, options.workers.split(","))
    ]
    print(f"{options.images:,} images, {options.pace:g} per second and worker\n")
    print(
        table(
            options.images, clusters, [int(size) for size in options.sizes.split(",")], costs, options.seeds
        )
    )


if __name__ == "__main__":
    main()
