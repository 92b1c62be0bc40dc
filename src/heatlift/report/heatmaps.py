"""The examples of a run as small pictures that live inside the page."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.panel.colours import levels, palette, saturation
from heatlift.report.pictures import fit, uri
from heatlift.report.selection import evenly
from heatlift.wording import class_name, clean, number

MOST = 12
"""Examples in a report; a run may keep more."""

MOST_PICTURES = 168
"""Pictures of all examples together: where each has very many heatmaps, fewer images are shown."""

SIDE = 136
"""The longer side of a picture in the page, in pixels."""


@dataclass(frozen=True)
class Map:
    """One heatmap's picture and the largest absolute value in it."""

    method: str
    source: str
    largest: str


@dataclass(frozen=True)
class Example:
    """One image of the run with the heatmaps of every method."""

    name: str
    why: str
    label: str
    predicted: str
    confidence: str
    correct: bool | None
    source: str
    maps: tuple[Map, ...]


def read_examples(run: Path, classes: Sequence[str] | None) -> tuple[Example, ...]:
    """Up to twelve of RUN/examples, wrong predictions first; none where the folder is missing.

    Raises:
        HeatliftError: an example cannot be read.
    """
    paths = sorted((run / "examples").glob("[!.]*.npz"))[:MOST]
    if not paths:
        return ()
    first = _example(paths[0], classes)
    fitting = max(2, min(MOST, MOST_PICTURES // (1 + len(first.maps))))
    others = [_example(path, classes) for path in evenly(paths, fitting)[1:]]
    return tuple(sorted((first, *others), key=lambda example: example.correct is True))


def diverging(heatmap: npt.NDArray[np.float64], limit: float | None = None) -> Image.Image:
    """(h, w) signed values -> blue below zero, white at zero, red above, the same limit on both sides."""
    picture = Image.fromarray(levels(heatmap, "signed", limit or saturation(heatmap, "signed")))
    picture.putpalette(palette("signed").ravel().tolist())
    return picture


def _example(path: Path, classes: Sequence[str] | None) -> Example:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            image, heatmaps = file["image"], file["heatmaps"].astype(np.float64)
            scales, methods = file["scales"], [str(name) for name in file["methods"]]
            name, why = str(file["name"]), str(file["why"])
            label, predicted, confidence = (
                int(file["label"]),
                int(file["predicted"]),
                float(file["confidence"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise HeatliftError(f"{path} is not a readable example ({error}): remove it and ask again") from error
    maps = zip(methods, heatmaps, scales.tolist(), strict=True)
    return Example(
        name=clean(name),
        why=clean(why),
        label=class_name(label, classes),
        predicted=class_name(predicted, classes),
        confidence=number(confidence),
        correct=None if label < 0 else label == predicted,
        source=_photograph(image),
        maps=tuple(_map(method, heatmap.sum(axis=0), scale) for method, heatmap, scale in maps),
    )


def _map(method: str, heatmap: npt.NDArray[np.float64], scale: float) -> Map:
    height, width = heatmap.shape
    size = fit(width, height, SIDE)
    small = Image.fromarray(heatmap.astype(np.float32)).resize(size, Image.Resampling.BOX)
    picture = diverging(np.asarray(small, dtype=np.float64))
    return Map(
        clean(method),
        uri(picture, "PNG", optimize=True),
        f"{float(np.abs(heatmap).max()) * scale:.3g}".replace("-", "−"),
    )


def _photograph(image: npt.NDArray[np.uint8]) -> str:
    picture = Image.fromarray(image)
    return uri(picture.resize(fit(*picture.size, SIDE), Image.Resampling.LANCZOS), "JPEG", quality=82)
