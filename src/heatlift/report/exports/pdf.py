"""A figure's SVG as a PDF of the same size: paths stay paths, and texts stay texts in a font within the file.

It reads what the report's own figures are made of, which is a small part of SVG, and refuses the rest.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import atan2, degrees
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

from heatlift.report.svg import drawing

POINTS = 72 / 25.4
"""Of a millimetre."""

SHAPES: Mapping[str, tuple[int, list[np.uint8]]] = {
    "M": (2, [Path.MOVETO]),
    "L": (2, [Path.LINETO]),
    "Q": (4, [Path.CURVE3] * 2),
    "C": (6, [Path.CURVE4] * 3),
    "Z": (0, [Path.CLOSEPOLY]),
}
"""For each command of a path, how many numbers it takes and what it is to matplotlib."""

INHERITED = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
"""What every figure's style sheet says of all its elements."""

Style = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """How an element is drawn: what it inherits, where it goes, and what it is cut to."""

    style: Style
    transform: Transform
    clip: Path | None = None


def as_pdf(svg: str) -> bytes:
    """The SVG of a figure (`heatlift.report.exports.figures.standalone`) as a PDF.

    Raises:
        ValueError: it has an element or a path that is not among those that figures are made of.
    """
    root = ElementTree.fromstring(svg)
    width = float(root.attrib["width"].removesuffix("mm")) * POINTS
    left, top, across, down = map(float, root.attrib["viewBox"].split())
    scale = width / across
    with drawing(width, down * scale) as d, warnings.catch_warnings():
        matplotlib.rcParams["pdf.fonttype"] = 42  # whole outlines, which every journal's checks accept
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the PDF then has a box there
        page = Affine2D().translate(-left, -top).scale(scale, -scale).translate(0, down * scale)
        _Reader(root, d.figure, scale).read(root, Place(INHERITED, page))
        file = io.BytesIO()
        d.figure.savefig(file, format="pdf", facecolor="white", metadata={"CreationDate": None})
        return file.getvalue()


class _Reader:
    """Draws the elements of one document, in its order."""

    def __init__(self, root: ElementTree.Element, figure: Figure, scale: float) -> None:
        self._figure, self._scale = figure, scale
        self._named = {element.attrib["id"]: element for element in root.iter() if "id" in element.attrib}
        self._drawn = 0

    def read(self, element: ElementTree.Element, place: Place) -> None:
        name = element.tag.rpartition("}")[2]
        if name in ("defs", "style", "title", "desc", "clipPath"):
            return
        here = self._within(element, place)
        if name in ("svg", "g"):
            for child in element:
                self.read(child, here)
        elif name == "path":
            if element.get("d", "").strip():  # a line of nothing but unknown values has no path
                self._path(parse_path(element.attrib["d"]), here)
        elif name == "rect":
            self._path(_rectangle(element), here)
        elif name == "use":
            at = Affine2D().translate(*(float(element.get(axis, 0)) for axis in "xy"))
            target = next(value for key, value in element.attrib.items() if key.endswith("href"))
            self.read(self._named[target[1:]], Place(here.style, at + here.transform, here.clip))
        elif name == "text":
            self._text(element, here)
        else:
            raise ValueError(f"a figure has an element <{name}>, which its PDF cannot show")

    def _within(self, element: ElementTree.Element, place: Place) -> Place:
        own = {
            key.strip(): value.strip()
            for key, _, value in (part.partition(":") for part in element.get("style", "").split(";"))
            if value
        }
        style = {**place.style, **own}
        style["opacity"] = str(float(own.get("opacity", 1)) * float(place.style.get("opacity", 1)))
        transform = parse_transform(element.get("transform", "")) + place.transform
        clip = place.clip
        if "clip-path" in element.attrib:
            (rectangle,) = self._named[element.attrib["clip-path"][5:-1]]
            clip = _rectangle(rectangle).transformed(transform)
        return Place(style, transform, clip)

    def _path(self, path: Path, place: Place) -> None:
        style = place.style
        patch = PathPatch(
            path,
            transform=place.transform,
            facecolor=_colour(style, "fill", "#000000"),
            edgecolor=_colour(style, "stroke", "none"),
            linewidth=float(style.get("stroke-width", 1)) * self._scale,
            joinstyle=style["stroke-linejoin"],
            capstyle={"square": "projecting"}.get(style["stroke-linecap"], style["stroke-linecap"]),
            linestyle=self._dashes(style),
        )
        self._add(patch, place)

    def _dashes(self, style: Style) -> tuple[float, tuple[float, ...] | None]:
        """matplotlib multiplies dashes by the line's width, which here must not be counted twice."""
        dashes = style.get("stroke-dasharray", "none")
        if dashes == "none":
            return 0.0, None
        width = float(style.get("stroke-width", 1))
        offset = float(style.get("stroke-dashoffset", 0))
        return offset / width, tuple(float(dash) / width for dash in re.split(r"[\s,]+", dashes))

    def _text(self, element: ElementTree.Element, place: Place) -> None:
        style = place.style
        x, y = place.transform.transform((float(element.get("x", 0)), float(element.get("y", 0))))
        (a, _, _), (b, _, _), _ = place.transform.get_matrix()
        text = self._figure.text(
            x / self._figure.bbox.width,
            y / self._figure.bbox.height,
            "".join(element.itertext()),
            size=float(style["font-size"].removesuffix("px")) * self._scale,
            weight=int(style["font-weight"])
            if style.get("font-weight", "").isdigit()
            else style.get("font-weight"),
            color=_colour(style, "fill", "#000000"),
            ha={"middle": "center", "end": "right"}.get(style.get("text-anchor", ""), "left"),
            va="baseline",
            rotation=degrees(atan2(b, a)),
            rotation_mode="anchor",
        )
        text.set_zorder(self._next())

    def _add(self, artist: Artist, place: Place) -> None:
        artist.set_zorder(self._next())
        self._figure.add_artist(artist)
        if place.clip is not None:
            artist.set_clip_path(place.clip, Affine2D())
        else:
            artist.set_clip_on(False)

    def _next(self) -> int:
        self._drawn += 1
        return self._drawn


