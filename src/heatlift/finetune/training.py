"""A training from its recipe to weights that ``--weights`` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import heatlift
from heatlift.described_weights import Description, described
from heatlift.errors import HeatliftError, first_line
from heatlift.finetune.card import model_card
from heatlift.finetune.measures import measured
from heatlift.finetune.recipe import Recipe
from heatlift.finetune.redraw import write_redrawn
from heatlift.finetune.start import Start, prepare
from heatlift.finetune.stretch import snapshot, train_stretch
from heatlift.json_object import read_json
from heatlift.run.folder import opened
from heatlift.run.record import package_versions, write_json
from heatlift.run.tables import FORMAT
from heatlift.run.whole import whole
from heatlift.run.work import Progress
from heatlift.storage import whole_address
from heatlift.weights import weights_digest

CHECKPOINT, WEIGHTS, METRICS, CARD, CLASSES = (
    "checkpoint.pt",
    "weights.safetensors",
    "metrics.json",
    "README.md",
    "classes.txt",
)


def finetune(recipe: Recipe, out: Path, progress: Progress, command: Sequence[str] = ()) -> dict[str, Any]:
    """Train a network by a recipe; the same call goes on where an earlier one was stopped.

    Written to ``out``: ``weights.safetensors`` with what they belong to, ``metrics.json``, a model card
    (``README.md``), ``train.csv`` and ``validation.csv``, ``classes.txt``; while it lasts, a checkpoint after
    every look at the held-back images. On a processor a training that was stopped ends with the weights of
    one that was not, bit for bit.

    Returns:
        The content of ``metrics.json``; figures are {value, low, high, n}.

    Raises:
        HeatliftError: whatever stands in the way, in one line; or the folder holds something else.
    """
    start = prepare(recipe)
    with opened(out, _record(start, command)) as record:
        if record["status"] == "finished" and (out / METRICS).is_file() and (out / WEIGHTS).is_file():
            return read_json(out / METRICS)
        assert isinstance(start.data.root, Path)
        write_redrawn(out, start.data.root, start.train, start.held, start.classes)
        with whole(out / CLASSES) as file:
            file.writelines(f"{name}\n" for name in start.classes)
        course = _trained(start, out, progress)
        metrics = _finished(start, course, out, progress)
        write_json(out / "run.json", record | {"status": "finished"})
        (out / CHECKPOINT).unlink(missing_ok=True)
        return metrics


@dataclass
class _Course:
    """How far a training is.

    Attributes:
        iteration: steps done.
        history: at each look: ``iteration``, ``loss`` (the mean since the last one), ``val_accuracy``.
        best: the weights with the best validation accuracy since the least iterations; empty before.
        unreadable: names of the images to learn from that could not be read.
        ended: why it is over; empty while it isn't.
    """

    iteration: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    ended: str = ""

    @property
    def reached(self) -> bool:
        return self.ended == REACHED


REACHED, OUT_OF_PATIENCE, LONG_ENOUGH = "accuracy reached", "no better for long", "most iterations done"


def _trained(start: Start, out: Path, progress: Progress) -> _Course:
    recipe, network = start.recipe, start.classifier.network
    network.to(memory_format=torch.channels_last)
    network.requires_grad_(True)
    optimiser = torch.optim.Adam(network.parameters(), recipe.lr, recipe.betas, weight_decay=0)
    course = _resumed(start, optimiser, out)
    while not course.ended:
        # There is a look at the least iterations, from which on the best one is sought.
        step = min(recipe.validate_every, recipe.max_iterations - course.iteration)
        if course.iteration < recipe.min_iterations:
            step = min(step, recipe.min_iterations - course.iteration)
        losses = []
        for loss in train_stretch(
            start.classifier, optimiser, start.train, recipe, course.iteration, step, course.unreadable
        ):
            losses.append(loss)
            progress(course.iteration + len(losses), recipe.max_iterations, f"training, loss {loss:.3f}")
        course.iteration += step
        progress(course.iteration, recipe.max_iterations, "validating")
        found = measured(start.classifier, start.held, start.classes, start.positive)["accuracy"]["value"]
        if found is None:
            raise HeatliftError(f"none of the {len(start.held)} images held back can be read")
        counting = _counting(recipe, course.history)
        course.history.append(
            {"iteration": course.iteration, "loss": sum(losses) / len(losses), "val_accuracy": found}
        )
        if course.iteration >= recipe.min_iterations and found > max(counting, default=-1.0):
            course.best = snapshot(network.state_dict())
        course.ended = _ended(recipe, course)
        _keep(course, start, optimiser, out)
        progress(course.iteration, recipe.max_iterations, f"validation accuracy {found:.3f}")
    return course


def _ended(recipe: Recipe, course: _Course) -> str:
    """Why a training is over after a look at the held-back images; empty if it isn't."""
    if accuracies := _counting(recipe, course.history):
        if accuracies[-1] >= recipe.until_val_accuracy:
            return REACHED
        since = len(accuracies) - 1 - accuracies.index(max(accuracies))
        if recipe.patience is not None and since >= recipe.patience:
            return OUT_OF_PATIENCE
    return LONG_ENOUGH if course.iteration >= recipe.max_iterations else ""


