"""Photographs with their masks as drawings: tiles side by side, with words below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from heatlift.report.pictures import encoded, photograph, read_pixels
from heatlift.report.undesirable.overlays import overlays
from heatlift.run.evolutions import Evolutions
from heatlift.run.originals import original_path, perturbed_path
from heatlift.wording import clean, shorten

ACROSS = 3
"""Tiles side by side; on a phone they are a quarter smaller."""

WIDTH, GAP, LINE = 460.0, 8.0, 17.0

LETTERS, BOLD_LETTERS = 22, 18
"""Of a line below a tile, and of the first one, which is bold."""

PHOTOGRAPH, OVERLAY = 14_000, 8_000
"""Bytes of a picture."""

READING = (
    "Magenta covers what a mask takes away, the more the stronger; the outline surrounds what it takes by "
    "more than 0.6."
)


@dataclass(frozen=True)
class Tile:
    """A picture, what lies over it, and the words below; the first of them is bold."""

    picture: str
    words: tuple[str, ...]
    over: str = ""


def original(run: Path, image: str) -> str:
    """A photograph of a run as its network sees it.

    Raises:
        HeatliftError: it is gone or damaged.
    """
    return encoded([photograph(read_pixels(original_path(run, image)))], PHOTOGRAPH)[0]


def blurred(run: Path, factor: str, image: str) -> str:
    """The same with its undesirable pixels blurred.

    Raises:
        HeatliftError: it is gone or damaged.
    """
    return encoded([photograph(read_pixels(perturbed_path(run, factor, image)))], PHOTOGRAPH)[0]


def taken(run: Path, factor: str, image: str) -> str:
    """What a mask takes away, to lie over the photograph.

    Raises:
        HeatliftError: the run did not keep it, or it is damaged.
    """
    return overlays([Evolutions(run).final(f"{factor}/{image}")], OVERLAY)[0]


def strips(rows: Sequence[tuple[str, Sequence[Tile]]], identity: str, alt: str) -> str:
    """Rows of up to three tiles, each under its heading, as SVG in the page's colours.

    Args:
        rows: headings (or nothing) with tiles.
        identity: unique in the page.
        alt: what is to be seen, in words.
    """
    side = (WIDTH - (ACROSS - 1) * GAP) / ACROSS
    parts, top = [], 0.0
    for heading, tiles in rows:
        if heading:
            parts.append(_text(0, top + 13, heading, "ink", bold=True, letters=3 * LETTERS))
            top += LINE + 4
        for place, tile in enumerate(tiles):
            left = place * (side + GAP)
            box = f'x="{left:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}"'
            below = top + side + 14
            # Photographs that are not square keep their shape, and so does what lies over them.
            parts += [
                f'<image {box} preserveAspectRatio="xMidYMid meet" href="{escape(source)}"/>'
                for source in filter(None, (tile.picture, tile.over))
            ]
            parts += [
                _text(
                    left,
                    below + number * LINE,
                    words,
                    "muted" if number else "ink",
                    not number,
                    LETTERS if number else BOLD_LETTERS,
                )
                for number, words in enumerate(tile.words)
            ]
        top += side + 8 + LINE * max((len(tile.words) for tile in tiles), default=0) + 12
    height = max(1.0, top - 12)
    return (
        f'<svg role="img" id="{escape(identity)}" aria-label="{escape(clean(alt))}" '
        f'viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" height="{height:g}">{"".join(parts)}</svg>'
    )


def _text(left: float, top: float, words: str, colour: str, bold: bool, letters: int) -> str:
    style = f"fill: var(--{colour}); font-weight: {650 if bold else 400}"
    shown = escape(shorten(words, letters))
    return f'<text x="{left:.1f}" y="{top:.1f}" font-size="12.5" style="{style}">{shown}</text>'
