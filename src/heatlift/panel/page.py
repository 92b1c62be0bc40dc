"""Images with their heatmaps as one HTML page that needs no server: what a notebook shows of a result."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.panel.details import Details, Layer
from heatlift.panel.frames import encoded
from heatlift.wording import clean

SIDE, FRAMES = 160, 24
"""The longer side of a frame in pixels, and the frames of a layer, at most."""

LARGEST = 512
"""The longer side of an original in pixels, at most."""

BUDGET = 1_400_000
"""Bytes of one picture's data as text."""

SMALLER = ((SIDE, FRAMES), (SIDE, 18), (144, 16), (128, 12), (112, 10), (96, 8), (80, 6), (64, 4), (48, 2))
"""Sides and frames; the first with which a picture keeps to its budget."""

WHOLE = "\nbody { margin: 0; background: var(--page); }\n"
"""Where the panel has a page of its own."""

IMPORT = re.compile(r'^import .* from "\./(.*)";$', re.MULTILINE)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One image as a page shows it.

    Attributes:
        details: what is told of it.
        original: (h, w, 3).
        reference: (h, w, 3), what takes a pixel's place.
        frames: of each layer its heatmaps (c, h, w), one for each of the layer's steps.
    """

    details: Details
    original: Pixels | None
    reference: Pixels | None
    frames: Sequence[Sequence[NDArray[Any]]]

    def __post_init__(self) -> None:
        steps = [len(layer.steps) for layer in self.details.layers]
        if [len(frames) for frames in self.frames] != steps:
            raise HeatliftError(
                f"{[len(frames) for frames in self.frames]} frames for layers with {steps} steps: "
                "give one frame for each step"
            )


def panel_page(pictures: Sequence[Picture]) -> str:
    """A whole HTML document that shows images with their heatmaps, and asks for nothing from anywhere.

    Frames are averaged down to 160 pixels and thinned to 24 a layer, more where a picture would otherwise
    take more than 1.4 MB; the frame that a layer's figures are about always stays. Originals are at most 512
    pixels wide and high.

    Raises:
        HeatliftError: no pictures, or a heatmap that is not finite.
    """
    if not pictures:
        raise HeatliftError("nothing to show: give at least one picture")
    data = _inert(f'{{"images": [{", ".join(map(_embedded, pictures))}]}}')
    style, script = _asset("panel.css") + WHOLE, _script()
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = escape(clean(pictures[0].details.title or pictures[0].details.name))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        "<noscript>These heatmaps are drawn by a script: trust the notebook to see them.</noscript>\n"
        f'<script type="application/json" id="heatlift-data">{data}</script>\n'
        f'</main>\n<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def panel_frame(page: str, height: int = 720) -> str:
    """The page inside another one, where its script reaches nothing but itself."""
    return (
        f'<iframe title="heatlift: images and their heatmaps" sandbox="allow-scripts" width="100%" '
        f'height="{int(height)}" style="border: 0" srcdoc="{escape(page)}"></iframe>'
    )


def _embedded(picture: Picture) -> str:
    sources = {"original": _source(picture.original), "reference": _source(picture.reference)}
    for side, most in SMALLER:
        details, frames = _shrunk(picture, side, most)
        found = json.dumps({"details": details.as_json(), **sources, "frames": frames}, allow_nan=False)
        if len(found) <= BUDGET:
            break
    return found


def _shrunk(picture: Picture, side: int, most: int) -> tuple[Details, list[dict[str, Any]]]:
    """The details as they are of smaller and fewer frames, and these."""
    details = picture.details
    places = [_places(layer, most) for layer in details.layers]
    layers = [_thinned(layer, kept) for layer, kept in zip(details.layers, places, strict=True)]
    small = [
        [_small(frames[place], side) for place in kept]
        for frames, kept in zip(picture.frames, places, strict=True)
    ]
    sizes = {(frame.shape[2], frame.shape[1]) for frames in small for frame in frames}
    if len(sizes) > 1:
        raise HeatliftError(f"the heatmaps of '{details.name}' have different sizes: give those of one image")
    size = sizes.pop() if sizes else details.size
    frames = [_frames(found, layer.neutral) for found, layer in zip(small, layers, strict=True)]
    return replace(details, layers=layers, size=size), frames


def _places(layer: Layer, most: int) -> list[int]:
    """Which frames stay: evenly spread, the first, the last, and the one that the figures are about."""
    last = len(layer.steps) - 1
    if last < most:
        return list(range(last + 1))
    spread = [round(place * last / (most - 1)) for place in range(most)]
    if layer.own not in spread:
        inner = spread[1:-1] or spread[:1]
        spread[spread.index(min(inner, key=lambda place: abs(place - layer.own)))] = layer.own
    return spread


def _thinned(layer: Layer, kept: Sequence[int]) -> Layer:
    own = kept.index(layer.own) if layer.own in kept else 0
    return replace(layer, steps=[layer.steps[place] for place in kept], own=own)


def _small(heatmap: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Averaged down, each channel for itself, to what fits; never enlarged."""
    size = _fit(heatmap.shape[2], heatmap.shape[1], side)
    channels = [Image.fromarray(channel.astype(np.float32)) for channel in heatmap]
    return np.stack([np.asarray(one.resize(size, Image.Resampling.BOX)) for one in channels])


def _fit(width: int, height: int, side: int) -> tuple[int, int]:
    ratio = min(1.0, side / max(width, height))
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def _frames(heatmaps: Sequence[NDArray[np.float32]], neutral: float) -> dict[str, Any]:
    frames = [encoded(heatmap, neutral) for heatmap in heatmaps]
    levels = b"".join(frame.levels.tobytes() for frame in frames)
    return {
        "data": base64.b64encode(zlib.compress(levels)).decode("ascii"),
        "units": [frame.unit for frame in frames],
        "largest": [frame.largest for frame in frames],
    }


def _source(pixels: Pixels | None) -> str | None:
    if pixels is None:
        return None
    image, file = Image.fromarray(pixels), io.BytesIO()
    size = _fit(*image.size, LARGEST)
    image.resize(size, Image.Resampling.LANCZOS).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _inert(text: str) -> str:
    """JSON that ends no script element; it is ASCII already, so that U+2028 and U+2029 are escaped."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _script() -> str:
    """The modules as one: names at their top level are unique, so that imports and exports can go."""
    found: dict[str, str] = {}
    _gather("embedded.js", found)
    return re.sub(r"^export ", "", IMPORT.sub("", "\n".join(found.values())), flags=re.MULTILINE)


def _gather(name: str, found: dict[str, str]) -> None:
    """A module after those that it imports, each once."""
    text = _asset(name)
    for imported in IMPORT.findall(text):
        if imported not in found:
            _gather(imported, found)
    found[name] = text


@cache
def _asset(name: str) -> str:
    return (files("heatlift.panel") / "static" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
