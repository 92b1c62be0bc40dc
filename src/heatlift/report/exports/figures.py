"""The figures of a report apart, for papers and slides: each as an SVG and a PDF that show the same.

Both are 120 mm wide, which most journals take as one and a half columns, on white, in the report's light
colours. Texts stay texts: the PDF has its font within, the SVG names the font and ones of like width.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from heatlift.report.exports.escaping import escaped
from heatlift.report.exports.pdf import as_pdf
from heatlift.report.figures import draw
from heatlift.report.plate import Plate
from heatlift.report.targets import LISTED
from heatlift.run.whole import whole
from heatlift.wording import clean

MILLIMETRES = 120.0
"""How wide every figure is."""

MARGIN = 8.0
"""Around a figure, in its own pixels."""

FONTS = "'DejaVu Sans', Verdana, 'Bitstream Vera Sans', Arial, sans-serif"


def write_figures(page: Any, folder: Path) -> Path:
    """Write NAME.svg and NAME.pdf of every figure of a page, and captions.md with what each shows."""
    plates = plates_of(page)
    drawn = {plate.identity: standalone(plate) for plate in plates}
    printed = {identity: as_pdf(svg) for identity, svg in drawn.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for identity, svg in drawn.items():
        with whole(folder / f"{identity}.svg") as file:
            file.write(svg)
        with whole(folder / f"{identity}.pdf", "wb") as file:
            file.write(printed[identity])
    with whole(folder / LISTED) as file:
        file.write(_captions(plates))
    return folder


def plates_of(page: Any) -> list[Plate]:
    """Every figure anywhere in a page, in the page's order, each once."""
    found = {plate.identity: plate for plate in _plates(page)}
    return list(found.values())


def _plates(part: Any) -> Iterator[Plate]:
    if isinstance(part, Plate):
        yield part
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            yield from _plates(getattr(part, field.name))
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from _plates(value)
    elif isinstance(part, (tuple, list)):
        for value in part:
            yield from _plates(value)


def standalone(plate: Plate) -> str:
    """A figure as an SVG document of its own, which needs neither a page around it nor anything else."""
    drawn = draw(plate)
    head, body = drawn[: drawn.index(">") + 1], drawn[drawn.index(">") + 1 :]
    (size,) = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    left, right = _overhang(drawn, float(size[0]))
    width, height = float(size[0]) + left + right + 2 * MARGIN, float(size[1]) + 2 * MARGIN
    corner = f"{-left - MARGIN:g}", f"{-MARGIN:g}"
    for variable, colour in light_colours().items():
        body = body.replace(f"var(--{variable})", colour)
    body = body.replace("font-family: 'DejaVu Sans'", f"font-family: {FONTS}")
    body = re.sub(r'(<use\b[^>]*?) href="#', r'\1 xlink:href="#', body)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1" '
        f'viewBox="{corner[0]} {corner[1]} {width:g} {height:g}" width="{MILLIMETRES:g}mm" '
        f'height="{MILLIMETRES * height / width:.2f}mm">\n'
        f"<title>{escape(clean(plate.title))}</title>\n<desc>{escape(clean(plate.alt))}</desc>\n"
        f'<rect x="{corner[0]}" y="{corner[1]}" width="{width:g}" height="{height:g}" style="fill: #ffffff"/>'
        f"{body}\n"
    )


def _overhang(drawn: str, width: float) -> tuple[float, float]:
    """How far texts reach beyond the left and right edge: a page shows that part too, a file would not."""
    ends = [0.0, width]
    for text in ElementTree.fromstring(drawn).iter("text"):
        style, words = text.get("style", ""), "".join(text.itertext())
        (size,) = re.findall(r"font-size: ([\d.]+)px", style) or ("13",)
        (x,) = re.findall(r"^translate\((-?[\d.]+)", text.get("transform", "")) or (text.get("x", "0"),)
        font = FontProperties(
            family="DejaVu Sans", size=float(size), weight="bold" if "font-weight" in style else 400
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of characters that the font lacks
            long, _, _ = TextToPath().get_text_width_height_descent(words, font, ismath=False)
        before = {"middle": 0.5, "end": 1.0}.get("".join(re.findall(r"text-anchor: (\w+)", style)), 0.0)
        ends += [float(x) - before * long, float(x) + (1 - before) * long]
    return -min(ends), max(ends) - width


@cache
def light_colours() -> Mapping[str, str]:
    """The colours of the report's light theme by the names of their variables."""
    css = (files("heatlift.report") / "templates" / "report.css").read_text(encoding="utf-8")
    first = re.search(r":root \{([^}]*)\}", css)
    return dict(re.findall(r"--([\w-]+): (#[0-9a-fA-F]{3,8});", first[1])) if first else {}


def _captions(plates: list[Plate]) -> str:
    parts = [
        f"## {plate.identity}\n\n**{escaped(plate.title)}** {escaped(plate.caption)}" for plate in plates
    ]
    return "\n\n".join(("# Figures and their captions", *parts)) + "\n"
