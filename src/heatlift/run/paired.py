"""Several audits brought to the same images in the same order, one run after the other to save memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray
from heatlift.run.columns import Codes, Mask, Predictions, read_predictions, read_scores


@dataclass(frozen=True)
class OnShared:
    """One run on the images that all have: an entry per image, in the same order for every run.

    Attributes:
        images: how many the run has in all.
        usable: the classifier's figures of the image can be used.
        correct: predicted the label; false where that is unknown.
        changes: for each heatmap by name (``saliency/add``), how its addition changes the label's
            probability; NaN where unknown.
        controls: the names among them that explain nothing.
    """

    images: int
    usable: Mask
    labelled: Mask
    label: Codes
    predicted: Codes
    correct: Mask
    confidence: FloatArray
    changes: dict[str, FloatArray]
    controls: frozenset[str]


@dataclass(frozen=True)
class Paired:
    """Runs on the images that all of them have, by name."""

    names: tuple[str, ...]
    runs: tuple[OnShared, ...]

    @property
    def labelled(self) -> Mask:
        """Usable in every run, with a label."""
        known: Mask = np.logical_and.reduce([run.usable & run.labelled for run in self.runs])
        return known


def read_paired(folders: Sequence[Path]) -> Paired:
    """Read the runs' tables and match their images by name.

    Raises:
        HeatliftError: no image is in every run, an image's label differs from run to run, or a table
            cannot be read.
    """
    found = [read_predictions(folder) for folder in folders]
    names = _shared([predictions.images for predictions in found])
    if not len(names):
        first = ", ".join(
            f"{name} in {folder}"
            for folder, one in zip(folders, found, strict=True)
            for name in one.images[:1].to_pylist()
        )
        raise HeatliftError(
            f"the runs have no image in common, and images are matched by name (the first ones: {first}): "
            "audit the same images with every network"
        )
    places = [pc.index_in(names, value_set=one.images).to_numpy() for one in found]
    runs = [_on_shared(one, at) for one, at in zip(found, places, strict=True)]
    for here, there in combinations(range(len(runs)), 2):
        _same_labels(names, runs[here], runs[there], folders[here], folders[there])
    runs = [
        _with_changes(run, folder, one, at)
        for run, folder, one, at in zip(runs, folders, found, places, strict=True)
    ]
    return Paired(tuple(names.to_pylist()), tuple(runs))


def _shared(images: Sequence[pa.Array]) -> pa.Array:
    """The names that all have, in the order of the first."""
    names = images[0]
    for others in images[1:]:
        names = names.filter(pc.is_in(names, value_set=others))
    return names


def _on_shared(predictions: Predictions, at: Codes) -> OnShared:
    return OnShared(
        len(predictions.ok),
        predictions.ok[at],
        predictions.labelled[at],
        predictions.label[at],
        predictions.predicted[at],
        predictions.correct[at],
        predictions.confidences["confidence"][at],
        {},
        frozenset(),
    )


def _with_changes(run: OnShared, folder: Path, predictions: Predictions, at: Codes) -> OnShared:
    changes, controls = {}, set()
    for pair in read_scores(folder, predictions):
        changes[pair.name] = np.where(pair.ok & predictions.labelled, pair.delta_p_label, np.nan)[at]
        if pair.control:
            controls.add(pair.name)
    return replace(run, changes=changes, controls=frozenset(controls))


def _same_labels(names: pa.Array, first: OnShared, other: OnShared, here: Path, there: Path) -> None:
    differ = first.labelled & other.labelled & (first.label != other.label)
    if differ.any():
        places = np.flatnonzero(differ)
        shown = ", ".join(
            f"{names[int(place)].as_py()} ({first.label[place]} and {other.label[place]})"
            for place in places[:3]
        )
        more = f" and {len(places) - 3:,} more" if len(places) > 3 else ""
        raise HeatliftError(
            f"{here} and {there} disagree on the labels of {shown}{more}: compare runs whose images have "
            "the same labels and whose classes have the same numbers"
        )
