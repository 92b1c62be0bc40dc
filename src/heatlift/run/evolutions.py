"""The heatmaps that a run keeps, and how each came about step by step: ``RUN/maps.zarr``.

One Zarr v3 group with a subgroup per image, in which ``final`` is the heatmap itself (float16) and
``evolution`` its way there, for the eye: whole levels, 127 of them to the scale, as differences between
one step and the next that wrap around at 256. Each chunk begins with a step's own levels, so that a step
is the wrapped sum of its chunk up to it, and rounding never adds up.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
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

LEVELS = 127
"""Each side of zero."""

CHUNK_STEPS = 32
"""Twice as many make files up to 8% smaller, and a step takes twice as long to read."""

LAYOUT: Mapping[str, Any] = {
    # Differences fill few of a byte's bits, so bits of one weight side by side compress best. The checksum
    # is there since a flipped bit may well decompress into another heatmap.
    "compressors": (BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec()),
    # An absent chunk reads as zeros; when even zeros are written, an absent one is a damage.
    "config": {"write_empty_chunks": True},
    "fill_value": 0,
}

MEND = "delete it and start the same run again, which makes what is missing"

ONE_FILE = {"name": "default", "separator": "."}
"""No folder per dimension for what is a single file."""

DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError)
"""What Zarr and its codecs raise at files that are cut short, overwritten or gone."""


class Recorder:
    """One image's heatmaps while an optimiser runs, kept small: compressed levels, never floats.

    Holds the compressed evolution and at most `CHUNK_STEPS` heatmaps of one byte per value.

    Args:
        scale: the value of level 127, in the heatmap's own unit; what lies beyond is clipped to it.

    Raises:
        HeatliftError: a scale that is no positive finite float32.
    """

    def __init__(self, scale: float) -> None:
        limits = np.finfo(np.float32)
        if not float(limits.tiny) <= scale <= float(limits.max):
            raise HeatliftError(f"scale {scale}: give the evolution's largest value, above 0 and finite")
        self.scale = float(scale)
        self.steps: list[int] = []
        self._pending: list[NDArray[np.int8]] = []
        self._previous: NDArray[np.int8] | None = None
        self._full: zarr.Array[Any] | None = None

    def add(self, frame: NDArray[np.float32], step: int | None = None) -> None:
        """Keep the heatmap (3, h, w) of a step; by default of the one after the last kept, from 0.

        Raises:
            HeatliftError: a heatmap that is not finite or not of the first one's shape, or a step that
                does not come after the last.
        """
        after = self.steps[-1] + 1 if self.steps else 0
        step = after if step is None else int(step)
        if step < after:
            raise HeatliftError(f"step {step} after step {after - 1}: record steps in their order")
        _check(f"the heatmap of step {step}", frame)
        if self._previous is not None and frame.shape != self._previous.shape:
            raise HeatliftError(f"step {step} has shape {frame.shape}, those before {self._previous.shape}")
        # Clipped first, so that a tiny scale overflows nothing.
        levels = np.rint(np.clip(frame, -self.scale, self.scale) / self.scale * LEVELS).astype(np.int8)
        first = self._previous is None or not self._pending
        self._pending.append(levels if first else levels - self._previous)
        self._previous = levels
        self.steps.append(step)
        if len(self._pending) == CHUNK_STEPS:
            self._compress()

    def differences(self) -> NDArray[np.int8]:
        """As they are stored, (steps, 3, h, w): every `CHUNK_STEPS`-th holds levels, the others differences."""
        full = [] if self._full is None else [np.asarray(self._full[:], dtype=np.int8)]
        return np.concatenate(full + [np.stack(self._pending)] * bool(self._pending))

    def _compress(self) -> None:
        block = np.stack(self._pending)
        if self._full is None:
            shape = (0, *block.shape[1:])
            self._full = zarr.create_array(
                MemoryStore(), shape=shape, dtype="int8", chunks=block.shape, **LAYOUT
            )
        self._full.append(block)
        self._pending = []


class Evolutions:
    """The heatmaps kept in a run's folder. Many processes may write at once: each image has its own files.

    Args:
        run: the run's folder; ``maps.zarr`` in it comes with the first image written.
    """

    def __init__(self, run: Path) -> None:
        self.store = run / "maps.zarr"

    def write(self, image: str, final: NDArray[np.float32], recorder: Recorder | None, method: str) -> None:
        """Keep an image's heatmap, and its evolution if one was recorded, in place of what is there of it.

        A reader sees all of it or nothing, also when the writer is killed: its folder, of 3 files or 5,
        gets the name under which it is looked for only once it is complete and on the disk.

        Args:
            image: the image's name, unique in the run.
            final: (3, h, w), finite; kept to 11 bits of its largest value's binary order.
            recorder: the evolution; None or an empty one for none.
            method: what made the heatmap.

        Raises:
            HeatliftError: a heatmap that is not finite or not (3, h, w).
        """
        _check(f"the heatmap of '{image}'", final)
        self._begin()
        folder = self._folder(image)
        partial = folder.with_name(f".{folder.name}.{uuid4().hex}")
        try:
            _write(partial, image, final, recorder if recorder and recorder.steps else None, method)
            _sync(partial)
            _put(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def images(self) -> list[str]:
        """The names of the images that are there, sorted; none where the run kept none.

        Raises:
            HeatliftError: the store is damaged.
        """
        # Names that begin with a dot belong to writers at work, or killed.
        folders = [f for f in self.store.glob("[!.]*") if f.is_dir()]
        return sorted(str(_attributes(folder)["image"]) for folder in folders)

    def final(self, image: str) -> NDArray[np.float32]:
        """An image's heatmap, (3, h, w), in its own unit.

        Raises:
            HeatliftError: no such image, or it is damaged.
        """
        kept = self._kept(image)
        stored = self._read(image, "final", slice(None))
        return np.ldexp(stored.astype(np.float32), kept["exponent"])

    def steps(self, image: str) -> list[int]:
        """The steps of which a heatmap is kept, ascending; none where only the final one is.

        Raises:
            HeatliftError: no such image, or it is damaged.
        """
        return list(self._kept(image)["steps"])

    def frame(self, image: str, step: int) -> NDArray[np.float32]:
        """The heatmap (3, h, w) at a step, within half a level (scale / 254) unless clipped.

        Raises:
            HeatliftError: no such image or step, or it is damaged.
        """
        kept = self._kept(image)
        steps = kept["steps"]
        if step not in steps:
            known = (
                f"{len(steps)} steps from {steps[0]} to {steps[-1]}" if steps else "its final heatmap only"
            )
            raise HeatliftError(f"step {step} of '{image}' is not kept: {self.store} has {known}")
        index = steps.index(step)
        chunk = slice(index - index % kept["chunk_steps"], index + 1)
        levels = self._read(image, "evolution", chunk).sum(axis=0, dtype=np.int8)
        return levels.astype(np.float32) * np.float32(kept["scale"] / LEVELS)

    def _folder(self, image: str) -> Path:
        # Any name at all, also one with half a surrogate pair, as undecodable file names have.
        return self.store / hashlib.sha256(image.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _begin(self) -> None:
        """The group's own file: the same from every process, so it does not matter whose stays."""
        path = self.store / "zarr.json"
        if not path.exists():
            self.store.mkdir(parents=True, exist_ok=True)
            partial = self.store / f".zarr.json.{uuid4().hex}"
            partial.write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
            partial.replace(path)

    def _kept(self, image: str) -> dict[str, Any]:
        folder = self._folder(image)
        if not folder.is_dir():
            raise HeatliftError(f"{self.store} has no heatmap of '{image}': see images() for those it has")
        kept = _attributes(folder)
        if kept["image"] != image:
            raise HeatliftError(f"{folder} is damaged: it holds '{kept['image']}', not '{image}'")
        return kept

    def _read(self, image: str, name: str, part: slice) -> NDArray[Any]:
        folder = self._folder(image) / name
        try:
            array = zarr.open_array(folder, mode="r")
            if array.nchunks_initialized != array.nchunks:
                raise FileNotFoundError("its values are gone")
            return np.asarray(array[part])
        except DAMAGES as error:
            raise HeatliftError(f"{folder} is damaged ({first_line(error)}): {MEND}") from error


