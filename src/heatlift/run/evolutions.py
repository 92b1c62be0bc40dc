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
from uuid import uuid4

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from heatlift.errors import HeatliftError, first_line
from heatlift.json_object import read_json

FORMAT = 1
"""Raised whenever what is kept of an image changes its meaning."""

KEPT = {"format", "image", "method", "exponent", "steps", "scale", "levels", "chunk_steps"}
"""The attributes of an image's group; its heatmap is ``final * 2**exponent``."""

RESULT = "result"
"""A further attribute, which earlier versions did not write: the step that the heatmap is of, or null."""

LEVELS = 80
"""On each side of zero: what a colour map shows. With all 127 that a byte has, files are a fifth larger."""

CHUNK_STEPS = 32
"""Twice as many make files up to 8% smaller, and a step takes twice as long to read."""

LAYOUT: dict[str, Any] = {
    # Differences fill few of a byte's bits, so bits of one weight compress best side by side. The checksum
    # is there since a flipped bit may well decompress into another heatmap.
    "compressors": (BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec()),
    "config": {"write_empty_chunks": True},  # else what is all zeros would look like what is gone
    "fill_value": 0,
    "chunk_key_encoding": {"name": "default", "separator": "."},  # no folder per dimension for one file
}

LARGEST = 3 * 4096**2
"""Values of a step; a damaged description must not fill the memory."""

CODECS = {"sharding_indexed", "bytes", "blosc", "crc32c"}
"""All that is ever decoded: others, of somebody else's making, may run what they find."""

MEND = "delete it and start the same run again, which makes what is missing"


class Recorder:
    """One image's heatmaps while an optimiser runs: at most 32 as bytes, those before compressed.

    Args:
        scale: the value of the last level, in the heatmap's unit; what lies beyond is clipped to it.

    Raises:
        HeatliftError: a scale that is no positive finite float32.
    """

    def __init__(self, scale: float) -> None:
        if not float(np.finfo(np.float32).tiny) <= scale <= float(np.finfo(np.float32).max):
            raise HeatliftError(f"scale {scale}: give the evolution's largest value, above 0 and finite")
        self.scale = float(scale)
        self.steps: list[int] = []
        self.shape: tuple[int, ...] | None = None
        self._blocks: list[zarr.Array[Any]] = []
        self._pending: list[NDArray[np.int8]] = []
        self._last = np.zeros((), np.int8)

    def add(self, frame: NDArray[np.float32], step: int | None = None) -> None:
        """Keep the heatmap (c, h, w) of a step; by default of the one after the last kept, from 0.

        Raises:
            HeatliftError: a heatmap that is not finite or not of the first one's shape, or a step that
                does not come after the last.
        """
        last = self.steps[-1] if self.steps else -1
        step = last + 1 if step is None else int(step)
        if step <= last:
            raise HeatliftError(f"step {step} comes after step {last}: record steps in their order")
        _check(f"the heatmap of step {step}", frame, self.shape)
        # Clipped before it is divided, which could overflow.
        levels = np.rint(np.clip(frame, -self.scale, self.scale) / self.scale * LEVELS).astype(np.int8)
        self._pending.append(levels - self._last if self._pending else levels)
        self._last, self.shape = levels, levels.shape
        self.steps.append(step)
        if len(self._pending) == CHUNK_STEPS:
            block = np.stack(self._pending)
            self._blocks.append(zarr.create_array(MemoryStore(), data=block, chunks=block.shape, **LAYOUT))
            self._pending = []

    def differences(self) -> NDArray[np.int8]:
        """What is stored, (steps, 3, h, w): levels at the first of every 32 steps, else differences."""
        blocks = [np.asarray(block[:], np.int8) for block in self._blocks]
        return np.concatenate([*blocks, np.stack(self._pending)] if self._pending else blocks)


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
        """
        _check(f"the heatmap of '{image}'", final, recorder.shape if recorder else None)
        _begin(self.store)
        folder = self.folder(image)
        partial = _hidden(folder)
        try:
            _write(partial, image, method, final, recorder or Recorder(scale=1.0), result)
            _put(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def images(self) -> list[str]:
        """The names of the images that are there, sorted; none where the run kept none.

        Raises:
            HeatliftError: the store is damaged.
        """
        return sorted(_attributes(f)["image"] for f in self.store.glob("[!.]*") if f.is_dir())

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
        step: int | None = self._kept(image).get(RESULT)
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
        return _attributes(folder)


def _check(what: str, heatmap: NDArray[Any], shape: tuple[int, ...] | None) -> None:
    fits = heatmap.ndim == 3 and heatmap.shape[0] in (1, 3) and heatmap.size
    if not fits or heatmap.shape != (shape or heatmap.shape):
        raise HeatliftError(f"{what} has shape {heatmap.shape}: expected {shape or '(3, h, w) or (1, h, w)'}")
    if not np.isfinite(heatmap).all():
        raise HeatliftError(f"{what} is not finite: keep only those that are")


def _hidden(path: Path) -> Path:
    """A name beside it of the caller's own, which scans of the folder pass over."""
    return path.with_name(f".{path.name}.{uuid4().hex}")


def _begin(store: Path) -> None:
    """Write the group's own file: the same from every process, so it does not matter whose stays."""
    if not (store / "zarr.json").exists():
        store.mkdir(parents=True, exist_ok=True)
        partial = _hidden(store / "zarr.json")
        partial.write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
        partial.replace(store / "zarr.json")


def _write(
    folder: Path, image: str, method: str, final: NDArray[Any], recorder: Recorder, result: int | None
) -> None:
    # Divided by a power of 2, which costs no bits: float16 would turn 1e-8 into 0, and 1e5 into infinity.
    exponent = math.frexp(float(np.abs(final).max()))[1]
    kept: dict[str, Any] = {"format": FORMAT, "image": image, "method": method, "exponent": exponent}
    kept |= {"levels": LEVELS, "chunk_steps": CHUNK_STEPS, "steps": recorder.steps, "scale": recorder.scale}
    kept |= {RESULT: result}
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
    old = _hidden(folder)
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process has put the same image there just now
            raise
    shutil.rmtree(old, ignore_errors=True)


def _attributes(folder: Path) -> dict[str, Any]:
    kept = read_json(folder / "zarr.json").get("attributes")
    if (
        not isinstance(kept, dict)
        or kept.keys() - {RESULT} != KEPT
        or (kept["format"], kept["chunk_steps"]) != (FORMAT, CHUNK_STEPS)
    ):
        raise HeatliftError(f"{folder} is damaged, or of another version of heatlift: {MEND}")
    return kept


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
        described = read_json(folder / "zarr.json")
        shape = described["shape"]
        foreign = set(_codecs(described["codecs"])) - CODECS
        if described["data_type"] != kind or len(shape) != axes or foreign:
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


def _codecs(described: Any) -> Iterator[str]:
    """The names of all codecs, also of those inside others."""
    for each in described:
        yield each["name"]
        inner = each.get("configuration", {})
        yield from _codecs([*inner.get("codecs", ()), *inner.get("index_codecs", ())])
