"""What a run keeps of one image: heatmaps step by step, the pixels, and what takes their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heatlift.errors import HeatliftError, first_line
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path, reference_path
from heatlift.viewer.confined import confined
from heatlift.viewer.keeping import FACTORS, examples, unpacked

LARGEST_SIDE = 4096
"""Pixels; no network that a run is about sees more."""

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Kept:
    """One heatmap of an image.

    Attributes:
        title: its name.
        steps: of each frame; None for one without steps.
        own: place of the frame that is the result.
    """

    title: str
    steps: Sequence[int | None]
    own: int


class Lifted:
    """What a lift run keeps."""

    def __init__(self, run: Path) -> None:
        self.run, self._evolutions = run, Evolutions(run)

    def layers(self, image: str) -> list[Kept | HeatliftError]:
        """One heatmap, where it was kept."""
        return _layers(self._evolutions, self.run, {image: "heatmap"})

    def frame(self, image: str, layer: int, frame: int) -> Floats:
        """A heatmap (c, h, w).

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        return _frame(self._evolutions, self.run, image, frame)

    def original(self, image: str) -> Pixels:
        """The image (h, w, 3) as the network sees it.

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        return _picture(self.run, original_path(self.run, image))


class Masked:
    """What an undesirable-pixels run keeps."""

    def __init__(self, run: Path) -> None:
        self.run, self._evolutions = run, Evolutions(run)

    def layers(self, image: str) -> list[Kept | HeatliftError]:
        """A mask for each factor of which one was kept; ``1 - M'``, what is taken away."""
        return _layers(self._evolutions, self.run, {f"{factor}/{image}": factor for factor in FACTORS})

    def frame(self, image: str, layer: int, frame: int) -> Floats:
        """What a mask takes away, (1, h, w).

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        names = [f"{factor}/{image}" for factor in FACTORS]
        there = [
            name for name, is_there in zip(names, self._evolutions.among(names), strict=True) if is_there
        ]
        if layer >= len(there):
            raise HeatliftError("no such heatmap of this image")
        return _frame(self._evolutions, self.run, there[layer], frame)

    def original(self, image: str) -> Pixels:
        """As of `Lifted`."""
        return _picture(self.run, original_path(self.run, image))

    def reference(self, image: str) -> Pixels:
        """What takes a pixel's place where the mask takes it away, (h, w, 3).

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        return _picture(self.run, reference_path(self.run, image))


class Explained:
    """What an audit keeps: a dozen telling images with the heatmaps of every method."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def layers(self, image: str) -> list[Kept | HeatliftError]:
        """A heatmap of each method and control."""
        file = examples(self.run)[0].get(image)
        if file is None:
            return []
        try:
            _, _, methods = _example(file, file.stat().st_mtime_ns)
        except (HeatliftError, OSError) as error:
            return [HeatliftError(first_line(error))]
        return [Kept(method, [None], 0) for method in methods]

    def frame(self, image: str, layer: int, frame: int) -> Floats:
        """A heatmap (3, h, w) in its own unit.

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        _, heatmaps, _ = self._read(image)
        if layer >= len(heatmaps) or frame:
            raise HeatliftError("no such heatmap of this image")
        return np.asarray(heatmaps[layer], np.float32)

    def original(self, image: str) -> Pixels:
        """As of `Lifted`."""
        return self._read(image)[0]

    def _read(self, image: str) -> tuple[Pixels, Floats, list[str]]:
        file = examples(self.run)[0].get(image)
        if file is None:
            raise HeatliftError("this run keeps no heatmaps of this image")
        return _example(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _example(file: Path, stamp: int) -> tuple[Pixels, Floats, list[str]]:
    """Image (h, w, 3), heatmaps (k, 3, h, w) and their methods; ``stamp`` changes when the file does."""
    image, heatmaps, scales, methods = unpacked(file, "image", "heatmaps", "scales", "methods")
    fits = (
        image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and heatmaps.ndim == 4
        and heatmaps.shape[1] in (1, 3)
        and heatmaps.shape[2:] == image.shape[:2]
        and len(heatmaps) == len(scales) == len(methods)
    )
    if not fits:
        raise HeatliftError(f"examples/{file.name} is damaged: its heatmaps do not fit its image")
    with np.errstate(over="ignore", invalid="ignore"):  # said where it is shown
        values = heatmaps.astype(np.float32) * scales.astype(np.float32)[:, None, None, None]
    return image.astype(np.uint8), values, [str(method) for method in methods]


def _layers(evolutions: Evolutions, run: Path, names: dict[str, str]) -> list[Kept | HeatliftError]:
    found: list[Kept | HeatliftError] = []
    for (name, title), there in zip(names.items(), evolutions.among(names), strict=True):
        if not there:
            continue
        try:
            confined(run, evolutions.folder(name))
            steps = evolutions.steps(name)
        except HeatliftError as error:
            found.append(error)
        else:
            found.append(Kept(title, steps or [None], max(0, len(steps) - 1)))
    return found


def _frame(evolutions: Evolutions, run: Path, name: str, frame: int) -> Floats:
    confined(run, evolutions.folder(name))
    steps = evolutions.steps(name)
    if not 0 <= frame < max(1, len(steps)):
        raise HeatliftError(f"no such step of this image: it has {max(1, len(steps))}")
    return evolutions.frame(name, steps[frame]) if steps else evolutions.final(name)


def _picture(run: Path, path: Path) -> Pixels:
    """A picture of the run, decoded: what is torn, or no picture, is never passed on."""
    try:
        with Image.open(confined(run, path), formats=("PNG",)) as file:
            if max(file.size) > LARGEST_SIDE:
                raise ValueError(f"{file.size[0]} x {file.size[1]} pixels")
            return np.asarray(file.convert("RGB"))
    except FileNotFoundError as error:
        raise HeatliftError("the run does not keep this picture") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise HeatliftError(
            f"{path.relative_to(run)} is damaged ({first_line(error)}): "
            "delete it and start the same run again"
        ) from error
