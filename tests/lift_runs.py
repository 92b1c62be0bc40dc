"""Small finished lifts to read: tables with known numbers, kept heatmaps, and the summary of it all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from heatlift.run.evolutions import Evolutions, Recorder
from heatlift.run.lift_summary import write_lift_summary
from heatlift.run.originals import original_path
from heatlift.run.tables import write_part


@dataclass(frozen=True)
class InventedLift:
    """What an invented lift is like; its numbers are drawn from a seeded generator."""

    images: int = 40
    missed: int = 6
    failed: int = 2
    kept: int = 5
    steps: int = 30
    side: int = 24
    method: str = "gax"
    labelled: bool = True
    verified: bool = True
    carried: float = 0.0  # the part of the gain that the second network shares
    noise: float = 0.1
    classes: tuple[str, ...] = ("cat", "dog", "owl")
    image_name: str = "owl/{}.png"
    reason: str = "unreadable: truncated file"
    run: dict[str, Any] = field(default_factory=dict)


def write_lift_run(folder: Path, like: InventedLift | None = None) -> Path:
    """Write run.json, both tables, the kept heatmaps and summary.json; the last images have no figures."""
    like = like or InventedLift()
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(7)
    rows = [_row(i, like, draw) for i in range(like.images)]
    write_part(folder, "lift", 0, rows)
    usable = [row for row in rows if row["status"] == "ok"]
    write_part(folder, "evolutions", 0, [step for row in usable for step in _scores(row, draw)])
    for row in usable[:: max(1, len(usable) // max(1, like.kept))][: like.kept]:
        keep(folder, row["image"], row["steps"], like, draw)
    (folder / "run.json").write_text(json.dumps(_run(like)), encoding="utf-8")
    write_lift_summary(folder)
    return folder


def keep(folder: Path, image: str, steps: int, like: InventedLift, draw: np.random.Generator) -> None:
    """Keep an image's photograph, which is noise, and its heatmaps, which grow from the neutral value."""
    neutral = 0.0 if like.method == "gax" else 1.0
    size = (3, like.side, like.side)
    recorder, way = Recorder(neutral + 1), draw.normal(size=size) * like.noise
    for step in range(steps + 1):
        frame = (neutral + way * step / max(1, steps)).clip(neutral - 1, neutral + 1).astype(np.float32)
        recorder.add(frame, step)
    Evolutions(folder).write(image, frame, recorder, like.method, result=recorder.steps[-1])
    path = original_path(folder, image)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(draw.integers(0, 256, (like.side, like.side, 3), dtype=np.uint8)).save(path)


def _row(i: int, like: InventedLift, draw: np.random.Generator) -> dict[str, Any]:
    operation = "add" if like.method == "gax" else "multiply"
    label = int(draw.integers(0, 3))
    row = {
        "image": like.image_name.format(i),
        "method": like.method,
        "label": label if like.labelled else None,
        "operation": operation,
    }
    if i >= like.images - like.failed:
        return row | {"status": like.reason}
    before, reached = float(draw.uniform(0.1, 0.6)), i >= like.missed
    gain = float(draw.uniform(0.1, 0.4))
    score = 50 + float(draw.uniform()) if reached else float(draw.uniform(5, 40))
    found = {
        "target": label,
        "steps": int(draw.integers(like.steps // 2, like.steps)) if reached else like.steps,
        "reached": reached,
        "co": score,
        "co_clipped": score - 3,
        "change": 0.05,
        "p_before": before,
        "p_after": before + gain,
        "predicted_before": label if i % 3 else (label + 1) % 3,
        "predicted_after": label if reached else (label + 1) % 3,
        "status": "ok",
    }
    if like.verified:
        found |= {
            "co_verify": 0.0,
            "p_verify_before": before,
            "p_verify_after": before + like.carried * gain + float(draw.normal()) * 0.01,
            "predicted_verify_before": label,
            "predicted_verify_after": label,
        }
    return row | found


def _scores(row: dict[str, Any], draw: np.random.Generator) -> list[dict[str, Any]]:
    steps = row["steps"]
    return [
        {"image": row["image"], "step": step, "co": row["co"] * step / steps + float(draw.normal())}
        for step in range(steps)
    ] + [{"image": row["image"], "step": steps, "co": row["co"]}]


def _run(like: InventedLift) -> dict[str, Any]:
    model = {"spec": "demo", "name": "small-net", "classes": list(like.classes), "num_classes": 3}
    return {
        "format": 1,
        "kind": "lift",
        "version": "0.1.0",
        "command": ["heatlift", "lift", "birds and cats", "--model", "demo"],
        "config": {
            "method": like.method,
            "target": "label",
            "target_co": 48.0,
            "operation": "add",
            "bias": None,
        },
        "model": model,
        "verify": model | {"spec": "demo-lite2", "name": "other-net"} if like.verified else None,
        "data": {"path": "photos/birds", "kind": "class folders", "images": like.images},
        "packages": {"torch": "2.15"},
        "status": "finished",
        "timing": {"seconds": 12.0, "images": like.images, "images_per_second": 10.0},
    } | like.run
