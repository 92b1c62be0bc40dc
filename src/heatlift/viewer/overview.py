"""A run as a whole: what it is, how far it is, and by what its images can be sorted and filtered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import Choice, Heading, finite
from heatlift.viewer.distribution import worthwhile
from heatlift.wording import clean, number

SORTS = {"audit": "confidence", "lift": "co", "undesirable": "phi"}
"""The column that each kind of run is sorted by at first."""

MOST_PROBLEMS = 20
"""Told of a run."""

COUNTS = ("audited", "lifted", "chosen")
"""Under which name a run's record says how many images it is about."""


def overview(number_of_run: int, catalogue: Catalogue) -> dict[str, Any]:
    """What the page gets of a run."""
    images = catalogue.images
    columns = [column.as_json() for column in images.columns.values()]
    named = Heading("name", "Name", "of the file, relative to DATA").as_json() | {"type": "text"}
    sort = next((key for key in images.columns if key.rpartition(":")[2] == SORTS[catalogue.kind]), "name")
    kept = images.columns.get("kept")
    loading, command = catalogue.progress, catalogue.record.get("command")
    problems = [*list(catalogue.problems.values()), *list(catalogue.thumbnails.problems.values())]
    return {
        "id": number_of_run,
        "name": clean(catalogue.folder.resolve().name),
        "kind": catalogue.kind,
        "title": _title(catalogue),
        "command": clean(" ".join(map(str, command))) if isinstance(command, list) else "",
        "status": "finished" if catalogue.finished else "running",
        "loading": None if loading is None else {"done": loading[0], "total": loading[1]},
        "done": len(images),
        "total": max(_total(catalogue), len(images)),
        "pace": _pace(catalogue),
        "verdict": clean(summary["verdict"]) if (summary := catalogue.summary or {}).get("verdict") else None,
        "facts": _facts(catalogue),
        "problems": [clean(problem) for problem in problems[:MOST_PROBLEMS]] + _more(problems),
        "columns": [*columns, named],
        "sort": sort,
        "scores": worthwhile(catalogue),
        "kept": int((kept.codes == 0).sum()) if isinstance(kept, Choice) else 0,
    }


def _title(catalogue: Catalogue) -> str:
    model, config = catalogue.section("model"), catalogue.section("config")
    what = {
        "audit": "Audit",
        "lift": {"spotlight": "Spotlights"}.get(str(config.get("method")), "GAX lifts"),
        "undesirable": "Undesirable pixels",
    }[catalogue.kind]
    name = clean(model.get("name") or model.get("spec") or "")
    return f"{what} of {name}" if name else what


def _total(catalogue: Catalogue) -> int:
    data = catalogue.section("data")
    found = [finite(data[name]) for name in COUNTS if name in data]
    return int(found[0] or 0) if found else 0


def _pace(catalogue: Catalogue) -> float | None:
    return finite(catalogue.section("timing").get("images_per_second"))


def _more(problems: Sequence[str]) -> list[str]:
    rest = len(problems) - MOST_PROBLEMS
    return [f"and {rest:,} problems more"] if rest > 0 else []


def _facts(catalogue: Catalogue) -> list[dict[str, str]]:
    found = [("Images", f"{len(catalogue.images):,}")]
    correct = catalogue.images.columns.get("correct")
    # Of a selection of images, such as the wrong ones, it would say nothing of the network.
    if catalogue.kind == "audit" and isinstance(correct, Choice):
        counts = np.bincount(correct.codes[correct.codes >= 0], minlength=2)
        if counts[0] + counts[1]:
            found.append(("Accuracy", number(counts[0] / (counts[0] + counts[1]))))
    if not catalogue.finished:
        try:
            since = time.time() - (catalogue.folder / "run.json").stat().st_mtime
            found.append(("Last written", f"{_duration(since)} ago"))
        except OSError:
            pass
    return [{"name": name, "value": value} for name, value in found]


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{max(0, seconds):.0f} seconds"
