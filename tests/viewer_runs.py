"""Small runs of every kind to look at in the viewer, and what their files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from heatlift.run.evolutions import Evolutions
from heatlift.run.lift_summary import write_lift_summary
from heatlift.run.originals import original_path
from heatlift.run.tables import write_part
from lift_runs import InventedLift, write_lift_run
from runs import Invented, write_example, write_run
from undesirable_runs import InventedMasks, write_undesirable_run
from viewers import Rows, rows_of, write_reference, write_thumbnails

Array = np.ndarray[Any, Any]

EXPLAINED = ("saliency", "deeplift", "zero", "noise")
LEFT_OUT = "left out: predicted correctly"
MANY = 3000
SPECIES = tuple(f"species {place}" for place in range(20))


def lift_run(folder: Path, **changes: Any) -> Path:
    """A lift with images that failed or were left out, with thumbnails but for one, and with all figures."""
    like = InventedLift(**{"images": 26, "steps": 12, "kept": 3, "side": 48} | changes)
    write_lift_run(folder, like)
    rows = rows_of(folder, "lift")
    for row in rows[-4:-2]:
        row.update(dict.fromkeys(row.keys() - {"image", "method", "label", "operation"}), status=LEFT_OUT)
    write_part(folder, "lift", 0, rows)
    kept = {row["image"] for row in rows if original_path(folder, row["image"]).exists()}
    steps = [_known(row) if row["image"] in kept else row for row in rows_of(folder, "evolutions")]
    write_part(folder, "evolutions", 0, steps)
    write_thumbnails(folder, [row["image"] for row in rows[:-3]])
    return folder


def mask_run(folder: Path, **changes: Any) -> Path:
    """A search for undesirable pixels with all figures, the first image with what takes a pixel's place."""
    like = InventedMasks(
        **{"images": 20, "stepped": 2, "kept": 2, "side": 48, "factors": ("target", "none")} | changes
    )
    write_undesirable_run(folder, like)
    steps = [
        _known({"image": like.image_name.format(0), "factor": factor, "step": step, "co": None})
        for factor in like.factors
        for step in range(like.steps + 1)
    ]
    write_part(folder, "evolutions", 0, steps)
    write_reference(folder, like.image_name.format(0), like.side)
    write_thumbnails(folder, [like.image_name.format(i) for i in range(like.images)])
    return folder


def audit_run(folder: Path, **changes: Any) -> Path:
    """An audit with two examples."""
    like = Invented(**{"images": 70, "indicators": ("laboratory.tests:good",)} | changes)
    write_run(folder, like)
    for number in (0, 50):
        write_example(folder, number, EXPLAINED, name=like.image_name.format(number))
    write_thumbnails(folder, [like.image_name.format(i) for i in range(like.images)])
    return folder


def thousands(folder: Path) -> Path:
    """A lift of thousands, none of which kept a heatmap, with twenty classes."""
    write_lift_run(folder, InventedLift(images=40, steps=4, kept=0, classes=SPECIES, image_name="{}.png"))
    few = rows_of(folder, "lift")
    rows = [
        few[i % len(few)] | {"image": f"{i:05d}.png", "label": i % len(SPECIES), "co": (i * 37 % 1000) / 10}
        for i in range(MANY)
    ]
    rows = [row if row["status"] == "ok" else row | {"co": None} for row in rows]
    write_part(folder, "lift", 0, rows)
    write_lift_summary(folder)
    return folder


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """A step with probabilities; the third class is among the likeliest in even steps only."""
    p = 0.05 + 0.9 * row["step"] / 20
    rest = (1 - p) / 3
    top = [1, 0, 2] if row["step"] % 2 else [0, 1, 2]
    return row | {
        "p_target": p,
        "p_label": rest,
        "top": top[: 3 - row["step"] % 2],
        "p_top": [p, rest, rest / 2][: 3 - row["step"] % 2],
    }


def heatmap_of(folder: Path, name: str, step: int) -> Array:
    """A heatmap (c, h, w) as the run has it: the result exactly."""
    kept = Evolutions(folder)
    found = kept.final(name) if step == kept.result(name) else kept.frame(name, step)
    return np.asarray(found, np.float64)


def original_of(folder: Path, name: str) -> Array:
    """An image (3, h, w) in [0, 1]."""
    return np.asarray(Image.open(original_path(folder, name)), np.float64).transpose(2, 0, 1) / 255


def as_pixels(image: Array) -> Array:
    """(3, h, w) in [0, 1] as (h, w, 3) in bytes."""
    return np.rint(image.clip(0, 1) * 255).transpose(1, 2, 0)


def row_of(folder: Path, table: str, **wanted: Any) -> dict[str, Any]:
    """The only row of a table with these values."""
    rows: Rows = [
        row for row in rows_of(folder, table) if all(row[key] == value for key, value in wanted.items())
    ]
    assert len(rows) == 1, (table, wanted, len(rows))
    return rows[0]


def in_order(rows: Rows, column: str, descending: bool = True) -> list[str]:
    """Names by a column, the missing ones last; as they are where two are equal."""
    sign = -1 if descending else 1
    known = sorted((row for row in rows if row[column] is not None), key=lambda row: sign * row[column])
    return [row["image"] for row in (*known, *(row for row in rows if row[column] is None))]


def correct(row: dict[str, Any]) -> bool | None:
    return None if row["predicted_before"] is None else row["label"] == row["predicted_before"]


def one_of_each(folder: Path) -> list[Path]:
    """A lift, masks and an audit of the same images."""
    lift, masks = lift_run(folder / "lift"), mask_run(folder / "masks", target="predicted")
    return [lift, masks, audit_run(folder / "audit")]


def of_many_images(folder: Path) -> list[Path]:
    """A lift of some images, an audit, and one of thousands."""
    return [lift_run(folder / "lift", images=40), audit_run(folder / "audit"), thousands(folder / "many")]