def parse_path(d: str) -> Path:
    """The path of a ``d`` attribute of absolute moves, lines, curves and closings."""
    vertices: list[tuple[float, float]] = []
    codes: list[np.uint8] = []
    for command, numbers in _commands(d):
        takes, shapes = SHAPES[command]
        values = [float(number) for number in numbers]
        if len(values) != takes:
            raise ValueError(f"a path has {command} with {len(values)} numbers, which a PDF cannot show")
        vertices += list(zip(values[::2], values[1::2], strict=True)) or vertices[-1:]
        codes += shapes
    return Path(vertices, codes)


def _commands(d: str) -> Iterator[tuple[str, list[str]]]:
    for command, numbers in re.findall(r"([A-Za-z])([^A-DF-Za-df-z]*)", d):
        if command.upper() not in SHAPES or (command.islower() and command != "z"):
            raise ValueError(f"a path has a command {command}, which a PDF cannot show")
        yield command.upper(), re.findall(r"-?[\d.]+(?:e[-+]?\d+)?", numbers)


def parse_transform(text: str) -> Affine2D:
    """The transform of an attribute of translations, rotations and scalings, the first applied last."""
    found = Affine2D()
    for name, inside in reversed(re.findall(r"(\w+)\(([^)]*)\)", text)):
        values = [float(value) for value in re.split(r"[\s,]+", inside.strip())]
        if name == "translate":
            found = found.translate(values[0], values[1] if len(values) > 1 else 0)
        elif name == "rotate":
            x, y = values[1:] or (0.0, 0.0)
            found = found.rotate_deg_around(x, y, values[0])
        elif name == "scale":
            found = found.scale(values[0], values[-1])
        else:
            raise ValueError(f"a figure has a transform {name}, which its PDF cannot show")
    return found


def _rectangle(element: ElementTree.Element) -> Path:
    x, y = float(element.get("x", 0)), float(element.get("y", 0))
    width, height = float(element.attrib["width"]), float(element.attrib["height"])
    return Path.unit_rectangle().transformed(Affine2D().scale(width, height).translate(x, y))


def _colour(style: Style, what: str, default: str) -> tuple[float, ...] | str:
    colour = style.get(what, default)
    if colour == "none":
        return "none"
    opacity = float(style.get(f"{what}-opacity", 1)) * float(style["opacity"])
    return matplotlib.colors.to_rgba(colour, opacity)
