"""The heatmaps that a run keeps, and how each came about step by step: ``RUN/maps.zarr``.

One Zarr v3 group with a subgroup per image, in which ``final`` is the heatmap itself (float16) and
``evolution`` its way there, for the eye: whole levels, 80 of them to the scale, as differences between
one step and the next that wrap around at 256. Each chunk begins with a step's own levels, so that a step
is the wrapped sum of its chunk up to it, and rounding never adds up.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from heatlift.errors import HeatliftError, first_line
from heatlift.json_object import read_json
from heatlift.run.description import MEND, described, description
from heatlift.run.recorder import CHUNK_STEPS, LAYOUT, LEVELS, Recorder, check
from heatlift.run.whole import beside, named, whole

__all__ = ["CHUNK_STEPS", "LEVELS", "Evolutions", "Recorder"]

LARGEST = 3 * 4096**2
"""Values of a step; a damaged description must not fill the memory."""

CODECS = {"sharding_indexed", "bytes", "blosc", "crc32c"}
"""All that is ever decoded: others, of somebody else's making, may run what they find."""


class Evolutions:
    """The heatmaps in a run's folder. Many processes may write at once: each image has files of its own."""

    def __init__(self, run: str | Path) -> None:
        self.store = Path(run) / "maps.zarr"

    def write(
        self,
        image: str,
        final: NDArray[np.float32],
        recorder: Recorder | None,
        method: str,
        result: int | None = None,
    ) -> None:
        """Keep an image's heatmap, and its evolution if one was recorded, in place of what is there of it.

        A reader sees all of it or nothing, also when the writer is killed: its folder, of 3 or 5 files,
        gets the name under which it is looked for only once it is complete and on the disk.

        Args:
            image: the image's name, unique in the run.
            final: (c, h, w), finite; its largest values are kept to 11 bits.
            recorder: the evolution; None or an empty one for none.
            method: what made the heatmap.
            result: the step that ``final`` is of; None where it is no step's, such as a mean.

        Raises:
            HeatliftError: a heatmap that is not finite, not (c, h, w), or not of its evolution's shape.
            OSError: it can't be written.
        """
        check(f"the heatmap of '{image}'", final, recorder.shape if recorder else None)
        folder = self.folder(image)
        partial = beside(folder)
        with named(folder):
            _begin(self.store)
            try:
                _write(partial, image, method, final, recorder or Recorder(scale=1.0), result)
                _put(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def check(self, image: str) -> None:
        """Read all that is kept of an image.

        Raises:
            HeatliftError: no such image, or it is damaged.
        """
        self.final(image)
        steps = self.steps(image)
        for step in (*steps[CHUNK_STEPS - 1 :: CHUNK_STEPS], *steps[-1:]):
            self.frame(image, step)

    def images(self) -> list[str]:
        """The names of the images that are there, sorted; none where the run kept none.

        Raises:
            HeatliftError: the store is damaged.
        """
        return sorted(description(f)["image"] for f in self.store.glob("[!.]*") if f.is_dir())

    def among(self, images: Iterable[str]) -> list[bool]:
        """Of each name, whether there is a heatmap of it; at one look into the folder."""
        there = {folder.name for folder in self.store.glob("[!.]*")}
        return [self.folder(image).name in there for image in images]

    def folder(self, image: str) -> Path:
        """Where an image's heatmaps are, or would be."""
        # Names may have slashes, more than 255 bytes, or the half characters of undecodable file names.
        return self.store / hashlib.sha256(image.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def final(self, image: str) -> NDArray[np.float32]:
        """An image's heatmap, (c, h, w), in its own unit.

        Raises:
            HeatliftError: no such image, or it is damaged.
        """
        kept = self._kept(image)
        stored = _read(self.folder(image) / "final", slice(None), "float16", 3)
        return np.asarray(np.ldexp(stored.astype(np.float32), kept["exponent"]), np.float32)

    def steps(self, image: str) -> list[int]:
        """The steps of which a heatmap is kept, ascending; none where only the final one is.

        Raises:
            HeatliftError: no such image, or it is damaged.
        """
        return list(self._kept(image)["steps"])

    def result(self, image: str) -> int | None:
        """The step that an image's heatmap is of; None where it is no step's, or nobody noted it.

        Raises:
            HeatliftError: no such image, or it is damaged.
        """
        step: int | None = self._kept(image).get("result")
        return step

    def frame(self, image: str, step: int) -> NDArray[np.float32]:
        """The heatmap (c, h, w) at a step, within half a level (scale / 160) unless clipped.

        Raises:
            HeatliftError: no such image or step, or it is damaged.
        """
        kept = self._kept(image)
        steps: list[int] = kept["steps"]
        if step not in steps:
            raise HeatliftError(f"{self.store} has no step {step} of '{image}': see steps() for those it has")
        index = steps.index(step)
        chunk = slice(index - index % kept["chunk_steps"], index + 1)
        differences = _read(self.folder(image) / "evolution", chunk, "int8", 4)
        if len(differences) != chunk.stop - chunk.start:  # the sum of what is not there would be zeros
            raise HeatliftError(f"{self.folder(image)} is damaged: step {step} is missing in it: {MEND}")
        levels = differences.sum(axis=0, dtype=np.int8)
        return np.asarray(levels * np.float32(kept["scale"] / kept["levels"]), np.float32)

    def _kept(self, image: str) -> dict[str, Any]:
        folder = self.folder(image)
        if not folder.is_dir():
            raise HeatliftError(f"{self.store} has no heatmap of '{image}': see images() for those it has")
        return description(folder, image)


def _begin(store: Path) -> None:
    """Write the group's own file: the same from every process, so it does not matter whose stays."""
    if not (store / "zarr.json").exists():
        with whole(store / "zarr.json") as file:
            file.write('{"zarr_format": 3, "node_type": "group", "attributes": {}}')


def _write(
    folder: Path, image: str, method: str, final: NDArray[Any], recorder: Recorder, result: int | None
) -> None:
    # Divided by a power of 2, which costs no bits: float16 would turn 1e-8 into 0, and 1e5 into infinity.
    exponent = math.frexp(float(np.abs(final).max()))[1]
    kept = described(image, method, exponent, recorder.steps, recorder.scale, result)
    arrays: dict[str, NDArray[Any]] = {"final": np.ldexp(final, -exponent).astype(np.float16)}
    if recorder.steps:
        arrays["evolution"] = recorder.differences()
    group = zarr.create_group(folder, attributes=kept)
    for name, values in arrays.items():
        chunk = min(CHUNK_STEPS, len(values))
        shape, shard = values.shape[1:], math.ceil(len(values) / chunk) * chunk  # all its chunks in one file
        group.create_array(name, data=values, chunks=(chunk, *shape), shards=(shard, *shape), **LAYOUT)


def _put(partial: Path, folder: Path) -> None:
    """Give a complete folder its name, in place of one that has it, once its files are on the disk."""
    for path in filter(Path.is_file, partial.rglob("*")):
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    old = beside(folder)
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process has put the same image there just now
            raise
    shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path, part: slice, kind: str, axes: int) -> NDArray[Any]:
    """A part of an array, as `LAYOUT` has it and nothing else has.

    Args:
        folder: the array's.
        part: of its first axis, at most `CHUNK_STEPS` long where it has ends.
        kind: the type of its values.
        axes: how many it has.

    Raises:
        HeatliftError: it is damaged, or made by somebody else.
    """
    try:
        array_said = read_json(folder / "zarr.json")
        shape = array_said["shape"]
        foreign = set(_codecs(array_said["codecs"])) - CODECS
        if array_said["data_type"] != kind or len(shape) != axes or foreign:
            raise ValueError("it is not as runs write it")
        # By what is described, since opening it may already run a codec.
        array = zarr.open_array(folder, mode="r", zarr_format=3)
        if not any(file.stat().st_size for file in folder.glob("c.*")):  # Zarr would read zeros
            raise FileNotFoundError("its values are gone")
        step, chunk = math.prod(array.shape[1:]), math.prod(array.chunks[1:])
        long = array.chunks[0] > CHUNK_STEPS or (part.stop is None and array.shape[0] > CHUNK_STEPS)
        if max(step, chunk) > LARGEST or long or (axes == 3 and math.prod(array.shape) > LARGEST):
            raise ValueError("it is larger than any image")
        return np.asarray(array[part])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise HeatliftError(f"{folder} is damaged ({first_line(error)}): {MEND}") from error


def _codecs(said: Any) -> Iterator[str]:
    """The names of all codecs, also of those inside others."""
    for each in said:
        yield each["name"]
        inner = each.get("configuration", {})
        yield from _codecs([*inner.get("codecs", ()), *inner.get("index_codecs", ())])
