"""Downloads: original, heatmap and changed image beside each other, as one picture or an animation."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from heatlift.errors import HeatliftError
from heatlift.panel.colours import levels, palette, saturation
from heatlift.viewer.sheets import PANE, Pane, Sheet, indexed, lay_out

CHANNELS = {"red": 0, "green": 1, "blue": 2}

MOST_FRAMES = 60
"""Of an animation; evenly chosen where there are more, always the first and the last."""

PAUSE = 2000
"""Milliseconds for which the last frame stays."""

LARGEST, LARGEST_MOVING = 640, 320
"""The longer side of a pane in a picture and in an animation, in pixels."""

WEBP = {"quality": 90, "method": 4}
"""Forty frames of 224 pixels take a second and a half, and photographs and colours look untouched."""

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """What a picture shows.

    Attributes:
        original: (h, w, 3).
        heatmap: (c, h, w), c 1 or 3.
        neutral: the value of the heatmap that changes nothing.
        kind: ``signed`` or ``taken``.
        operation: ``add``, ``multiply``, ``blur``, or None for no changed image.
        reference: (h, w, 3), what takes a pixel's place (``blur``).
        channel: ``sum`` (over the channels), ``red``, ``green`` or ``blue``.
        limit: where the colours end on both sides; None for where this heatmap's do.
        title: above all.
        captions: lines beneath, such as step, score and probability.
    """

    original: Pixels
    heatmap: NDArray[Any]
    neutral: float
    kind: str
    operation: str | None
    reference: Pixels | None = None
    channel: str = "sum"
    limit: float | None = None
    title: str = ""
    captions: Sequence[str] = ()

    def __post_init__(self) -> None:
        size = self.original.shape[:2]
        others = [self.heatmap.shape[1:]] + ([] if self.reference is None else [self.reference.shape[:2]])
        if any(other != size for other in others) or self.original.shape[2:] != (3,):
            raise HeatliftError(
                f"original {self.original.shape}, heatmap {self.heatmap.shape}: give (h, w, 3) and (c, h, w)"
            )
        if self.channel != "sum" and (self.channel not in CHANNELS or len(self.heatmap) != 3):
            raise HeatliftError(
                f"channel '{self.channel}': give sum, or red, green or blue where there are 3"
            )
        if self.operation == "blur" and self.reference is None:
            raise HeatliftError("what takes the pixels' place is missing: give the reference")
        if not np.isfinite(self.heatmap).all():
            raise HeatliftError("a heatmap that is not finite cannot be shown: give one that is")


def shown(heatmap: NDArray[Any], neutral: float, channel: str = "sum") -> Floats:
    """What the colours stand for, (h, w): how far from what changes nothing one channel is, or their sum."""
    signed = heatmap.astype(np.float64) - neutral
    return np.asarray(signed.sum(axis=0) if channel == "sum" else signed[CHANNELS[channel]])


def colour_limit(heatmap: NDArray[Any], neutral: float, kind: str, channel: str = "sum") -> float:
    """Where the colours of a heatmap (c, h, w) end: one pixel in a hundred is beyond."""
    return saturation(shown(heatmap, neutral, channel), kind)


def changed(view: View) -> Pixels | None:
    """The image as the heatmap changes it, (h, w, 3); None where the operation makes none."""
    image = view.original / 255
    signed = (view.heatmap.astype(np.float64) - view.neutral).transpose(1, 2, 0)
    if view.operation == "add":
        found = image + signed
    elif view.operation == "multiply":
        found = image * (1 + signed)
    elif view.operation == "blur" and view.reference is not None:
        found = image * (1 - signed) + view.reference / 255 * signed
    else:
        return None
    return np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)


def picture(view: View, form: str = "png") -> bytes:
    """One view as a picture.

    Raises:
        HeatliftError: another form than png.
    """
    if form != "png":
        raise HeatliftError(f"'{form}' is no form of a picture: ask for png")
    return _bytes(_sheet(view, LARGEST).coloured(), "PNG", compress_level=4)


def animation(views: Sequence[View], form: str, milliseconds: int = 120) -> bytes:
    """Views one after the other, for ever; at most `MOST_FRAMES` of them, and the last stays for longer.

    Args:
        views: of one image and one kind of heatmap; those without a limit have the largest of any.
        form: ``gif`` or ``webp``.
        milliseconds: for which a frame is shown; a GIF counts in tens.

    Raises:
        HeatliftError: another form, no views, or views that are not of one size.
    """
    if form not in ("gif", "webp"):
        raise HeatliftError(f"'{form}' is no form of an animation: ask for gif or webp")
    if not views or len({(view.original.shape, view.operation is None) for view in views}) > 1:
        raise HeatliftError(f"{len(views)} views that are not of one size: animate those of one image")
    sheets = _sheets(_evenly(views))
    times = [milliseconds] * (len(sheets) - 1) + [max(PAUSE, milliseconds)]
    frames = indexed(sheets) if form == "gif" else [sheet.coloured() for sheet in sheets]
    options = {"optimize": True} if form == "gif" else WEBP
    return _bytes(frames[0], form, save_all=True, append_images=frames[1:], duration=times, loop=0, **options)


def _sheets(views: Sequence[View]) -> list[Sheet]:
    limit = max(map(_limit, views))
    lines = max(len(view.captions) for view in views)
    originals: dict[int, Image.Image] = {}
    return [_sheet(view, LARGEST_MOVING, limit, lines, originals) for view in views]


def _evenly(views: Sequence[View]) -> list[View]:
    if len(views) <= MOST_FRAMES:
        return list(views)
    return [views[round(place * (len(views) - 1) / (MOST_FRAMES - 1))] for place in range(MOST_FRAMES)]


def _sheet(
    view: View,
    largest: int,
    limit: float | None = None,
    lines: int = 0,
    originals: dict[int, Image.Image] | None = None,
) -> Sheet:
    size = _size(view.original.shape[1], view.original.shape[0], largest)
    known = {} if originals is None else originals
    if id(view.original) not in known:
        known[id(view.original)] = _photograph(view.original, size)
    panes = [Pane("Original", known[id(view.original)]), _heatmap(view, size, view.limit or limit)]
    after = changed(view)
    if after is not None:
        panes.append(Pane("Changed image", _photograph(after, size)))
    captions = [*view.captions, *[""] * (lines - len(view.captions))]
    return lay_out(view.title, panes, captions)


def _heatmap(view: View, size: tuple[int, int], limit: float | None) -> Pane:
    values = shown(view.heatmap, view.neutral, view.channel)
    limit = limit or _limit(view)
    # Far beyond the limit all is one colour, and a single pixel must not be more than float32 holds.
    shares = Image.fromarray(np.clip(values / limit, -1e6, 1e6).astype(np.float32))
    small = np.asarray(shares.resize(size, _filter(values.shape[1], size)), np.float64)
    coloured = Image.fromarray(levels(small, view.kind, 1.0))
    coloured.putpalette(palette(view.kind).ravel().tolist())
    what = "Taken away" if view.kind == "taken" else "Heatmap"
    which = "sum over channels" if view.channel == "sum" else f"{view.channel} channel"
    heading = f"{what}, {which}" if len(view.heatmap) > 1 else what
    # A sum has no single neutral value to be measured from, so that its labels are distances.
    start = view.neutral if view.channel != "sum" or len(view.heatmap) == 1 else 0.0
    return Pane(heading, coloured, _ends(view.kind, start, limit))


def _ends(kind: str, neutral: float, limit: float) -> tuple[str, str, str]:
    if kind == "taken":
        return "0", f"{limit / 2:.3g}", f"{limit:.3g}"
    middle = f"{neutral:g}"
    if neutral and not 1e-4 < limit < 1e3:
        return f"{middle} − {limit:.3g}", middle, f"{middle} + {limit:.3g}"
    if neutral:
        decimals = max(0, 2 - math.floor(math.log10(limit)))
        return f"{neutral - limit:.{decimals}f}".replace("-", "−"), middle, f"{neutral + limit:.{decimals}f}"
    return f"−{limit:.3g}", middle, f"+{limit:.3g}"


def _limit(view: View) -> float:
    return view.limit or colour_limit(view.heatmap, view.neutral, view.kind, view.channel)


def _photograph(image: Pixels, size: tuple[int, int]) -> Image.Image:
    nearest = size[0] >= image.shape[1]
    filtered = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
    return Image.fromarray(image).resize(size, filtered)


def _filter(width: int, size: tuple[int, int]) -> Image.Resampling:
    """Values are averaged, not smoothed beyond their range, before they are coloured."""
    return Image.Resampling.NEAREST if size[0] >= width else Image.Resampling.BOX


def _size(width: int, height: int, largest: int) -> tuple[int, int]:
    """Small images are enlarged by a whole factor, so that each pixel stays a square; large ones shrunk."""
    factor = min(math.ceil(PANE / width), largest // max(width, height))
    if factor >= 1:
        return width * factor, height * factor
    ratio = largest / max(width, height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def _bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form.upper(), **options)
    return file.getvalue()
