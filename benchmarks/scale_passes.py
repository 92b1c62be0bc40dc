"""How many times an image goes through the network in each kind of run, counted by hooks in real runs.

    python benchmarks/scale_passes.py

What optimises is run with two numbers of steps: the difference is a step's, the rest is once for each image.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memory import write_images
from torch import Tensor, nn

from heatlift.registry import TJOA_2022
from heatlift.run import audit as audits
from heatlift.run.lift import lift_configured, prepare_lift, run_lift
from heatlift.run.plan import configured
from heatlift.run.shard import ShardAudit
from heatlift.run.undesirable import prepare_undesirable, run_undesirable, undesirable_configured

IMAGES, SIZE = 32, 64
FEW, MANY = 2, 4


@contextmanager
def counted(network: nn.Module) -> Iterator[Counter[str]]:
    """Count images on their way through a network, forwards and backwards."""
    passes: Counter[str] = Counter()

    def forwards(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        passes["forward"] += len(output)
        if output.requires_grad:
            output.register_hook(backwards)

    def backwards(gradient: Tensor) -> None:
        passes["backward"] += len(gradient)

    with network.register_forward_hook(forwards):
        yield passes


def of_audit(**settings: Any) -> Counter[str]:
    """Of an audit's one shard, and the baseline that DeepLift has once in a run."""
    config = configured(model="torchvision:resnet18", size=SIZE, **settings)
    audit = audits.prepare(config)
    work = ShardAudit(audit.classifier, audit.requests, config)
    with counted(audit.classifier.network) as passes:
        work(audit.items)
    return passes


def of_steps(kind: str, place: Path, steps: int, **settings: Any) -> Counter[str]:
    """Of a run that optimises."""
    shared = {
        "model": "torchvision:resnet18",
        "size": SIZE,
        "include": "all",
        "keep_steps": "none",
    } | settings
    if kind == "undesirable":
        masks = prepare_undesirable(undesirable_configured(**shared, steps=steps))
        with counted(masks.networks.classifier.network) as passes:
            run_undesirable(masks, place, lambda done, total, step: None)
        return passes
    count = {"max_steps": steps, "target_co": 1e9} if kind == "gax" else {"steps": steps}
    lift = prepare_lift(lift_configured(**shared, **count, method=kind))
    with counted(lift.networks.classifier.network) as passes:
        run_lift(lift, place, lambda done, total, step: None)
    return passes


def main() -> None:
    print(f"{'passes of an image':<44}{'forward':>9}{'backward':>10}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_images(data, IMAGES)
        given = {"data": str(data), "weights": "random", "num_classes": len(list(data.iterdir()))}
        more = ("integrated_gradients", "smoothgrad")
        for name, settings in (
            ("audit, as it is", {}),
            ("audit, one method, one operation", {"methods": ("saliency",), "operations": ("add",)}),
            ("audit, integrated gradients, smoothgrad too", {"methods": (*TJOA_2022, *more)}),
        ):
            passes = of_audit(**given, **settings)
            print(f"{name:<44}{passes['forward'] / IMAGES:>9.2f}{passes['backward'] / IMAGES:>10.2f}")
        for name, kind, settings in (
            ("GAX", "gax", {}),
            ("spotlight", "spotlight", {}),
            ("undesirable, paper", "undesirable", {"factor": ("target",)}),
            ("undesirable, stable", "undesirable", {"factor": ("target",), "preset": "stable"}),
        ):
            runs = [
                of_steps(kind, Path(folder) / f"{name}{steps}", steps, **given, **settings)
                for steps in (FEW, MANY)
            ]
            for what, at in (("each step", MANY - FEW), ("once", None)):
                few, many = runs
                found = [
                    (many[way] - few[way]) / at
                    if at
                    else few[way] - (many[way] - few[way]) / (MANY - FEW) * FEW
                    for way in ("forward", "backward")
                ]
                print(f"{f'{name}, {what}':<44}{found[0] / IMAGES:>9.2f}{found[1] / IMAGES:>10.2f}")


if __name__ == "__main__":
    main()
