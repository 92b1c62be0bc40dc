"""The columns of the images of runs that optimise: lifts, and undesirable pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.types import OK
from heatlift.viewer.columns import Choice, Column, Heading, Numbers, chosen, classes_chosen, keyed
from heatlift.viewer.image_columns import aligned, classes_of, correctness, distinct, floats, outcome
from heatlift.wording import FACTORS

LIFT_TABLES: Mapping[str, list[str]] = {
    "lift": [
        *("image", "method", "label", "target", "operation", "steps", "reached", "co", "co_clipped"),
        *("change", "p_before", "p_after", "predicted_before", "predicted_after", "co_verify"),
        *("p_verify_before", "p_verify_after", "predicted_verify_before", "predicted_verify_after", "status"),
    ]
}
"""What is read of a lift run."""

MASK_TABLES: Mapping[str, list[str]] = {
    "undesirable": [
        *("image", "label", "target", "factor", "trial", "p_before", "p_after", "phi", "area", "taken"),
        *("max_magnitude", "predicted_before", "predicted_after", "phi_blob", "p_verify_before"),
        *("p_verify_after", "predicted_verify_before", "predicted_verify_after", "status"),
    ]
}
"""What is read of an undesirable-pixels run."""

LIFT_FIGURES: Mapping[str, tuple[str, str]] = {
    "co": ("CO score", "logits; higher: more confident in the target. Of x', which may leave [0, 1]"),
    "co_clipped": ("CO score, clipped", "of x' brought back to [0, 1]; logits"),
    "p_gain": ("p(target), after - before", "softmax probability"),
    "p_before": ("p(target), before", "softmax probability"),
    "p_after": ("p(target), after", "softmax probability, of x' as it is"),
    "steps": ("Steps", "updates that the heatmap had"),
    "change": ("Change", "mean |x' - x| of x' brought back to [0, 1]"),
    "p_verify_gain": (
        "p(target), second network",
        "after - before, of the network that took no part, of x' in [0, 1]",
    ),
    "p_verify_before": ("p(target), second network, before", "softmax probability"),
    "co_verify": ("CO score, second network", "logits, of x' in [0, 1]; it took no part"),
}

MASK_FIGURES: Mapping[str, tuple[str, str]] = {
    "phi": ("phi", "relative improvement in per cent, up to 100"),
    "p_gain": ("p(target), after - before", "softmax probability"),
    "p_before": ("p(target), before", "softmax probability"),
    "p_after": ("p(target), after", "softmax probability"),
    "area": ("Area", "share of the pixels with 1 - M' above 0.6"),
    "taken": ("Taken", "mean 1 - M'"),
    "max_magnitude": ("Magnitude", "largest 1 - M'"),
    "phi_blob": ("phi, random places", "control: the mask's own values elsewhere; per cent"),
    "p_verify_gain": ("p(target), second network", "after - before, of the network that took no part"),
    "p_verify_before": ("p(target), second network, before", "softmax probability"),
}

GAINS = {"p_gain": ("p_before", "p_after"), "p_verify_gain": ("p_verify_before", "p_verify_after")}
"""Figures that are differences of two columns: after - before."""


def lift_columns(
    tables: Mapping[str, pa.Table], images: pa.Array, names: Sequence[str] | None
) -> dict[str, Column]:
    """By key, the columns of some images, in their order."""
    table = aligned(tables["lift"], images)
    return {
        **_shared(table, names),
        **outcome(table["status"]),
        "reached": _reached(table),
        "method": chosen(Heading("method", "Method"), table["method"].to_pylist()),
        "operation": chosen(Heading("operation", "Operation"), table["operation"].to_pylist()),
        **_after(table, names, ""),
        **dict(_figures(table, LIFT_FIGURES, "")),
    }


def mask_columns(
    tables: Mapping[str, pa.Table], images: pa.Array, names: Sequence[str] | None
) -> dict[str, Column]:
    """By key, the columns of some images, in their order; of several trials the first one's."""
    table = tables["undesirable"]
    first = aligned(table, images)
    found = _shared(first, names) | outcome(_worst(table, images))
    of_trial = pc.fill_null(pc.equal(table["trial"], 0), False)
    for factor in distinct(table["factor"]).to_pylist():
        rows = table.filter(pc.and_(of_trial, pc.fill_null(pc.equal(table["factor"], factor), False)))
        its = aligned(rows, images)
        found |= _after(its, names, factor) | dict(_figures(its, MASK_FIGURES, factor))
    return found


def _worst(table: pa.Table, images: pa.Array) -> pa.ChunkedArray:
    """For each image the first of its rows' statuses that is not ok, if there is any."""
    found: dict[str, str | None] = {}
    for name, status in zip(table["image"].to_pylist(), table["status"].to_pylist(), strict=True):
        if found.get(name, OK) == OK:
            found[name] = status
    return pa.chunked_array([pa.array([found.get(name) for name in images.to_pylist()], pa.string())])


def _shared(table: pa.Table, names: Sequence[str] | None) -> dict[str, Column]:
    label, predicted = classes_of(table["label"]), classes_of(table["predicted_before"])
    return {
        "correct": correctness(label, predicted),
        "label": classes_chosen(Heading("label", "Label", "the class that DATA gives"), label, names),
        "target": classes_chosen(
            Heading("target", "Target", "the class that it is about"), classes_of(table["target"]), names
        ),
        "predicted": classes_chosen(Heading("predicted", "Predicted, before"), predicted, names),
    }


def _after(table: pa.Table, names: Sequence[str] | None, group: str) -> dict[str, Column]:
    """What is predicted afterwards, and what the second network predicts before and after."""
    titles = {
        "predicted_after": "Predicted, after",
        "predicted_verify_before": "Second network, before",
        "predicted_verify_after": "Second network, after",
    }
    found: dict[str, Column] = {}
    for key, title in titles.items():
        indices = classes_of(table[key])
        if (indices >= 0).any():
            heading = Heading(keyed(group, key), title, group=FACTORS.get(group, group))
            found[heading.key] = classes_chosen(heading, indices, names)
    return found


def _figures(
    table: pa.Table, figures: Mapping[str, tuple[str, str]], group: str
) -> Iterator[tuple[str, Numbers]]:
    for name, (title, words) in figures.items():
        if name in GAINS:
            before, after = (floats(table[column]) for column in GAINS[name])
            with np.errstate(over="ignore"):
                values = after - before
            values[~np.isfinite(values)] = np.nan
        else:
            values = floats(table[name])
        heading = Heading(keyed(group, name), title, words, group=FACTORS.get(group, group))
        yield heading.key, Numbers(heading, values)


def _reached(table: pa.Table) -> Choice:
    said: dict[Any, str | None] = {True: "yes", False: "no", None: None}
    heading = Heading("reached", "Reached", "GAX: the CO score aimed at; spotlight: the target is predicted")
    return chosen(heading, [said[value] for value in table["reached"].to_pylist()])
