"""An undesirable-pixels run from its configuration to a finished folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from heatlift.errors import HeatliftError
from heatlift.run.local import run_shards
from heatlift.run.optimising import Prepared, carried_out, configured, prepared
from heatlift.run.plan import UndesirableConfig
from heatlift.run.undesirable_summary import write_undesirable_summary
from heatlift.run.undesirable_task import UndesirableTask, method
from heatlift.run.work import Engine, Progress

UndesirableRun: TypeAlias = Prepared[UndesirableConfig]


def undesirable_configured(**settings: Any) -> UndesirableConfig:
    """A run's configuration from settings of any origin.

    Raises:
        HeatliftError: an unknown, repeated or impossible setting, in one line.
    """
    preset = settings.get("preset", "paper")
    if not settings.get("factor"):
        settings = settings | {"factor": ("none",) if preset == "stable" else ("target",)}
    config = configured(UndesirableConfig, settings)
    if len(set(config.factor)) < len(config.factor):
        raise HeatliftError("--factor: give target, non-target or none, or several, each once")
    pixels = [method(config, factor) for factor in config.factor]
    if config.trials > 1 and not pixels[0].random:
        raise HeatliftError(
            f"--trials {config.trials}: with --init ones and without views every trial is the same"
        )
    return config


def prepare_undesirable(config: UndesirableConfig, command: Sequence[str] = ()) -> UndesirableRun:
    """Load the networks and find the images.

    Raises:
        HeatliftError: whatever stands in the way of the run, in one line.
    """
    run = prepared(config, command)
    if config.target == "label" and any(item.label is None for item in run.items):
        raise HeatliftError(f"--target label: some images of {config.data} have no label")
    pixels, (height, width) = method(config, config.factor[0]), run.networks.classifier.framing.crop
    kernel = pixels.kernel
    if pixels.reference != "mean" and min(height, width) <= kernel // 2:
        raise HeatliftError(f"--kernel {kernel} is too large for images of {width} x {height} pixels")
    return run


def run_undesirable(
    run: UndesirableRun, folder: Path, progress: Progress, engine: Engine = run_shards
) -> dict[str, Any]:
    """Do what is missing of a run in a folder and summarise it; returns the summary.

    Raises:
        HeatliftError: the folder holds something else, or a run with another configuration.
    """
    return carried_out(
        "undesirable",
        run,
        UndesirableTask,
        write_undesirable_summary,
        folder,
        progress,
        "finding masks",
        engine,
    )
