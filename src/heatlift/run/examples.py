"""The images a report shows: the most telling ones of a finished audit, with their heatmaps."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from heatlift.data import Item
from heatlift.images import Batch, batches
from heatlift.run.heatmaps import Maps
from heatlift.run.shard import ShardAudit
from heatlift.run.tables import read_table
from heatlift.run.whole import whole
from heatlift.types import OK

EACH = 3
"""Images per reason."""


@dataclass(frozen=True)
class Choice:
    """One image that is shown, and why."""

    image: str
    why: str
    label: int | None
    predicted: int
    confidence: float


def choose(run: Path) -> list[Choice]:
    """The images at the ends of confidence, right and wrong ones apart; all from one group without labels."""
    columns = ["image", "label", "predicted", "correct", "confidence", "status"]
    rows = read_table(run, "predictions", columns)
    rows = rows.filter(pc.equal(rows["status"], OK)).sort_by(
        [("confidence", "descending"), ("image", "ascending")]
    )
    ends = [
        (False, False, "wrong, and most confident"),
        (False, True, "wrong, and least confident"),
        (True, True, "right, and least confident"),
        (True, False, "right, and most confident"),
        (None, False, "most confident"),
        (None, True, "least confident"),
    ]
    chosen: dict[str, Choice] = {}
    for correct, least, why in ends:
        same = pc.is_null(rows["correct"]) if correct is None else pc.equal(rows["correct"], correct)
        group: pa.Table = rows.filter(same)
        # In a small group no image is both.
        each = min(EACH, -(-group.num_rows // 2))
        taken = group.slice(group.num_rows - each) if least else group.slice(0, each)
        for row in taken.to_pylist():
            choice = Choice(row["image"], why, row["label"], row["predicted"], row["confidence"])
            chosen.setdefault(choice.image, choice)
    return list(chosen.values())


def write_examples(run: Path, audit: ShardAudit, items: Sequence[Item]) -> None:
    """Compute the chosen images' heatmaps once more and keep them in RUN/examples, one file per image."""
    folder = run / "examples"
    folder.mkdir(exist_ok=True)
    by_name = {item.name: item for item in items}
    for number, choice in enumerate(choose(run)):
        path = folder / f"{number:03d}.npz"
        if _is_whole(path):
            continue
        for batch in batches([by_name[choice.image]], audit.classifier.framing, 1):
            maps = [m for m in audit.heatmaps(batch, None) if _shown(m)] if batch.items else []
            if maps:
                _write(path, choice, _content(choice, batch, maps))


def _is_whole(path: Path) -> bool:
    try:
        with ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, BadZipFile, ValueError, EOFError, zlib.error):
        return False


def _shown(maps: Maps) -> bool:
    """Whether a heatmap can be used, and has something to see."""
    return maps.status[0] == OK and maps.method != "zero"


def _content(choice: Choice, batch: Batch, maps: Sequence[Maps]) -> dict[str, Any]:
    """What is kept of one image: the photograph as the network gets it, and its usable heatmaps."""
    photograph = (batch.images[0] * 255).round().to(torch.uint8).permute(1, 2, 0)
    return {
        "image": photograph.numpy(),
        "heatmaps": np.stack([m.heatmaps[0].float().cpu().numpy().astype(np.float16) for m in maps]),
        "scales": np.array([float(m.scale[0]) for m in maps]),
        "methods": np.array([m.method for m in maps]),
        "name": choice.image,
        "why": choice.why,
        "label": -1 if choice.label is None else choice.label,
        "predicted": choice.predicted,
        "confidence": choice.confidence,
    }


def _write(path: Path, choice: Choice, arrays: dict[str, Any]) -> None:
    with whole(path, "wb") as file:
        np.savez_compressed(file, **arrays)
