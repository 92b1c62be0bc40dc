"""A sheet: pictures beside each other with words, in colours or with the few that a GIF may have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from heatlift.wording import clean

MARGIN, GAP = 20, 16
PANE = 224
"""The least width of a pane, in pixels."""

TITLE, WORDS, LINE = 16, 13, 20
"""Sizes of the letters, and the height of a line."""

PAPER, RULE, INK, MUTED = 255, 211, 26, 87
"""Greys."""

BAR = 10
"""The height of a colour bar."""

GREYS = 16
"""Of a GIF's colours, for words with smooth edges."""

SPARE = 1
"""Of a GIF's colours, for what a frame leaves as it was."""

SAMPLED = 8
"""Sheets of which a GIF's colours are chosen."""

Piece = tuple[int, int, Image.Image]
Indices = NDArray[np.uint8]


@dataclass(frozen=True)
class Pane:
    """A picture with its heading; one of a heatmap is in palette mode and may have a colour bar beneath.

    Attributes:
        heading: above the picture.
        picture: ``RGB`` for a photograph, ``P`` for a heatmap.
        bar: what the colours stand for at the left end, in the middle and at the right end.
    """

    heading: str
    picture: Image.Image
    bar: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Sheet:
    """What is laid out: words in greys, and pictures at their places.

    Attributes:
        words: everything but the pictures, in mode ``L``.
        pieces: (x, y, picture), photographs as ``RGB`` and what is in a heatmap's colours as ``P``.
    """

    words: Image.Image
    pieces: tuple[Piece, ...]

    def coloured(self) -> Image.Image:
        """All of it as RGB."""
        sheet = self.words.convert("RGB")
        for x, y, picture in self.pieces:
            sheet.paste(picture.convert("RGB"), (x, y))
        return sheet


def lay_out(title: str, panes: Sequence[Pane], captions: Sequence[str]) -> Sheet:
    """Panes beside each other, the title above them and the captions beneath; words too long are cut."""
    wide = max(PANE, *(pane.picture.width for pane in panes))
    high = max(pane.picture.height for pane in panes)
    width = 2 * MARGIN + len(panes) * (wide + GAP) - GAP
    top = MARGIN + (LINE + 10 if title else 0) + LINE + 4
    barred = any(pane.bar for pane in panes)
    below = top + high + 10 + (BAR + LINE + 8 if barred else 0)
    words = Image.new("L", (width, below + LINE * len(captions) + MARGIN), PAPER)
    draw = ImageDraw.Draw(words)
    if title:
        _write(draw, (MARGIN, MARGIN), title, width - 2 * MARGIN, TITLE, INK)
    pieces: list[Piece] = []
    for place, pane in enumerate(panes):
        left = MARGIN + place * (wide + GAP)
        _write(draw, (left, top - LINE - 4), pane.heading, wide, WORDS, INK)
        corner = left + (wide - pane.picture.width) // 2, top + (high - pane.picture.height) // 2
        _outline(draw, corner, pane.picture.size)
        pieces.append((*corner, pane.picture))
        if pane.bar:
            pieces.append((left, top + high + 10, _bar(pane.picture, wide)))
            _outline(draw, (left, top + high + 10), (wide, BAR))
            _label(draw, left, top + high + 10 + BAR + 4, wide, pane.bar)
    for row, caption in enumerate(captions):
        ink = INK if row == 0 else MUTED
        _write(draw, (MARGIN, below + row * LINE), caption, width - 2 * MARGIN, WORDS, ink)
    return Sheet(words, tuple(pieces))


def indexed(sheets: Sequence[Sheet]) -> list[Image.Image]:
    """Sheets of one layout in one palette: heatmaps keep their colours, photographs share the rest."""
    first = sheets[0]
    maps = next(picture for _, _, picture in first.pieces if picture.mode == "P")
    exact = np.asarray(maps.getpalette(), np.uint8).reshape(-1, 3)
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None], 3, axis=1)
    few = _few_colours(sheets, 256 - SPARE - len(exact) - len(greys))
    colours = np.concatenate([exact, greys, few])
    dithered: dict[int, Indices] = {}
    return [_index(sheet, colours, len(exact), few, dithered) for sheet in sheets]


