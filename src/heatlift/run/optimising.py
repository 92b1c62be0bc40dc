"""A run that optimises something for each image, from its configuration to a finished folder."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import heatlift
from heatlift.applicability import noise
from heatlift.class_names import chosen_output
from heatlift.data import Dataset, Item, find_images
from heatlift.errors import HeatliftError
from heatlift.portions import LARGEST, Portions
from heatlift.run import plan, sameness
from heatlift.run.folder import NOT_BEGUN, go_on, opened, started
from heatlift.run.local import run_shards
from heatlift.run.networks import Networks
from heatlift.run.optimising_shard import OptimisingShard, Task
from heatlift.run.plan import OptimisingConfig
from heatlift.run.record import package_versions, write_json
from heatlift.run.tables import FORMAT
from heatlift.run.work import Engine, Progress
from heatlift.storage import whole_address

Config = TypeVar("Config", bound=OptimisingConfig)


@dataclass(frozen=True)
class Prepared(Generic[Config]):
    """A run that can start: everything that could be wrong with its inputs has been checked.

    Attributes:
        config: the settings.
        networks: loaded.
        data: all images found.
        items: those that the run is about, in order.
        command: the command line, for the record.
    """

    config: Config
    networks: Networks
    data: Dataset
    items: Sequence[Item]
    command: Sequence[str]


def configured(kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """A configuration from settings of any origin.

    Raises:
        HeatliftError: an unknown or impossible setting, in one line.
    """
    config = plan.validated(kind, settings)
    if len(config.also_weights) > len(config.also):
        raise HeatliftError(
            f"--also-weights is given {len(config.also_weights)} times, --also {len(config.also)}: "
            "give them in pairs, in the same order"
        )
    return config


def prepared(config: Config, command: Sequence[str]) -> Prepared[Config]:
    """Load the networks and find the images.

    Raises:
        HeatliftError: whatever stands in the way of the run, in one line.
    """
    networks = Networks.load(config)
    classifier = networks.classifier
    if config.target not in ("predicted", "label"):
        try:
            output = chosen_output(config.target, classifier.num_classes, classifier.classes)
        except HeatliftError as error:
            raise HeatliftError(f"--target: {error}; or predicted, or label") from error
        # The run is about the class, however it was called.
        config = config.model_copy(update={"target": output})
    data = find_images(config.data, classifier.num_classes, classifier.classes)
    if not data.labelled and config.include == "wrong":
        raise HeatliftError(f"--include wrong: the images of {config.data} have no labels")
    return Prepared(config, networks, data, data.shuffled(config.seed)[: config.limit], command)


MakesTask: TypeAlias = Callable[[Networks, Config, Path], Task]
"""Makes what a run does to images that are chosen, given the networks, the settings and the folder."""


def loaded_work(
    makes: MakesTask[Config],
    config: Config,
    kept: Container[str],
    expected: Mapping[str, Any],
    size: int,
    folder: Path,
) -> OptimisingShard:
    """What a run does to images, in a process of its own: a `Job`, given all but the last argument.

    Args:
        makes: what it does.
        config: the settings.
        kept: images whose heatmaps are kept.
        expected: what `sameness.on_record` gave where the run is handed out.
        size: how many images go at a time.
        folder: the run's.

    Raises:
        HeatliftError: a network can't be loaded, or something is not as it is there.
    """
    networks = Networks.load(config)
    sameness.check(expected, networks.all, {})
    task = makes(networks.ready(), config, folder)
    return OptimisingShard(networks.classifier, config, task, kept, Portions(size))


def carried_out(
    kind: str,
    run: Prepared[Config],
    makes: MakesTask[Config],
    summarise: Callable[[Path, int], dict[str, Any]],
    folder: Path,
    progress: Progress,
    doing: str,
    engine: Engine = run_shards,
) -> dict[str, Any]:
    """Do what is missing of a run in a folder and summarise it; returns the summary.

    Args:
        kind: of run.
        run: prepared.
        makes: what is done to the images that are chosen.
        summarise: writes the summary, given the folder and the seed.
        folder: the run's.
        progress: hears how far it is.
        doing: what is going on, in a word.
        engine: does the shards.

    Raises:
        HeatliftError: the folder holds something else, or a run with another configuration.
    """
    config, classifier = run.config, run.networks.classifier
    with opened(folder, _record(kind, run)) as record:
        kept = _kept(config, run.items)
        folder = folder.resolve()
        work = OptimisingShard(classifier, config, makes(run.networks.ready(), config, folder), kept)
        work.portions = started(record, work.rehearse, noise(classifier, LARGEST, config.seed), progress)
        total, through = len(run.items), 0

        def told(done: int, total: int, step: str) -> None:
            nonlocal through
            through = done
            progress(done, total, step)

        # A shard takes minutes.
        work.heard = lambda within: progress(through + within, total, doing)
        expected, anywhere = sameness.on_record(record), sameness.from_anywhere(config)
        job = partial(loaded_work, makes, anywhere, kept, expected, work.portions.size)
        go_on(folder, record, run.items, config.shard_size, work, job, engine, told, doing)
        progress(total, total, "figures and intervals")
        summary = summarise(folder, config.seed)
        write_json(folder / "run.json", record | {"status": "finished"})
        return summary


def _kept(config: OptimisingConfig, items: Sequence[Item]) -> Container[str]:
    """The images whose heatmaps are kept, in few bytes also where these are all of very many."""
    if config.keep_steps == "all":
        return Everything()
    count = 0 if config.keep_steps == "none" else config.keep_steps
    return frozenset(item.name for item in items[:count])


class Everything:
    """Has every name in it."""

    def __contains__(self, name: object) -> bool:
        return True


def _record(kind: str, run: Prepared[Any]) -> dict[str, Any]:
    """What run.json says of a run that begins."""
    config = run.config
    return {
        "format": FORMAT,
        "version": heatlift.__version__,
        "kind": kind,
        "command": list(run.command),
        "config": config.model_dump(mode="json"),
        **run.networks.described(config),
        "data": {
            "path": whole_address(config.data),
            "chosen": len(run.items),
            "note": run.data.note,
            **run.data.fingerprint(),
        },
        "packages": package_versions(),
        "status": "running",
        "batch_size": None if config.batch_size == "auto" else config.batch_size,
        "timing": dict(NOT_BEGUN),
    }
