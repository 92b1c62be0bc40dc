"""What an undesirable-pixels run does to images: masks of every factor and trial, controls, what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from heatlift.agreement import agreement
from heatlift.blobs import blobs
from heatlift.data import Item
from heatlift.lift import logits_of
from heatlift.masked import UNDESIRABLE, Undesirable
from heatlift.optimise import Observer
from heatlift.perturbation import perturbed, reference_images
from heatlift.portions import Portions
from heatlift.run.evolutions import Evolutions
from heatlift.run.networks import Networks
from heatlift.run.optimising_shard import Chosen
from heatlift.run.originals import original_path, perturbed_path, reference_path, write_picture
from heatlift.run.plan import FactorName, UndesirableConfig
from heatlift.run.recorder import Recorder
from heatlift.run.rows import NOT_FINITE, Rows
from heatlift.run.said import Said
from heatlift.score import class_probability, log_remainder, relative_improvement
from heatlift.types import OK
from heatlift.undesirable import Factor, UndesirablePixels

FRAMES = 20
"""Steps of a mask that are kept, besides the first; they change little from one to the next."""

FACTORS: dict[FactorName, Factor | None] = {
    "target": "target",
    "non_target": "non_target",
    "none": None,
}
"""The factors by the names that tables have."""


class UndesirableTask:
    """Finds masks.

    Args:
        networks: of the run.
        config: the settings.
        folder: the run's.
    """

    tables: ClassVar[tuple[str, ...]] = ("undesirable", "agreement", "evolutions")

    def __init__(self, networks: Networks, config: UndesirableConfig, folder: Path) -> None:
        self.networks, self.config, self.folder = networks, config, folder
        self.methods = {name: method(config, name) for name in config.factor}

    def __call__(
        self, chosen: Chosen, keep: int, portions: Portions, heard: Callable[[float], None]
    ) -> dict[str, Rows]:
        """Rows of all tables; keeps the first trial's masks and steps of the first images.

        Raises:
            HeatliftError: a single image does not fit into memory.
        """
        tables: dict[str, Rows] = {name: [] for name in self.tables}
        for place, (factor, pixels) in enumerate(self.methods.items()):
            recorders = {i: Recorder(1.0) for i in range(min(keep, len(chosen.items)))}
            said = Said(chosen.items, chosen.target, recorders)
            watching = _watched(recorders, pixels.steps, chosen.images.shape[2:], said)

            def progress(step: int, left: int, place: int = place, steps: int = pixels.steps) -> None:
                heard((place + step / max(1, steps)) / len(self.methods))

            trials = pixels.trials(
                self.networks.classifier,
                chosen.images,
                chosen.target,
                count=self.config.trials,
                others=self.networks.others,
                observe=watching,
                progress=progress,
                portions=portions,
            )
            for number, trial in enumerate(trials):
                tables["undesirable"] += self._rows(chosen, factor, number, trial, pixels, portions)
            tables["agreement"] += _agreements(chosen.items, factor, trials)
            tables["evolutions"] += said.rows(factor=factor)
            for i, recorder in recorders.items():
                self._keep(chosen, factor, i, trials[0], recorder)
        return tables

    def row(self, item: Item, status: str) -> dict[str, Any]:
        """An image's row without figures."""
        return {"image": item.name, "label": item.label, "status": status}

    def _rows(
        self,
        chosen: Chosen,
        factor: str,
        number: int,
        trial: Undesirable,
        pixels: UndesirablePixels,
        portions: Portions,
    ) -> Rows:
        """Rows of one trial of one factor."""
        before, target = trial.logits_before, trial.target
        columns: dict[str, Tensor] = {
            "target": target,
            "p_before": trial.p_before,
            "p_after": trial.p_after,
            "remainder": log_remainder(before, target).exp(),
            "phi": trial.phi,
            "area": trial.area,
            "taken": (1 - trial.masks).mean(dim=(1, 2, 3)),
            "max_magnitude": trial.max_magnitude,
            "predicted_before": trial.predicted_before,
            "predicted_after": trial.predicted_after,
        }
        images = chosen.images.to(trial.masks)
        reference = reference_images(images, pixels.reference, pixels.kernel, pixels.sigma)
        elsewhere = blobs(images, trial.masks, self.config.seed, str(number))
        network = self.networks.classifier.in_float32().unfolded()
        for control, masks in (("blob", elsewhere), ("blur", torch.zeros_like(elsewhere))):
            after = logits_of(network, perturbed(images, masks, reference), portions)
            columns[f"p_{control}"] = class_probability(after, target)
            columns[f"phi_{control}"] = relative_improvement(before, after, target)
            columns[f"predicted_{control}"] = after.argmax(dim=1)
        values = {name: column.cpu().tolist() for name, column in columns.items()}
        values |= self.networks.opinion(images, trial.perturbed, target, portions)
        values.pop("co_verify", None)
        usable = trial.logits_after.isfinite().all(dim=1).tolist()
        rows: Rows = []
        for i, item in enumerate(chosen.items):
            row = self.row(item, OK if usable[i] else NOT_FINITE) | {"factor": factor, "trial": number}
            figures = {name: column[i] for name, column in values.items()} if usable[i] else {}
            # A control's own failure is an absent figure, not a failed mask.
            rows.append(row | {name: value if _finite(value) else None for name, value in figures.items()})
        return rows

    def _keep(
        self, chosen: Chosen, factor: FactorName, i: int, trial: Undesirable, recorder: Recorder
    ) -> None:
        """One image's mask of one factor with its steps, the image, its blur, and what it becomes."""
        taken = (1 - trial.masks[i]).float().cpu().numpy()
        name, image, pixels = chosen.items[i].name, chosen.images[i : i + 1], self.methods[factor]
        if np.isfinite(taken).all():
            # A mean over steps or restarts is no step's mask.
            result = pixels.steps if not pixels.averaged and pixels.restarts == 1 else None
            Evolutions(self.folder).write(
                f"{factor}/{name}", taken, recorder, f"undesirable {factor}", result
            )
            write_picture(original_path(self.folder, name), image[0])
            blurred = reference_images(image, pixels.reference, pixels.kernel, pixels.sigma)
            write_picture(reference_path(self.folder, name), blurred[0])
            write_picture(perturbed_path(self.folder, factor, name), trial.perturbed[i])