def _check(what: str, heatmap: NDArray[np.float32]) -> None:
    if heatmap.ndim != 3 or heatmap.shape[0] != 3 or not heatmap.size:
        raise HeatliftError(f"{what} has shape {heatmap.shape}: expected (3, h, w)")
    if not np.isfinite(heatmap).all():
        raise HeatliftError(f"{what} is not finite: keep only heatmaps that are")


def _write(
    folder: Path, image: str, final: NDArray[np.float32], recorder: Recorder | None, method: str
) -> None:
    # A power of 2 keeps every bit of float16's mantissa, and values of any size within its narrow range.
    exponent = math.frexp(float(np.abs(final).max()))[1]
    kept = {
        "format": FORMAT,
        "image": image,
        "method": method,
        "exponent": exponent,  # the heatmap is final * 2**exponent
        "scale": recorder.scale if recorder else None,
        "levels": LEVELS,
        "chunk_steps": CHUNK_STEPS,
        "steps": recorder.steps if recorder else [],
    }
    group = zarr.create_group(folder, attributes=kept)
    _store(group, "final", np.ldexp(final, -exponent).astype(np.float16), final.shape)
    if recorder:
        differences = recorder.differences()
        _store(group, "evolution", differences, (CHUNK_STEPS, *final.shape))


def _store(group: zarr.Group, name: str, values: NDArray[Any], chunk: tuple[int, ...]) -> None:
    """Write an array as one file: a shard of all its chunks."""
    chunks = (min(chunk[0], len(values)), *chunk[1:])
    shards = (math.ceil(len(values) / chunks[0]) * chunks[0], *chunk[1:])
    group.create_array(name, data=values, chunks=chunks, shards=shards, chunk_key_encoding=ONE_FILE, **LAYOUT)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())


def _put(partial: Path, folder: Path) -> None:
    """Give a complete folder its name, in place of one that has it."""
    while True:
        try:
            partial.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            old = folder.with_name(f".{folder.name}.{uuid4().hex}")
            with suppress(FileNotFoundError):  # another writer of this image was faster
                folder.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        else:
            return


def _attributes(folder: Path) -> dict[str, Any]:
    """What is written of an image beside its arrays, or one line that says why that can't be read."""
    try:
        kept = read_json(folder / "zarr.json").get("attributes")
    except HeatliftError as error:
        raise HeatliftError(f"{error}; {MEND}") from error
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise HeatliftError(f"{folder} is damaged or of another version of heatlift: {MEND}")
    return kept
