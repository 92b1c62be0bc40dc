"""How one column's values are distributed, correct and wrong predictions apart, in bins of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from heatlift.errors import HeatliftError
from heatlift.run.columns import pair_name
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import Choice, Heading, Numbers, finite
from heatlift.viewer.images import Images
from heatlift.wording import number

TAIL = 0.5
"""Per cent of the values on each side that the outermost bins take in, however far out they are."""

MOST_BINS = 200

LARGEST = 1e300
"""Values beyond are counted there: how far they are apart could not be computed."""


def distribution(images: Images, chosen: npt.NDArray[np.bool_], key: str, bins: int) -> dict[str, Any]:
    """Counts in equal bins; what lies beyond the first or last edge is counted in the bin beside it.

    Raises:
        HeatliftError: the column has no numbers.
    """
    column = images.column(key)
    if not isinstance(column, Numbers):
        raise HeatliftError("no such column with numbers in this run")
    if not 1 <= bins <= MOST_BINS:
        raise HeatliftError(f"{bins} bins: give 1 to {MOST_BINS}")
    known = chosen & ~np.isnan(column.values)
    values = column.values[known].clip(-LARGEST, LARGEST)
    heading = column.heading
    found = {
        "column": key,
        "title": heading.title,
        "group": heading.group,
        "help": heading.help,
        "n": len(values),
        "missing": int(chosen.sum()) - len(values),
    }
    if not len(values):
        return found | {"edges": [], "groups": []}
    low, high = np.percentile(values, [TAIL, 100 - TAIL])
    if not low < high:
        low, high = float(values.min()), float(values.max())
    # Of one value alone there is a bin around it.
    edges = np.histogram_bin_edges([low, high], bins)
    inside = np.clip(values, edges[0], edges[-1])
    groups = [
        {"value": value, "counts": np.histogram(inside[mask[known]], edges)[0].tolist()}
        for value, mask in _groups(images, chosen)
    ]
    return found | {"edges": edges.tolist(), "groups": groups}


def _groups(images: Images, chosen: npt.NDArray[np.bool_]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """Correct, wrong and unlabelled images, as far as there are any."""
    correct = images.columns["correct"]
    assert isinstance(correct, Choice)
    groups = [(value, correct.codes == code) for code, value in enumerate(correct.values)]
    return [(value, mask) for value, mask in groups if (mask & chosen).any()]


def worthwhile(catalogue: Catalogue) -> list[str]:
    """The columns whose distributions are worth a look, best first."""
    columns = catalogue.images.columns
    if catalogue.kind != "audit":
        first = ("p_gain", "p_verify_gain", "phi", "co", "area", "steps", "p_before", "p_after")
        numbers = [key for key, column in columns.items() if isinstance(column, Numbers)]
        return sorted(
            (key for key in numbers if key.rpartition(":")[2] in first),
            key=lambda key: first.index(key.rpartition(":")[2]),
        )
    keys = ["confidence", "p_label"] if "confidence" in columns else []
    free = [key for key in columns if key.endswith(":co_predicted")]
    with_label = [key for key in columns if key.endswith(":co_label")]
    indicators = [key for key in columns if key.startswith("indicator:")]
    return [*keys, *indicators, *free, *with_label]


def figure(catalogue: Catalogue, heading: Heading) -> str | None:
    """What the run's summary says of a score in one figure: how well it tells right from wrong."""
    if catalogue.kind != "audit":
        return None
    summary: Mapping[str, Any] = catalogue.summary or {}
    try:
        found = _of_pair(summary, heading) if heading.method else summary["baselines"][heading.key]["auroc"]
        value, low, high = (finite(found.get(key)) for key in ("value", "low", "high"))
    except (
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
    ):  # not as audits write it
        return None
    return None if value is None else f"AUROC {number(value)} [{number(low)}, {number(high)}]"


def _of_pair(summary: Mapping[str, Any], heading: Heading) -> Any:
    name = {"co_predicted": "auroc_label_free", "co_label": "auroc_label"}[heading.key.rpartition(":")[2]]
    for one in summary["methods"]:
        if pair_name(one["method"], one["operation"], one.get("scale") or 1) == heading.group:
            return one[name]
    return None