def method(config: UndesirableConfig, factor: FactorName) -> UndesirablePixels:
    """The masks that a configuration describes, for one factor.

    Raises:
        HeatliftError: an impossible setting.
    """
    given = {
        f.name: getattr(config, f.name)
        for f in fields(UndesirablePixels)
        if f.name != "factor" and getattr(config, f.name, None) is not None
    }
    given.pop("batch_size", None)
    if config.preset == "stable":
        return UndesirablePixels.stable(FACTORS[factor], **given)
    return UndesirablePixels(FACTORS[factor], **given)


def _watched(recorders: Mapping[int, Recorder], steps: int, size: Sequence[int], said: Said) -> Observer:
    """Records what the masks of some images take away, at a few steps, and what the network says at all."""
    every = max(1, steps // FRAMES)

    def observe(step: int, rows: Tensor, decoded: Tensor, logits: Tensor) -> None:
        said.hear(step, rows, logits)
        if step % every:
            return
        for row, mask in zip(rows.tolist(), decoded, strict=True):
            if row in recorders and bool(mask.isfinite().all()):
                fine = F.interpolate(mask[None].float(), size=tuple(size), mode="bilinear")[0]
                recorders[row].add(1 - fine.cpu().numpy(), step)

    return observe


def _agreements(items: Sequence[Item], factor: str, trials: Sequence[Undesirable]) -> Rows:
    """Rows of the table ``agreement``: every pair of trials of every image."""
    rows: Rows = []
    taken = [(1 - trial.masks[:, 0]).double().cpu().numpy() for trial in trials]
    for (first, one), (second, other) in combinations(enumerate(taken), 2):
        for i, item in enumerate(items):
            if np.isfinite(one[i]).all() and np.isfinite(other[i]).all():
                found = agreement(one[i], other[i], UNDESIRABLE)
                rows.append(
                    {"image": item.name, "factor": factor, "first": first, "second": second} | vars(found)
                )
    return rows


def _finite(value: Any) -> bool:
    return value is None or bool(np.isfinite(value))
