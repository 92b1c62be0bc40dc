"""RUN/summary.json of a lift run: what was reached, what it cost, and whether another network shares it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heatlift.run.evidence import FEWEST
from heatlift.run.record import read_record, write_json
from heatlift.run.tables import read_table
from heatlift.statistics import Figure, mean, median, share
from heatlift.types import OK

FORMAT = 1
"""Raised whenever an entry changes its meaning or goes away."""

SOME = 0.1
"""The part of the network's own gain below which another network's gain is not called shared."""

LITTLE = 0.01
"""The network's own gain of probability that its interval must lie above before another's is looked at."""

CLEARLY_LESS = 0.25
"""The part of the network's own gain that another network's interval must stay below to be called apart."""

MOST_OF_IT = 0.75
"""The part of the network's own gain from which on another network's is called most of it."""

Columns = dict[str, NDArray[Any]]


def write_lift_summary(run: Path, seed: int = 0) -> dict[str, Any]:
    """Summarise a lift run and write RUN/summary.json, whole or not at all; gives what was written.

    Raises:
        HeatliftError: the table ``lift`` is absent or damaged.
    """
    summary = summarise_lift(run, seed)
    write_json(run / "summary.json", summary)
    return summary


def summarise_lift(run: Path, seed: int = 0) -> dict[str, Any]:
    """The statistics of a lift run as plain JSON data; a figure is {value, low, high, n}, null if unknown.

    Raises:
        HeatliftError: the table ``lift`` is absent or damaged.
    """
    record, table = read_record(run), read_table(run, "lift")
    rows = table.to_pylist()
    usable = [row for row in rows if row["status"] == OK]
    groups = {
        "all": usable,
        "correct": [
            row for row in usable if row["label"] is not None and row["predicted_before"] == row["label"]
        ],
        "wrong": [
            row for row in usable if row["label"] is not None and row["predicted_before"] != row["label"]
        ],
    }
    figures = {name: _figures(group, seed) if group else None for name, group in groups.items()}
    reached = sum(row["reached"] for row in usable)
    found, verdict = _verdict(record, figures["all"], len(usable))
    return {
        "format": FORMAT,
        "kind": "lift",
        "run": {
            name: record.get(name)
            for name in ("version", "command", "config", "model", "also", "verify", "data", "packages")
        }
        | (record.get("timing") or {}),
        "counts": {
            "images": len(rows),
            "ok": len(usable),
            "failed": len(rows) - len(usable),
            "failures": dict(Counter(row["status"] for row in rows if row["status"] != OK)),
            "reached": reached,
            "not_reached": len(usable) - reached,
            "correct_before": len(groups["correct"]),
            "wrong_before": len(groups["wrong"]),
            "verified": sum(row["p_verify_after"] is not None for row in usable),
        },
        "verdict": verdict,
        "finding": found,
        "figures": figures,
    }


def _figures(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    def column(name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in rows], dtype=np.float64)

    def turned(predicted: str) -> Figure:
        return share(sum(row[predicted] == row["target"] for row in rows), len(rows))

    figures: dict[str, Figure | None] = {
        "reached": share(int(column("reached").sum()), len(rows)),
        "steps": median(column("steps"), seed=seed),
        "co": median(column("co"), seed=seed),
        "co_clipped": median(column("co_clipped"), seed=seed),
        "change": mean(column("change"), seed=seed),
        "p_before": mean(column("p_before"), seed=seed),
        "p_after": mean(column("p_after"), seed=seed),
        "p_gain": mean(column("p_after") - column("p_before"), seed=seed),
        "predicted_after": turned("predicted_after"),
        "p_verify_before": None,
        "p_verify_after": None,
        "p_verify_gain": None,
        "verify_better": None,
    }
    rows = [row for row in rows if row["p_verify_after"] is not None]
    if rows:
        before, after = column("p_verify_before"), column("p_verify_after")
        figures |= {
            "p_verify_before": mean(before, seed=seed),
            "p_verify_after": mean(after, seed=seed),
            "p_verify_gain": mean(after - before, seed=seed),
            "verify_better": share(int((after > before).sum()), len(rows)),
        }
    return {name: figure.as_json() if figure is not None else None for name, figure in figures.items()}


def _verdict(record: dict[str, Any], figures: dict[str, Any] | None, n: int) -> tuple[str, str]:
    """In one word and in words: is what was found a shared feature or an adversarial pattern?"""
    if figures is None:
        return "not checked", "No image could be tried."
    config = record["config"]
    told = (
        f"{figures['reached']['value']:.0%} of {n} images reach a CO score of {config['target_co']:g}"
        if config["method"] == "gax"
        else f"{figures['predicted_after']['value']:.0%} of {n} images are predicted as the target afterwards"
    )
    own, other = figures["p_gain"], figures["p_verify_gain"]
    if n < FEWEST:
        finding = "not checked" if other is None else "unclear"
        return finding, f"{told}: too few images to conclude anything."
    if other is None:
        return (
            "not checked",
            f"{told}. No second network was asked (--verify-on), so nothing tells a feature of the images "
            "from an adversarial pattern of this network.",
        )
    name = (record.get("verify") or {}).get("name", "the second network")
    if other["n"] < FEWEST:
        return (
            "unclear",
            f"{told}. {other['n']} images are too few to say whether {name} shares what was found.",
        )
    if own["low"] < LITTLE:
        return "unclear", (
            f"{told}. The network itself gives the target {own['value']:+.3f} of probability "
            f"[{own['low']:+.3f}, {own['high']:+.3f}]: too little to ask whether {name} shares it."
        )
    gain = (
        f"{name}, which took no part, gives the target {other['value']:+.3f} of probability "
        f"[{other['low']:+.3f}, {other['high']:+.3f}] where the network itself gives it {own['value']:+.3f}"
    )
    if other["low"] > 0 and other["value"] >= SOME * own["value"]:
        part = other["value"] / own["value"]
        much = "Most" if part >= MOST_OF_IT else "Little" if part < CLEARLY_LESS else "A part"
        return "shared", f"{told}. {much} of the gain carries over, {part:.0%} of it: {gain}."
    if other["high"] < CLEARLY_LESS * own["value"]:
        return "adversarial", f"{told}. What was found is an adversarial pattern of this network: {gain}."
    return "unclear", f"{told}. Whether it is shared stays open: {gain}."
