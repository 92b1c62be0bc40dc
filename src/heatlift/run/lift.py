"""A lift run from its configuration to a finished folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

import heatlift
from heatlift.applicability import noise
from heatlift.classifier import Classifier
from heatlift.data import Dataset, Item, find_images
from heatlift.errors import HeatliftError
from heatlift.portions import LARGEST
from heatlift.run import plan
from heatlift.run.folder import NOT_BEGUN, go_on, opened, started
from heatlift.run.lift_shard import LiftShard
from heatlift.run.lift_summary import write_lift_summary
from heatlift.run.local import Progress
from heatlift.run.plan import LiftConfig
from heatlift.run.record import package_versions, write_json
from heatlift.run.tables import FORMAT
from heatlift.weights import weights_digest


@dataclass(frozen=True)
class LiftRun:
    """A lift run that can start: everything that could be wrong with its inputs has been checked.

    Attributes:
        config: the settings.
        classifier: the network, loaded.
        others: networks that are lifted along with it.
        verifier: the network that takes no part, where one is asked.
        data: all images found.
        items: those that the run is about, in order.
        command: the command line, for the record.
    """

    config: LiftConfig
    classifier: Classifier
    others: Sequence[Classifier]
    verifier: Classifier | None
    data: Dataset
    items: Sequence[Item]
    command: Sequence[str]


def lift_configured(**settings: Any) -> LiftConfig:
    """A lift run's configuration from settings of any origin.

    Raises:
        HeatliftError: an unknown or impossible setting, in one line.
    """
    config = plan.validated(LiftConfig, settings)
    if config.also and config.method != "spotlight":
        raise HeatliftError("--also is for --method spotlight: GAX raises the score of one network")
    if len(config.also_weights) > len(config.also):
        raise HeatliftError(
            f"--also-weights is given {len(config.also_weights)} times, --also {len(config.also)}: "
            "give them in pairs, in the same order"
        )
    return config


def prepare_lift(config: LiftConfig, command: Sequence[str] = ()) -> LiftRun:
    """Load the networks and find the images.

    Raises:
        HeatliftError: whatever stands in the way of the run, in one line.
    """
    classifier = plan.loaded(config)
    if isinstance(config.target, int) and not 0 <= config.target < classifier.num_classes:
        raise HeatliftError(
            f"--target {config.target}: the network has classes 0 to {classifier.num_classes - 1}"
        )
    others = [
        plan.another("--also", spec, weights, config, classifier)
        for spec, weights in zip_longest(config.also, config.also_weights, fillvalue="default")
    ]
    verifier = None
    if config.verify_on is not None:
        verifier = plan.another("--verify-on", config.verify_on, config.verify_weights, config, classifier)
        if any(_same(verifier, network) for network in (classifier, *others)):
            raise HeatliftError(
                f"--verify-on {config.verify_on} is a network that is lifted: give one that takes no part"
            )
    data = find_images(config.data, classifier.num_classes, classifier.classes)
    items = data.shuffled(config.seed)[: config.limit]
    return LiftRun(config, classifier, others, verifier, data, items, command)


def run_lift(lift: LiftRun, folder: Path, progress: Progress) -> dict[str, Any]:
    """Do what is missing of a lift run in a folder and summarise it; returns the summary.

    Raises:
        HeatliftError: the folder holds something else, or a run with another configuration.
    """
    config = lift.config
    record = opened(folder, _record(lift))
    count = {"all": len(lift.items), "none": 0}.get(str(config.keep_steps), config.keep_steps)
    kept = frozenset(item.name for item in lift.items[: int(count)])
    work = LiftShard(lift.classifier, lift.others, lift.verifier, config, folder, kept)
    work.portions = started(record, work.rehearse, noise(lift.classifier, LARGEST, config.seed), progress)
    total, through = len(lift.items), 0

    def told(done: int, total: int, step: str) -> None:
        nonlocal through
        through = done
        progress(done, total, step)

    # A shard takes minutes.
    work.heard = lambda within: progress(through + within, total, "lifting")
    go_on(folder, record, lift.items, config.shard_size, work, work.portions, told, "lifting")
    progress(total, total, "figures and intervals")
    summary = write_lift_summary(folder, config.seed)
    write_json(folder / "run.json", record | {"status": "finished"})
    return summary


def _record(lift: LiftRun) -> dict[str, Any]:
    """What run.json says of a lift run that begins."""
    config = lift.config
    return {
        "format": FORMAT,
        "version": heatlift.__version__,
        "kind": "lift",
        "command": list(lift.command),
        "config": config.model_dump(mode="json"),
        "model": _described(config.model, lift.classifier),
        "also": [_described(spec, other) for spec, other in zip(config.also, lift.others, strict=True)],
        "verify": None if lift.verifier is None else _described(str(config.verify_on), lift.verifier),
        "data": {
            "path": str(Path(config.data).resolve()),
            "lifted": len(lift.items),
            **lift.data.fingerprint(),
        },
        "packages": package_versions(),
        "status": "running",
        "batch_size": None if config.batch_size == "auto" else config.batch_size,
        "timing": dict(NOT_BEGUN),
    }


def _same(one: Classifier, other: Classifier) -> bool:
    """Whether two classifiers are one network: they say the same of noise."""
    images = noise(one, 2, seed=0)
    with torch.no_grad():
        return torch.equal(one(images).cpu(), other(other.resized(images)).cpu())


def _described(spec: str, classifier: Classifier) -> Mapping[str, Any]:
    return {"spec": spec, "weights_digest": weights_digest(classifier.network), **classifier.describe()}
