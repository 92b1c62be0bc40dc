"""RUN/summary.json of an undesirable-pixels run: what masks gain, beside controls, and whether they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from heatlift.run.evidence import FEWEST
from heatlift.run.record import read_record, write_json
from heatlift.run.tables import read_table
from heatlift.statistics import Figure, mean, median, share
from heatlift.types import OK

if TYPE_CHECKING:
    from heatlift.run.plan import FactorName

FORMAT = 1
"""Raised whenever an entry changes its meaning or goes away."""

REMAINDER = 1e-3
"""Images whose probability leaves less than this to gain are not in the mean of phi."""

AGREE = 0.8
"""The correlation between trials that masks are said to agree above, and not to agree below."""

NAMES: Mapping[FactorName, str] = {"target": "F-TC", "non_target": "F-NTC", "none": "no factor"}
"""What the paper calls them."""

Row = Mapping[str, Any]


def write_undesirable_summary(run: Path, seed: int = 0) -> dict[str, Any]:
    """Summarise a run and write RUN/summary.json, whole or not at all; gives what was written.

    Raises:
        HeatliftError: a table is absent or damaged.
    """
    summary = summarise_undesirable(run, seed)
    write_json(run / "summary.json", summary)
    return summary


def summarise_undesirable(run: Path, seed: int = 0) -> dict[str, Any]:
    """The statistics of a run as plain JSON data; a figure is {value, low, high, n}, null if unknown.

    Figures are those of the first trial; the others are for the agreement.

    Raises:
        HeatliftError: a table is absent or damaged.
    """
    record, rows = read_record(run), read_table(run, "undesirable").to_pylist()
    pairs = read_table(run, "agreement").to_pylist()
    config = record["config"]
    factors = []
    for factor in config["factor"]:
        usable = [r for r in rows if r["factor"] == factor and not r["trial"] and r["status"] == OK]
        found = [pair for pair in pairs if pair["factor"] == factor]
        factors.append({"factor": factor, **_figures(usable, seed), "agreement": _agreement(found, seed)})
    # An image that has a result with one factor has one with all but for the network's own failures.
    failures = {row["image"]: row["status"] for row in rows if row["status"] != OK}
    first = {r["image"]: r for r in rows if r["status"] == OK and r["image"] not in failures}
    labelled = [row for row in first.values() if row["label"] is not None]
    right = sum(row["predicted_before"] == row["label"] for row in labelled)
    counts = {
        "images": len(first) + len(failures),
        "ok": len(first),
        "failed": len(failures),
        "failures": dict(Counter(failures.values())),
        "correct_before": right,
        "wrong_before": len(labelled) - right,
        "verified": sum(row["p_verify_after"] is not None for row in first.values()),
    }
    return {
        "format": FORMAT,
        "kind": "undesirable",
        "run": {
            name: record.get(name)
            for name in ("version", "command", "config", "model", "also", "verify", "data", "packages")
        }
        | (record.get("timing") or {}),
        "counts": counts,
        "verdict": " ".join(_verdict(record, factor) for factor in factors),
        "factors": factors,
    }


def _figures(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """The figures of one factor, those of its first trial."""

    def column(name: str, rows: Sequence[Row] = rows) -> NDArray[np.float64]:
        return np.array([row[name] for row in rows], dtype=np.float64)

    def averaged(values: NDArray[np.float64]) -> Figure | None:
        known = values[np.isfinite(values)]
        return mean(known, seed=seed) if len(known) else None

    def turned(rows: Sequence[Row], predicted: str) -> Figure | None:
        """The share that is predicted as the target."""
        return share(sum(row[predicted] == row["target"] for row in rows), len(rows)) if rows else None

    phi, room = column("phi"), column("remainder") >= REMAINDER
    known = phi[np.isfinite(phi)]
    before, after = column("p_before"), column("p_after")
    wrong = [r for r in rows if r["label"] == r["target"] != r["predicted_before"]]
    verified = [row for row in rows if row["p_verify_after"] is not None]
    gain = column("p_verify_after", verified) - column("p_verify_before", verified)
    figures: dict[str, Figure | None] = {
        "phi": averaged(phi[room]),
        "phi_median": median(known, seed=seed) if len(known) else None,
        "got_worse": share(int((after < before).sum()), len(rows)) if rows else None,
        "area": averaged(column("area")),
        "taken": averaged(column("taken")),
        "max_magnitude": averaged(column("max_magnitude")),
        "p_before": averaged(before),
        "p_after": averaged(after),
        "p_gain": averaged(after - before),
        "predicted_after": turned(rows, "predicted_after"),
        "turned_right": turned(wrong, "predicted_after"),
        "turned_right_blob": turned(wrong, "predicted_blob"),
        "turned_right_blur": turned(wrong, "predicted_blur"),
        "phi_blob": averaged(column("phi_blob")[room]),
        "phi_blur": averaged(column("phi_blur")[room]),
        "p_verify_before": averaged(column("p_verify_before", verified)),
        "p_verify_after": averaged(column("p_verify_after", verified)),
        "p_verify_gain": averaged(gain),
        "verify_better": share(int((gain > 0).sum()), len(verified)) if verified else None,
    }
    return {
        "n": len(rows),
        "n_phi_excluded": int((~room).sum()),
        "empty_masks": int((column("area") == 0).sum()),
        **{name: figure.as_json() if figure is not None else None for name, figure in figures.items()},
    }


def _agreement(pairs: Sequence[Row], seed: int) -> dict[str, Any] | None:
    """Means over images of the means over their pairs of trials; None with one trial."""
    if not pairs:
        return None
    found: dict[str, Any] = {
        "pairs": len(pairs),
        "empty": sum(pair["iou"] is None for pair in pairs),
    }
    for name in ("iou", "iou_top", "correlation", "spearman", "ssim"):
        of_image: dict[str, list[float]] = {}
        for pair in pairs:
            if pair[name] is not None:
                of_image.setdefault(pair["image"], []).append(pair[name])
        values = np.array([np.mean(each) for each in of_image.values()])
        found[name] = mean(values, seed=seed).as_json() if len(values) else None
    return found


def _verdict(record: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """One factor in words: what the masks do, beyond what any blob does, on whom, and how surely."""
    name, improve = NAMES[found["factor"]], record["config"]["game"] == "improve"
    if found["n"] < FEWEST:
        return f"With {name}: {found['n']} images are too few to conclude anything."
    gain, phi, blob = found["p_gain"], _known(found["phi"]), _known(found["phi_blob"])
    taken, area = found["taken"]["value"], found["area"]["value"]
    told = [
        f"With {name}, masks that take {taken:.1%} of the image away (of {area:.1%} of the pixels more than "
        f"0.6) {_does(gain)} the class's probability by {abs(gain['value']):.3f} {_bounds(gain)}"
    ]
    if improve and phi is not None and blob is not None:
        told[0] += f" (phi {phi['value']:.0f}%; the same values in random places {blob['value']:.0f}%)"
    turned = found["turned_right"]
    if improve and turned is not None:
        blobs = found["turned_right_blob"]["value"]
        told.append(
            f"of {turned['n']} wrong predictions {turned['value']:.0%} turn right "
            f"[{turned['low']:.0%}, {turned['high']:.0%}], {blobs:.0%} with random places"
        )
    other = _known(found["p_verify_gain"])
    if other is not None:
        network = (record.get("verify") or {}).get("name", "the second network")
        change = f"{other['value']:+.3f} {_bounds(other)}"
        told.append(f"for {network}, which took no part, it changes by {change}")
    agreed = found["agreement"]
    correlation = _known(agreed["correlation"]) if agreed is not None else None
    if agreed is not None and correlation is not None:
        top = _known(agreed["iou_top"])
        told.append(
            f"trials {_agree(correlation)}: correlation {correlation['value']:.2f} {_bounds(correlation, 2)}"
            + (f", IoU of the top 4% {top['value']:.2f}" if top is not None else "")
        )
    return "; ".join(told) + "."


def _known(figure: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A figure with a value and an interval; a single image gives none."""
    return figure if figure is not None and figure["value"] is not None else None


def _bounds(figure: Mapping[str, Any], decimals: int = 3) -> str:
    sign = "+" if decimals == 3 else ""
    return f"[{figure['low']:{sign}.{decimals}f}, {figure['high']:{sign}.{decimals}f}]"


def _does(gain: Mapping[str, Any]) -> str:
    if gain["low"] > 0:
        return "raise"
    return "lower" if gain["high"] < 0 else "do not clearly move"


def _agree(correlation: Mapping[str, Any]) -> str:
    if correlation["low"] >= AGREE:
        return "agree"
    return "do not agree" if correlation["high"] < AGREE else "agree in part"
