"""What a run keeps beside its tables, checked before it goes on: heatmaps and pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow.compute as pc
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path, perturbed_path, reference_path
from heatlift.run.tables import part_path, read_part
from heatlift.types import OK


def spoilt(run: Path, kind: str, shards: Collection[int]) -> set[int]:
    """Of shards whose tables are there, those of which something else is damaged or gone.

    Args:
        run: the run's folder.
        kind: of run.
        shards: by number.
    """
    if kind == "audit":
        return set()
    return {shard for shard in shards if not _is_whole(run, kind, shard)}


def _is_whole(run: Path, kind: str, shard: int) -> bool:
    try:
        for heatmap, pictures in _expected(run, kind, shard):
            Evolutions(run).check(heatmap)
            for path in pictures:
                _check_picture(path)
    except HeatliftError:
        return False
    return True


def _expected(run: Path, kind: str, shard: int) -> Iterator[tuple[str, list[Path]]]:
    """What was kept of a shard: names of heatmaps, each with the pictures that belong to it."""
    evolutions = read_part(part_path(run, "evolutions", shard), "evolutions", ["image", "factor", "p_target"])
    # What the network says at each step is on record of those images alone.
    seen = evolutions.filter(pc.is_valid(evolutions["p_target"])).select(["image", "factor"])
    usable = _usable(run, kind, shard)
    for image, factor in dict.fromkeys(zip(*(column.to_pylist() for column in seen.columns), strict=True)):
        if (image, factor) not in usable:
            continue
        if factor is None:
            yield image, [original_path(run, image)]
        else:
            places = original_path(run, image), reference_path(run, image), perturbed_path(run, factor, image)
            yield f"{factor}/{image}", list(places)


def _usable(run: Path, kind: str, shard: int) -> set[tuple[str, str | None]]:
    """Images with the factor, None in a lift run, of which the first trial gave a finite heatmap."""
    rows = read_part(part_path(run, kind, shard), kind)
    # A value that is not finite leaves no mean of them.
    finite = pc.is_finite(rows["change" if kind == "lift" else "taken"])
    found = rows.filter(pc.and_(pc.equal(rows["status"], OK), finite))
    if kind == "lift":
        return {(image, None) for image in found["image"].to_pylist()}
    first = found.filter(pc.equal(found["trial"], 0))
    return set(zip(first["image"].to_pylist(), first["factor"].to_pylist(), strict=True))


def _check_picture(path: Path) -> None:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.verify()
    except Exception as error:  # Pillow raises whatever the bytes lead it to
        raise HeatliftError(f"{path} is damaged") from error
