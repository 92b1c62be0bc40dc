"""What a run keeps of one image: heatmaps step by step, the pixels, and what takes their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from heatlift.errors import HeatliftError, first_line
from heatlift.run.originals import original_path, reference_path
from heatlift.viewer.confined import confined_folder, stamp, without_folder
from heatlift.viewer.examples import examples, unpacked
from heatlift.viewer.kept_pictures import LARGEST_SIDE, Pixels, read_picture
from heatlift.wording import FACTORS

if TYPE_CHECKING:
    from heatlift.run.evolutions import Evolutions  # loads zarr, which audits do without

NO_LAYER = "no such heatmap of this image"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """One heatmap of an image.

    Attributes:
        title: its name.
        steps: of each frame; None for one without steps.
        own: place of the frame that is the result.
        problem: why it can't be shown.
    """

    title: str
    steps: Sequence[int | None] = (None,)
    own: int = 0
    problem: str | None = None


class Lifted:
    """What a lift run keeps."""

    def __init__(self, run: Path) -> None:
        self.run, self._evolutions = run, _evolutions(run)

    def layers(self, image: str) -> list[Kept]:
        """One heatmap, where it was kept."""
        return _layers(self._evolutions, self.run, {image: "heatmap"})

    def frame(self, image: str, layer: int, frame: int) -> Floats:
        """A heatmap (c, h, w).

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        if layer:
            raise HeatliftError(NO_LAYER)
        return _frame(self._evolutions, self.run, image, frame)

    def original(self, image: str) -> Pixels:
        """The image (h, w, 3) as the network sees it.

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        return read_picture(self.run, original_path(self.run, image))


class Masked:
    """What an undesirable-pixels run keeps."""

    def __init__(self, run: Path) -> None:
        self.run, self._evolutions = run, _evolutions(run)

    def layers(self, image: str) -> list[Kept]:
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
            raise HeatliftError(NO_LAYER)
        return _frame(self._evolutions, self.run, there[layer], frame)

    def original(self, image: str) -> Pixels:
        """As of `Lifted`."""
        return read_picture(self.run, original_path(self.run, image))

    def reference(self, image: str) -> Pixels:
        """What takes a pixel's place where the mask takes it away, (h, w, 3).

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        return read_picture(self.run, reference_path(self.run, image))


class Explained:
    """What an audit keeps: a dozen telling images with the heatmaps of every method."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def layers(self, image: str) -> list[Kept]:
        """A heatmap of each method and control."""
        if image not in examples(self.run)[0]:
            return []
        try:
            return [Kept(method) for method in self._read(image).methods]
        except HeatliftError as error:
            return [Kept("heatmaps", problem=str(error))]

    def frame(self, image: str, layer: int, frame: int) -> Floats:
        """A heatmap (3, h, w) in its own unit.

        Raises:
            HeatliftError: there is none, or it is damaged.
        """
        found = self._read(image)
        if layer >= len(found.methods) or frame:
            raise HeatliftError(NO_LAYER)
        with np.errstate(over="ignore", invalid="ignore"):
            return _shown(
                found.heatmaps[layer] * found.scales[layer], f"the heatmap of {found.methods[layer]}"
            )

    def original(self, image: str) -> Pixels:
        """As of `Lifted`."""
        return self._read(image).image

    def _read(self, image: str) -> _Example:
        file = examples(self.run)[0].get(image)
        if file is None:
            raise HeatliftError("this run keeps no heatmaps of this image")
        return _example(file, stamp(file))


@dataclass(frozen=True)
class _Example:
    """Image (h, w, 3), stored heatmaps (k, 3, h, w), and what each of them is multiplied by."""

    image: Pixels
    heatmaps: NDArray[np.float16]
    scales: Floats
    methods: Sequence[str]


@lru_cache(maxsize=2)
def _example(file: Path, changed: object) -> _Example:
    """What a file has; ``changed`` does when the file does."""
    image, heatmaps, scales, methods = unpacked(file, "image", "heatmaps", "scales", "methods")
    fits = (
        image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
        and image.size > 0
        and heatmaps.dtype.kind == "f"
        and heatmaps.ndim == 4
        and heatmaps.shape[2:] == image.shape[:2]
        and scales.dtype.kind in "fiu"
        and methods.dtype.kind == "U"
        and scales.shape == methods.shape == heatmaps.shape[:1]
    )
    if not fits:
        raise HeatliftError(f"examples/{file.name} is damaged: its heatmaps do not fit its image")
    with np.errstate(over="ignore"):
        values = heatmaps.astype(np.float16), scales.astype(np.float32)
    return _Example(image.astype(np.uint8), *values, methods.tolist())


def _evolutions(run: Path) -> Evolutions:
    from heatlift.run.evolutions import Evolutions

    return Evolutions(run)


def _layers(evolutions: Evolutions, run: Path, names: dict[str, str]) -> list[Kept]:
    found = []
    for (name, title), there in zip(names.items(), evolutions.among(names), strict=True):
        if there:
            try:
                steps, own = _steps(evolutions, run, name)
            except HeatliftError as error:
                found.append(Kept(title, problem=str(error)))
            else:
                found.append(Kept(title, steps, own))
    return found


def _frame(evolutions: Evolutions, run: Path, name: str, frame: int) -> Floats:
    steps, own = _steps(evolutions, run, name)
    if frame >= len(steps):
        raise HeatliftError(f"no such step of this image: it has {len(steps)}")
    where, step = evolutions.folder(name).relative_to(run), steps[frame]
    with _damaged(where, run), np.errstate(all="ignore"):
        # The result exactly, and not as the film has it.
        found = evolutions.final(name) if frame == own or step is None else evolutions.frame(name, step)
    return _shown(found, str(where))


def _steps(evolutions: Evolutions, run: Path, name: str) -> tuple[list[int | None], int]:
    """The steps that there are, and the place of the result among them: last and no step if it is none's."""
    folder = evolutions.folder(name)
    confined_folder(run, folder)
    with _damaged(folder.relative_to(run), run):
        steps = evolutions.steps(name)
        if any(type(step) is not int for step in steps) or steps != sorted(set(steps)):
            raise ValueError("its steps are no ascending numbers")
        result = evolutions.result(name)
    if result in steps:
        return list(steps), steps.index(result)
    return [*steps, None], len(steps)


@contextmanager
def _damaged(where: Path, run: Path) -> Iterator[None]:
    """Whatever is wrong with a group of arrays becomes one line."""
    try:
        yield
    except HeatliftError as error:
        raise HeatliftError(without_folder(str(error), run)) from error
    except Exception as error:  # descriptions of the wrong types fail anywhere
        raise HeatliftError(
            f"{where} is damaged ({first_line(error)}): delete it and start the same run again"
        ) from error


def _shown(heatmap: NDArray[np.generic], where: str) -> Floats:
    """A heatmap that can be shown."""
    if heatmap.ndim != 3 or len(heatmap) not in (1, 3) or not 0 < max(heatmap.shape) <= LARGEST_SIDE:
        raise HeatliftError(f"{where} is damaged: shape {heatmap.shape}, not (3, h, w) or (1, h, w)")
    found = np.asarray(heatmap, np.float32)
    if not found.size or not np.isfinite(found).all():
        raise HeatliftError(f"{where} can't be shown: not all of its values are finite")
    return found
