"""A lift run from its configuration to a finished folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from heatlift.errors import HeatliftError
from heatlift.run.lift_summary import write_lift_summary
from heatlift.run.lift_task import LiftTask
from heatlift.run.local import run_shards
from heatlift.run.optimising import Prepared, carried_out, configured, prepared
from heatlift.run.plan import LiftConfig
from heatlift.run.work import Engine, Progress

LiftRun: TypeAlias = Prepared[LiftConfig]


def lift_configured(**settings: Any) -> LiftConfig:
    """A lift run's configuration from settings of any origin.

    Raises:
        HeatliftError: an unknown or impossible setting, in one line.
    """
    config = configured(LiftConfig, settings)
    if config.also and config.method != "spotlight":
        raise HeatliftError("--also is for --method spotlight: GAX raises the score of one network")
    return config


def prepare_lift(config: LiftConfig, command: Sequence[str] = ()) -> LiftRun:
    """Load the networks and find the images.

    Raises:
        HeatliftError: whatever stands in the way of the run, in one line.
    """
    return prepared(config, command)


def run_lift(lift: LiftRun, folder: Path, progress: Progress, engine: Engine = run_shards) -> dict[str, Any]:
    """Do what is missing of a lift run in a folder and summarise it; returns the summary.

    Raises:
        HeatliftError: the folder holds something else, or a run with another configuration.
    """
    return carried_out("lift", lift, LiftTask, write_lift_summary, folder, progress, "lifting", engine)
