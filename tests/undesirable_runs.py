"""Small finished searches for undesirable pixels to read: tables with known numbers, masks, the summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from heatlift.run.evolutions import Evolutions, Recorder
from heatlift.run.originals import original_path, perturbed_path
from heatlift.run.tables import write_part
from heatlift.statistics import Figure, mean, median, share

AGREEMENTS = ("iou", "iou_top", "correlation", "spearman", "ssim")


@dataclass(frozen=True)
class InventedMasks:
    """What an invented search is like; its numbers are drawn from a seeded generator."""

    images: int = 40
    failed: int = 2
    kept: int = 5
    stepped: int = 2
    steps: int = 20
    side: int = 24
    factors: tuple[str, ...] = ("target", "non_target", "none")
    trials: int = 1
    target: str | int = "label"
    game: str = "improve"
    labelled: bool = True
    outputs: int = 1000
    preset: str = "paper"
    verified: bool = True
    worse: float = 1.0  # how much the controls take away
    noise: bool = False  # masks and photographs without any structure
    classes: tuple[str, ...] = ("cat", "dog", "owl")
    image_name: str = "owl/{}.png"
    reason: str = "unreadable: truncated file"
    photograph: Callable[[int], Image.Image] | None = None
    run: dict[str, Any] = field(default_factory=dict)


def write_undesirable_run(folder: Path, like: InventedMasks | None = None) -> Path:
    """Write run.json, both tables, the kept masks and summary.json; the last images have no figures."""
    like = like or InventedMasks()
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(7)
    rows = [row for i in range(like.images) for row in _rows(i, like, draw)]
    write_part(folder, "undesirable", 0, rows)
    usable = [row for row in rows if row["status"] == "ok"]
    agreement = _agreement(usable, like, draw)
    write_part(folder, "agreement", 0, agreement)
    for i in range(min(like.kept, like.images - like.failed)):
        keep(folder, i, like, draw)
    (folder / "run.json").write_text(json.dumps(_run(like)), encoding="utf-8")
    summary = _summary(rows, agreement, like)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def keep(folder: Path, i: int, like: InventedMasks, draw: np.random.Generator) -> None:
    """Keep an image, and for each factor its mask, for the first images with its steps, and the result."""
    image = like.image_name.format(i)
    photograph = _photograph(i, like, draw)
    _save(photograph, original_path(folder, image))
    x = np.asarray(photograph, np.float64) / 255
    blurred = np.asarray(photograph.filter(ImageFilter.GaussianBlur(like.side / 20)), np.float64) / 255
    for place, factor in enumerate(like.factors):
        taken = _mask(i, place, like, draw)
        recorder = Recorder(1.0)
        if i < like.stepped:
            for step in range(like.steps + 1):
                start = 0.5 * (1 - step / like.steps)
                recorder.add((start + taken * step / like.steps).clip(0, 1).astype(np.float32), step)
        Evolutions(folder).write(f"{factor}/{image}", taken, recorder, "undesirable", result=like.steps)
        result = x + taken[0][:, :, None] * (blurred - x)
        _save(Image.fromarray(np.rint(result * 255).astype(np.uint8)), perturbed_path(folder, factor, image))


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    picture.save(path, "PNG")


def _photograph(i: int, like: InventedMasks, draw: np.random.Generator) -> Image.Image:
    if like.photograph is not None:
        return like.photograph(i)
    if like.noise:
        return Image.fromarray(draw.integers(0, 256, (like.side, like.side, 3), dtype=np.uint8))
    coarse = Image.fromarray(draw.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return coarse.resize((like.side, like.side), Image.Resampling.BICUBIC)


def _mask(i: int, place: int, like: InventedMasks, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """One or two round spots, of which the weaker ones stay below the threshold."""
    if like.noise:
        return draw.uniform(size=(1, like.side, like.side)).astype(np.float32)
    across, up = np.meshgrid(np.linspace(0, 1, like.side), np.linspace(0, 1, like.side))
    taken = np.zeros((like.side, like.side))
    for strength in (0.95 - 0.2 * place, 0.5):
        x, y, width = draw.uniform(0.2, 0.8), draw.uniform(0.2, 0.8), draw.uniform(0.08, 0.16)
        spot = strength * np.exp(-((across - x) ** 2 + (up - y) ** 2) / (2 * width**2))
        taken = np.maximum(taken, spot)
    return taken[None].astype(np.float32)


def _rows(i: int, like: InventedMasks, draw: np.random.Generator) -> list[dict[str, Any]]:
    truth = int(draw.integers(0, 3))
    image = {"image": like.image_name.format(i), "label": truth if like.labelled else None}
    if i >= like.images - like.failed:
        return [image | {"status": like.reason}]
    before = float(draw.uniform(0.05, 0.95))
    right = i % 3 != 0
    predicted = truth if right else (truth + 1) % 3
    target = {"label": truth, "predicted": predicted}.get(str(like.target), like.target)
    rows = []
    for factor in like.factors:
        share_gained = {"target": 0.5, "non_target": 0.2, "none": 0.4}[factor]
        for trial in range(like.trials):
            gained = share_gained + float(draw.normal()) * 0.15
            after = min(0.999, max(0.001, before + (1 - before) * gained))
            blob = before - like.worse * float(draw.uniform(-0.02, 0.1)) * before
            blur = before * (1 - 0.6 * like.worse)
            found = {
                "target": target,
                "factor": factor,
                "trial": trial,
                "p_before": before,
                "p_after": after,
                "remainder": 1 - before,
                "phi": 100 * (after - before) / (1 - before),
                "area": float(draw.uniform(0, 0.04)) if i % 4 else 0.0,
                "max_magnitude": float(draw.uniform(0.3, 1)) if i % 4 else 0.4,
                "predicted_before": predicted,
                "predicted_after": truth if right or after > 0.6 else predicted,
                "p_blob": blob,
                "phi_blob": 100 * (blob - before) / (1 - before),
                "p_blur": blur,
                "phi_blur": 100 * (blur - before) / (1 - before),
                "status": "ok",
            }
            if like.verified:
                noise = float(draw.normal()) * 0.05
                found |= {
                    "p_verify_before": before * 0.9,
                    "p_verify_after": before * 0.9 + 0.4 * (after - before) + noise,
                    "predicted_verify_before": truth,
                    "predicted_verify_after": truth,
                }
            rows.append(image | found)
    return rows


def _agreement(
    rows: list[dict[str, Any]], like: InventedMasks, draw: np.random.Generator
) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        if row["trial"]:
            continue
        for first, second in combinations(range(like.trials), 2):
            values = {name: float(draw.uniform(0.2, 0.9)) for name in AGREEMENTS}
            if not row["area"]:
                del values["iou"]
            pair = {"image": row["image"], "factor": row["factor"], "first": first, "second": second}
            found.append(pair | values)
    return found


def _summary(
    rows: list[dict[str, Any]], agreement: list[dict[str, Any]], like: InventedMasks
) -> dict[str, Any]:
    usable = [row for row in rows if row["status"] == "ok"]
    first = [row for row in usable if row["trial"] == 0 and row["factor"] == like.factors[0]]
    correct = sum(row["label"] is not None and row["predicted_before"] == row["label"] for row in first)
    return {
        "format": 1,
        "kind": "undesirable",
        "run": {},
        "counts": {
            "images": like.images,
            "ok": len(first),
            "failed": like.images - len(first),
            "failures": {like.reason: like.images - len(first)} if len(first) < like.images else {},
            "correct_before": correct,
            "wrong_before": len(first) - correct if like.labelled else 0,
            "verified": len(first) if like.verified else 0,
        },
        "verdict": "Masks raise the target by more than a random blob of their area does.",
        "factors": [
            _factor(
                factor,
                [row for row in usable if row["factor"] == factor and row["trial"] == 0],
                [row for row in agreement if row["factor"] == factor],
                like,
            )
            for factor in like.factors
            if first
        ],
    }


def _factor(
    factor: str, rows: list[dict[str, Any]], pairs: list[dict[str, Any]], like: InventedMasks
) -> dict[str, Any]:
    def column(name: str) -> np.ndarray[Any, Any]:
        return np.array([row[name] for row in rows], dtype=np.float64)

    before, after = column("p_before"), column("p_after")
    wrong = [row for row in rows if row["label"] is not None and row["predicted_before"] != row["label"]]
    right = sum(row["predicted_after"] == row["label"] for row in wrong)
    figures: dict[str, Figure | None] = {
        "phi": mean(column("phi")),
        "phi_median": median(column("phi")),
        "got_worse": share(int((after < before).sum()), len(rows)),
        "area": mean(column("area")),
        "max_magnitude": mean(column("max_magnitude")),
        "p_before": mean(before),
        "p_after": mean(after),
        "p_gain": mean(after - before),
        "predicted_after": share(sum(row["predicted_after"] == row["target"] for row in rows), len(rows)),
        "turned_right": share(right, len(wrong)) if wrong and like.target == "label" else None,
        "phi_blob": mean(column("phi_blob")),
        "phi_blur": mean(column("phi_blur")),
        "p_verify_before": None,
        "p_verify_after": None,
        "p_verify_gain": None,
        "verify_better": None,
    }
    if like.verified:
        first, last = column("p_verify_before"), column("p_verify_after")
        figures |= {
            "p_verify_before": mean(first),
            "p_verify_after": mean(last),
            "p_verify_gain": mean(last - first),
            "verify_better": share(int((last > first).sum()), len(rows)),
        }
    agreement = None
    if pairs:
        empty = sum("iou" not in pair for pair in pairs)
        agreement = {"pairs": len(pairs), "empty": empty} | {
            name: mean(np.array([pair[name] for pair in pairs if name in pair])).as_json()
            for name in AGREEMENTS
        }
    return {
        "factor": factor,
        "n": len(rows),
        "n_phi_excluded": 3,
        "empty_masks": int((column("area") == 0).sum()),
        **{name: figure.as_json() if figure is not None else None for name, figure in figures.items()},
        "agreement": agreement,
    }


def _run(like: InventedMasks) -> dict[str, Any]:
    model = {"spec": "demo", "name": "small-net", "classes": list(like.classes), "num_classes": like.outputs}
    return {
        "format": 1,
        "kind": "undesirable",
        "version": "0.1.0",
        "command": ["heatlift", "undesirable", "birds and cats", "--model", "demo"],
        "config": {
            "factor": list(like.factors),
            "target": like.target,
            "include": "all",
            "trials": like.trials,
            "preset": like.preset,
            "game": like.game,
            "steps": like.steps,
            "gamma": 0.3,
            "tv_weight": 1.7,
            "l1_weight": 3.0,
            "reference": "blur",
            "kernel": 11,
            "sigma": 5.0,
        },
        "model": model,
        "verify": model | {"spec": "demo-lite2", "name": "other-net"} if like.verified else None,
        "data": {"path": "photos/birds", "kind": "class folders", "images": like.images},
        "packages": {"torch": "2.15"},
        "status": "finished",
        "timing": {"seconds": 12.0, "images": like.images, "images_per_second": 10.0},
    } | like.run