def _index(
    sheet: Sheet, colours: Indices, maps: int, few: Indices, dithered: dict[int, Indices]
) -> Image.Image:
    greys = np.rint(np.asarray(sheet.words) / 255 * (GREYS - 1)).astype(np.uint8) + np.uint8(maps)
    for x, y, picture in sheet.pieces:
        if picture.mode == "P":
            found = np.asarray(picture)
        else:
            # A photograph that several sheets share is dithered once, so that it does not flicker.
            if id(picture) not in dithered:
                dithered[id(picture)] = _dithered(picture, few) + np.uint8(maps + GREYS)
            found = dithered[id(picture)]
        greys[y : y + picture.height, x : x + picture.width] = found
    result = Image.fromarray(greys)
    result.putpalette(colours.ravel().tolist())
    return result


def _few_colours(sheets: Sequence[Sheet], most: int) -> Indices:
    """The colours that do best for the photographs of some sheets from the first to the last."""
    chosen = [sheets[round(place * (len(sheets) - 1) / (SAMPLED - 1))] for place in range(SAMPLED)]
    every = {
        id(picture): picture for sheet in chosen for _, _, picture in sheet.pieces if picture.mode == "RGB"
    }
    pixels = np.concatenate([np.asarray(picture)[::2, ::2].reshape(-1, 3) for picture in every.values()])
    found = Image.fromarray(pixels[None]).quantize(most, Image.Quantize.MEDIANCUT, kmeans=1)
    return np.asarray(found.getpalette(), np.uint8).reshape(-1, 3)[:most]


def _dithered(photograph: Image.Image, few: Indices) -> Indices:
    holder = Image.new("P", (1, 1))
    holder.putpalette(np.concatenate([few, np.repeat(few[:1], 256 - len(few), axis=0)]).ravel().tolist())
    found = np.asarray(photograph.quantize(palette=holder, dither=Image.Dither.FLOYDSTEINBERG))
    return np.where(found < len(few), found, 0).astype(np.uint8)  # beyond them the first is repeated


def _bar(heatmap: Image.Image, width: int) -> Image.Image:
    """All colours of a heatmap from left to right."""
    colours = len(heatmap.getpalette() or ()) // 3
    places = np.linspace(0, colours - 1, width).round().astype(np.uint8)
    bar = Image.fromarray(np.repeat(places[None], BAR, axis=0))
    bar.putpalette(heatmap.getpalette() or [])
    return bar


def _outline(draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: tuple[int, int]) -> None:
    x, y = corner
    draw.rectangle((x - 1, y - 1, x + size[0], y + size[1]), outline=RULE)


def _label(draw: ImageDraw.ImageDraw, left: int, top: int, wide: int, bar: tuple[str, str, str]) -> None:
    for text, x, anchor in zip(bar, (left, left + wide // 2, left + wide), ("la", "ma", "ra"), strict=True):
        draw.text((x, top), text, fill=MUTED, font=_font(WORDS), anchor=anchor)


def _write(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width: int, size: int, ink: int
) -> None:
    draw.text(corner, cut(text, width, size), fill=ink, font=_font(size))


def cut(text: str, width: int, size: int = WORDS) -> str:
    """The text on one line of this width in pixels, its middle left out where it is too long.

    >>> cut("short enough", 224), cut("n01440764/" * 9, 224)
    ('short enough', 'n01440764/n014…64/n01440764/')
    """
    words, font = clean(text), _font(size)
    if font.getlength(words[:1000]) <= width and len(words) <= 1000:
        return words
    fits, fails = 1, min(len(words), 1000)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if font.getlength(_without(words, middle)) <= width else (fits, middle)
    return _without(words, fits)


def _without(words: str, length: int) -> str:
    tail = (length - 1) // 2
    return f"{words[: length - 1 - tail]}…{words[len(words) - tail :]}"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters that matplotlib brings along: Pillow's own know neither a minus nor an accent."""
    found = find_spec("matplotlib")
    for folder in (found.submodule_search_locations or ()) if found else ():
        letters = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if letters.is_file():
            return ImageFont.truetype(str(letters), size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)
