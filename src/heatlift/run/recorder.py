"""What an optimiser's heatmaps are kept in while it runs, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from heatlift.errors import HeatliftError

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
        check(f"the heatmap of step {step}", frame, self.shape)
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


def check(what: str, heatmap: NDArray[Any], shape: tuple[int, ...] | None) -> None:
    """Look whether a heatmap can be kept.

    Args:
        what: it is, for messages.
        heatmap: the heatmap.
        shape: that it must have; None where any will do.

    Raises:
        HeatliftError: it is not (c, h, w), not of that shape, or not finite.
    """
    fits = heatmap.ndim == 3 and heatmap.shape[0] in (1, 3) and heatmap.size
    if not fits or heatmap.shape != (shape or heatmap.shape):
        raise HeatliftError(f"{what} has shape {heatmap.shape}: expected {shape or '(3, h, w) or (1, h, w)'}")
    if not np.isfinite(heatmap).all():
        raise HeatliftError(f"{what} is not finite: keep only those that are")
