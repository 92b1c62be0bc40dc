"""A run as a notebook shows it: what came out, in words, and its first images in a panel without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import overload

import numpy as np

from heatlift.errors import HeatliftError
from heatlift.panel import Picture, panel_frame, panel_page
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.columns import Choice
from heatlift.viewer.heatmaps import Floats, Masked
from heatlift.viewer.image import Keeper, details, keeper
from heatlift.viewer.images import Images
from heatlift.viewer.overview import overview

SHOWN = 4
"""Images."""


@dataclass(frozen=True)
class _Frames(Sequence[Floats]):
    """A heatmap's steps, each read when it is asked for: a page shows only some."""

    keep: Keeper
    name: str
    layer: int
    length: int

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, place: int) -> Floats: ...
    @overload
    def __getitem__(self, place: slice) -> list[Floats]: ...
    def __getitem__(self, place: int | slice) -> Floats | list[Floats]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(self.length))]
        return self.keep.frame(self.name, self.layer, place)


def run_html(folder: Path) -> str:
    """A run's title, verdict and first images with heatmaps.

    Raises:
        HeatliftError: not the folder of a run.
    """
    catalogue = Catalogue(folder)
    catalogue.read()
    whole, images = overview(0, catalogue), catalogue.images
    words = [f"{whole['title']}: {whole['done']:,} of {whole['total']:,} images", whole["verdict"] or ""]
    kept = images.columns.get("kept")
    first = np.flatnonzero(kept.codes == 0)[:SHOWN].tolist() if isinstance(kept, Choice) else []
    pictures = []
    for position in first:
        try:
            pictures.append(_picture(catalogue, images, position))
        except HeatliftError as error:
            words.append(str(error))
    page = panel_frame(panel_page(pictures)) if pictures else ""
    return "".join(f"<p>{escape(line)}</p>" for line in (*words, *whole["problems"]) if line) + page


def _picture(catalogue: Catalogue, images: Images, position: int) -> Picture:
    found, keep, name = details(catalogue, images, position), keeper(catalogue), str(images.names[position])
    reference = keep.reference(name) if isinstance(keep, Masked) and found.reference else None
    frames = [_Frames(keep, name, place, len(layer.steps)) for place, layer in enumerate(found.layers)]
    return Picture(found, keep.original(name) if found.original else None, reference, frames)
