"""Small finished runs to read: tables with known numbers, and the summary that belongs to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heatlift.run.summary import write_summary
from heatlift.run.tables import write_part
from heatlift.score import log_confidence_at
from heatlift.temperature import TEMPERATURES


@dataclass(frozen=True)
class Invented:
    """What an invented run is like; the scores are drawn from a seeded generator.

    An indicator whose name contains ``good`` is higher for images predicted correctly; others are noise.
    ``older`` leaves out what earlier versions did not write: scales, temperatures, indicators.
    """

    images: int = 120
    wrong: int = 40
    failed: int = 2
    labelled: bool = True
    methods: tuple[str, ...] = ("saliency", "deeplift")
    controls: tuple[str, ...] = ("zero", "noise")
    operations: tuple[str, ...] = ("add", "multiply")
    scales: tuple[float, ...] = (1.0,)
    indicators: tuple[str, ...] = ()
    older: bool = False
    classes: tuple[str, ...] = ("cat", "dog", "owl")
    image_name: str = "owl/{}.png"
    reason: str = "unreadable: truncated file"
    spread: float = 1.0
    run: dict[str, Any] = field(default_factory=dict)


def write_run(folder: Path, like: Invented | None = None, summarised: bool = True) -> Path:
    """Write run.json, the tables and summary.json; the last ``failed`` images have no figures."""
    like = like or Invented()
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(5)
    label = draw.integers(0, 3, like.images)
    predicted = np.where(np.arange(like.images) < like.wrong, (label + 1) % 3, label)
    predictions = [_prediction(i, int(label[i]), int(predicted[i]), like, draw) for i in range(like.images)]
    write_part(folder, "predictions", 0, predictions)
    pairs = [(m, o, s) for m in (*like.methods, *like.controls) for o in like.operations for s in like.scales]
    scores = [
        _score(i, int(label[i]), int(predicted[i]), pair, like, draw)
        for pair in pairs
        for i in range(like.images)
    ]
    write_part(folder, "scores", 0, scores)
    if not like.older:
        write_part(folder, "indicators", 0, _indicators(label == predicted, like))
    (folder / "run.json").write_text(json.dumps(_run(like)), encoding="utf-8")
    if summarised:
        write_summary(folder, resamples=40)
    return folder


def write_example(run: Path, number: int, methods: tuple[str, ...], **changes: Any) -> Path:
    """Write one example whose heatmaps are noise, except that of ``zero``."""
    draw = np.random.default_rng(number)
    heatmaps = draw.normal(size=(len(methods), 3, 224, 224))
    heatmaps[[name == "zero" for name in methods]] = 0
    path = run / "examples" / f"{number:03d}.npz"
    path.parent.mkdir(exist_ok=True)
    content = {
        "image": draw.integers(0, 256, (224, 224, 3), dtype=np.uint8),
        "heatmaps": (heatmaps / max(1.0, np.abs(heatmaps).max())).astype(np.float16),
        "scales": np.full(len(methods), 2.0),
        "methods": np.array(methods),
        "name": f"owl/{number}.png",
        "why": "wrong, and most confident",
        "label": 2,
        "predicted": 0,
        "confidence": 0.875,
    }
    np.savez(path, **(content | changes))
    return path


def _prediction(
    i: int, label: int, predicted: int, like: Invented, draw: np.random.Generator
) -> dict[str, Any]:
    name, known = like.image_name.format(i), like.labelled
    if i >= like.images - like.failed:
        return {"image": name, "label": label if known else None, "status": like.reason}
    confidence = float(draw.uniform(0.4, 0.9) if i < like.wrong else draw.uniform(0.6, 1.0))
    rest = (1 - confidence) / 2
    logits = torch.tensor([[confidence, rest, rest]], dtype=torch.float64).log()
    return {
        "image": name,
        "label": label if known else None,
        "predicted": predicted,
        "correct": predicted == label if known else None,
        "confidence": confidence,
        "max_logit": 10 * confidence,
        "margin": 2 * confidence - 1,
        "entropy": 1 - confidence,
        "energy": -confidence,
        "p_label": (confidence if predicted == label else rest) if known else None,
        "log_confidence_at": None if like.older else log_confidence_at(logits, TEMPERATURES)[0].tolist(),
        "status": "ok",
    }


def _score(
    i: int,
    label: int,
    predicted: int,
    pair: tuple[str, str, float],
    like: Invented,
    draw: np.random.Generator,
) -> dict[str, Any]:
    method, operation, scale = pair
    control = method in like.controls
    row = {
        "image": like.image_name.format(i),
        "method": method,
        "operation": operation,
        "control": control,
        "scale": None if like.older else scale,
    }
    if i >= like.images - like.failed:
        return row | {"status": like.reason}
    nothing = method == "zero" and operation == "add"
    score = 0.0 if nothing else float(draw.normal() * (like.spread if control else 1.0))
    for_label = score if predicted == label or nothing else score - 3.0
    return row | {
        "co_label": for_label if like.labelled else None,
        "co_predicted": score,
        "delta_p_label": for_label / 50 if like.labelled else None,
        "delta_p_predicted": score / 50,
        "predicted_after": predicted,
        "completeness": 1e-5 if method == "deeplift" else None,
        "status": "ok",
    }


def _indicators(correct: np.ndarray[Any, Any], like: Invented) -> list[dict[str, Any]]:
    draw = np.random.default_rng(7)
    rows = []
    for name in like.indicators:
        for i, value in enumerate(draw.normal(size=like.images) + 1.5 * correct * ("good" in name)):
            usable = i < like.images - like.failed
            found = {"value": float(value), "status": "ok"} if usable else {"status": like.reason}
            rows.append({"image": like.image_name.format(i), "indicator": name, **found})
    return rows


def _run(like: Invented) -> dict[str, Any]:
    return {
        "format": 1,
        "version": "0.1.0",
        "command": ["heatlift", "audit", "birds and cats", "--model", "demo"],
        "config": {"seed": 0, "limit": None},
        "model": {"spec": "demo", "name": "small-net", "classes": list(like.classes), "num_classes": 3},
        "data": {"path": "photos/birds", "kind": "class folders", "images": like.images},
        "packages": {"torch": "2.15"},
        "methods": {m: {"title": m.title(), "source": "somebody 1999", "needs": ""} for m in like.methods},
        "controls": {c: {"title": c.title(), "shows": "nothing"} for c in like.controls},
        "status": "finished",
        "timing": {"seconds": 12.0, "images": like.images, "images_per_second": 10.0},
    } | like.run
