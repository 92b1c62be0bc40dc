"""The columns of an audit's images: what the classifier says, and what each heatmap did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.run.columns import pair_name
from heatlift.types import OK
from heatlift.viewer.columns import Choice, Codes, Column, Heading, Numbers, Values, classes_chosen
from heatlift.viewer.image_columns import aligned, classes_of, correctness, distinct, floats, outcome

TABLES: Mapping[str, list[str]] = {
    "predictions": [
        *("image", "label", "predicted", "confidence", "max_logit", "margin", "entropy", "energy"),
        *("p_label", "status"),
    ],
    "scores": [
        *("image", "method", "operation", "control", "scale", "co_label", "co_predicted"),
        *("delta_p_label", "delta_p_predicted", "predicted_after", "status"),
    ],
    "indicators": ["image", "indicator", "value", "status"],
}
"""What is read of each table; the first decides which images there are."""

SIGNALS: Mapping[str, tuple[str, str]] = {
    "confidence": ("Confidence", "largest softmax probability"),
    "p_label": ("p(label)", "softmax probability of the label"),
    "max_logit": ("Largest logit", "logits; higher: more confident"),
    "margin": ("Margin", "largest minus second largest softmax probability"),
    "entropy": ("Entropy", "of the softmax, in nats; lower: more confident"),
    "energy": ("Energy", "-logsumexp of the logits; lower: more confident"),
}

FIGURES: Mapping[str, tuple[str, str]] = {
    "co_predicted": ("CO, predicted class", "logits; higher: more confident in what was predicted"),
    "co_label": ("CO, label", "logits; higher: more confident in the label"),
    "delta_p_label": ("p(label), after - before", "softmax probability; above 0: the heatmap helps"),
    "delta_p_predicted": ("p(predicted), after - before", "softmax probability of what was predicted"),
}

BECAME = ("turned right", "turned wrong", "stayed right", "stayed wrong", "unlabelled, the same class",
          "unlabelled, another class")  # fmt: skip
"""What becomes of an image's prediction under a heatmap."""

NOTHING = "nothing"
"""What helped most where no heatmap raises the label's probability."""


def audit_columns(
    tables: Mapping[str, pa.Table], images: pa.Array, names: Sequence[str] | None
) -> dict[str, Column]:
    """By key, the columns of some images, in their order."""
    predictions = aligned(tables["predictions"], images)
    label, predicted = classes_of(predictions["label"]), classes_of(predictions["predicted"])
    found: dict[str, Column] = {
        "correct": correctness(label, predicted),
        **outcome(predictions["status"]),
        "label": classes_chosen(Heading("label", "Label", "the class that DATA gives"), label, names),
        "predicted": classes_chosen(Heading("predicted", "Predicted"), predicted, names),
    }
    for key, (title, words) in SIGNALS.items():
        found[key] = Numbers(Heading(key, title, words), floats(predictions[key]))
    pairs = _pairs(tables["scores"], images, label, predicted)
    found["helped"] = _helped(pairs, label)
    for pair in pairs:
        found |= pair["columns"]
    return found | _indicators(tables["indicators"], images)


def _pairs(table: pa.Table, images: pa.Array, label: Any, predicted: Any) -> list[dict[str, Any]]:
    """Each heatmap under each operation at each scale, in the order in which the table first has them."""
    place, ok = _usable(table, images)
    scale = pc.fill_null(table["scale"], 1.0)
    keys = pc.binary_join_element_wise(
        table["method"], table["operation"], pc.cast(scale, pa.string()), "\n"
    ).combine_chunks()
    pairs = distinct(keys)
    which = pc.fill_null(pc.index_in(keys, value_set=pairs), len(pairs)).to_numpy()
    rows_by_pair = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[rows_by_pair], np.arange(len(pairs) + 1))
    values = {key: floats(table[key]) for key in (*FIGURES, "predicted_after")}
    found = []
    for code in range(len(pairs)):
        all_rows = rows_by_pair[ends[code] : ends[code + 1]]
        rows = all_rows[ok[all_rows]]
        places = place[rows]
        first = int(all_rows[0])
        method, operation = (str(table[key][first].as_py()) for key in ("method", "operation"))
        name = pair_name(method, operation, float(scale[first].as_py()))
        figures: dict[str, Values] = {}
        for key, column in values.items():
            figures[key] = np.full(len(images), np.nan)
            figures[key][places] = column[rows]
        about = {"group": name, "method": method, "operation": operation}
        columns: dict[str, Column] = {
            f"{name}:{key}": Numbers(Heading(f"{name}:{key}", title, words, **about), figures[key])
            for key, (title, words) in FIGURES.items()
        }
        became = _became(label, predicted, figures["predicted_after"])
        columns[f"{name}:became"] = Choice(
            Heading(f"{name}:became", "Became", "what the prediction turns into", **about), became, BECAME
        )
        control = bool(table["control"][first].as_py())
        found.append({"name": name, "control": control, "figures": figures, "columns": columns})
    return found


def _usable(table: pa.Table, images: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Of each row the position of its image, and whether the row counts."""
    place = np.asarray(pc.fill_null(pc.index_in(table["image"], value_set=images), -1).to_numpy(), np.int64)
    ok = pc.fill_null(pc.equal(table["status"], OK), False).to_numpy()
    return place, ok & (place >= 0)


def _became(label: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], after: Values) -> Codes:
    before_right, after_right = predicted == label, after == label
    codes = np.select(
        [label < 0, ~before_right & after_right, before_right & ~after_right, after_right],
        [np.where(after == predicted, 4, 5), 0, 1, 2],
        3,
    )
    return np.where(np.isnan(after), -1, codes).astype(np.int32)


def _helped(pairs: Sequence[Mapping[str, Any]], label: npt.NDArray[np.int64]) -> Choice:
    """For each image the heatmap, no control, that raises the label's probability most."""
    heading = Heading("helped", "Helped most", "the heatmap that raises p(label) most, controls left out")
    methods = [pair for pair in pairs if not pair["control"]]
    names = (*(pair["name"] for pair in methods), NOTHING)
    if not methods:
        return Choice(heading, np.full(len(label), -1, np.int32), names)
    raised = np.stack([pair["figures"]["delta_p_label"] for pair in methods])
    known = np.isfinite(raised).any(axis=0)
    raised = np.where(np.isfinite(raised), raised, -np.inf)
    best = np.where(raised.max(axis=0) > 0, raised.argmax(axis=0), len(methods))
    return Choice(heading, np.where(known, best, -1).astype(np.int32), names)


def _indicators(table: pa.Table, images: pa.Array) -> dict[str, Column]:
    place, ok = _usable(table, images)
    values = floats(table["value"])
    found: dict[str, Column] = {}
    for name in distinct(table["indicator"]).to_pylist():
        rows = ok & pc.fill_null(pc.equal(table["indicator"], name), False).to_numpy()
        column = np.full(len(images), np.nan)
        column[place[rows]] = values[rows]
        heading = Heading(f"indicator:{name}", name, "higher: probably correct", group="indicators")
        found[heading.key] = Numbers(heading, column)
    return found