def _counting(recipe: Recipe, history: Sequence[dict[str, float]]) -> list[float]:
    """The validation accuracies at which a training may stop."""
    return [look["val_accuracy"] for look in history if look["iteration"] >= recipe.min_iterations]


def _keep(course: _Course, start: Start, optimiser: torch.optim.Optimizer, out: Path) -> None:
    content = {
        "network": start.classifier.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "iteration": course.iteration,
        "history": course.history,
        "best": course.best,
        "unreadable": sorted(course.unreadable),
        "ended": course.ended,
    }
    with whole(out / CHECKPOINT, "wb") as file:
        torch.save(content, file)


def _resumed(start: Start, optimiser: torch.optim.Optimizer, out: Path) -> _Course:
    """Where an earlier call was stopped; the beginning, where there was none."""
    if not (out / CHECKPOINT).is_file():
        return _Course()
    try:
        content = torch.load(out / CHECKPOINT, map_location="cpu", weights_only=True)
        start.classifier.network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        return _Course(
            content["iteration"],
            content["history"],
            content["best"],
            set(content["unreadable"]),
            content["ended"],
        )
    except Exception as error:  # torch raises whatever the bytes, or what they stand for, lead it to
        raise HeatliftError(
            f"{out / CHECKPOINT} is damaged ({first_line(error)}): remove it, and the training begins anew"
        ) from error


def _finished(start: Start, course: _Course, out: Path, progress: Progress) -> dict[str, Any]:
    """Write weights, metrics and card; where the accuracy was not reached, of the best look."""
    recipe, classifier = start.recipe, start.classifier
    if not course.reached:
        classifier.network.load_state_dict(course.best)
    progress(course.iteration, recipe.max_iterations, "measuring")
    held = measured(classifier, start.held, start.classes, start.positive)
    test = None
    if start.test is not None:
        test = measured(classifier, start.test.items, start.classes, start.positive)
    metrics: dict[str, Any] = {
        "format": 1,
        "model": recipe.model,
        "iterations": course.iteration,
        "ended": course.ended,
        "reached": course.reached,
        "until_val_accuracy": recipe.until_val_accuracy,
        # As table 1 of the paper has them; all else that was counted stands below.
        **{name: test[name] for name in ("accuracy", "precision", "recall") if test and name in test},
        "val_accuracy": held["accuracy"],
        "validation": held,
        "test": test,
        "images": {
            "train": len(start.train),
            "validation": len(start.held),
            "unreadable": len(course.unreadable),
        },
        "new_weights": list(start.new),
        "history": course.history,
    }
    with whole(out / WEIGHTS, "wb") as file:
        file.write(described(classifier.network, _description(start)))
    write_json(out / METRICS, metrics)
    with whole(out / CARD) as file:
        file.write(model_card(start, metrics))
    return metrics


def _description(start: Start) -> Description:
    classifier, framing = start.classifier, start.classifier.framing
    return Description.model_validate(
        {
            "model": start.recipe.model,
            "classes": tuple(start.classes),
            "mean": _three(classifier.mean),
            "std": _three(classifier.std),
            "resize": framing.resize,
            "crop": framing.crop,
            "interpolation": framing.interpolation,
        }
    )


def _three(values: Tensor) -> tuple[float, ...]:
    # As written by a person: 0.485, and not what is nearest to it in float32.
    return tuple(float(f"{value:.6g}") for value in values.flatten().tolist())


def _record(start: Start, command: Sequence[str]) -> dict[str, Any]:
    recipe = start.recipe
    test = {} if start.test is None else {"path": whole_address(str(recipe.test)), **start.test.fingerprint()}
    return {
        "format": FORMAT,
        "version": heatlift.__version__,
        "kind": "finetune",
        "command": list(command),
        "config": recipe.model_dump(mode="json"),
        "model": {
            "spec": recipe.model,
            "weights_digest": weights_digest(start.classifier.network),
            **start.classifier.describe(),
        },
        "data": {"path": whole_address(recipe.data), **start.data.fingerprint()},
        "verify": test,
        "packages": package_versions(),
        "status": "running",
    }
