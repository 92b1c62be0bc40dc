"""A reproduction as a page of its own and as JSON: page data first, then printing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from markupsafe import Markup

import heatlift
from heatlift.report.html import render, write_text
from heatlift.report.known import known_figure
from heatlift.report.settings import Entry, Section
from heatlift.report.tables import Cell, Column, Row, Table
from heatlift.report.wording import count, interval
from heatlift.reproduce.parts import Drawing, Line, Part, Reproduction
from heatlift.run.record import write_json
from heatlift.wording import NOTHING, clean, shorten

FORMAT = 1
"""Of reproduction.json; raised whenever an entry changes its meaning or goes away."""

PAPERS: Mapping[str, str] = {"tjoa2022": "Tjoa 2022", "kang2019": "Kang 2019"}
"""What the papers are called in a sentence."""

NARROW = 560.0
"""Pixels; a drawing that is wider stands alone, and is scrolled where the page is narrow."""

LONGEST = 400
"""Characters of one setting."""

NUMBER = re.compile(r"[−-]?\d")
"""How a printed number begins; “above 0” or “most” is printed in words."""

WIDTH = re.compile(r"<svg\b[^>]*?\bwidth=[\"'](\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class ShownDrawing:
    """A drawing as the page has it: at its natural width, or at the least one that is legible."""

    svg: Markup
    caption: str
    width: int
    least: int


@dataclass(frozen=True)
class ShownPart:
    """A figure or table of the paper as a section of the page."""

    anchor: str
    place: str
    title: str
    claim: str
    table: Table | None
    narrow: tuple[ShownDrawing, ...]
    wide: tuple[ShownDrawing, ...]
    differs: tuple[str, ...]
    runs: tuple[Cell, ...]


@dataclass(frozen=True)
class ReproductionPage:
    """Everything that the page prints."""

    template: ClassVar[str] = "reproduction.html.jinja"

    title: str
    verdict: str
    facts: tuple[Entry, ...]
    overview: Table
    parts: tuple[ShownPart, ...]
    command: str
    settings: tuple[Section, ...]
    version: str


def write_reproduction(found: Reproduction, out: Path) -> Path:
    """Write ``report.html`` and ``reproduction.json`` into a folder, each whole or not at all.

    Returns:
        The page's path.

    Raises:
        OSError: they can't be written.
    """
    write_json(out / "reproduction.json", {"format": FORMAT, **asdict(found)})
    return write_text(out / "report.html", render(build_reproduction_page(found, out)))


def build_reproduction_page(found: Reproduction, out: Path) -> ReproductionPage:
    """Lay a reproduction out; ``out`` is the folder whose runs the page leads to."""
    paper = PAPERS.get(found.paper, clean(found.paper))
    lines = [line for part in found.parts for line in part.lines]
    numbers = [line for line in lines if NUMBER.match(line.printed or "")]
    others = [line for line in lines if line.printed is None]
    words = [line for line in lines if line.printed is not None and not NUMBER.match(line.printed)]
    told = dict(found.settings)
    said = told.pop("command", ())
    typed = [clean(word) for word in said] if isinstance(said, (list, tuple)) else [clean(said)]
    return ReproductionPage(
        title=f"What {paper} prints, and what was measured here",
        verdict=clean(found.reference),
        facts=(
            Entry("Figures and tables", f"{len(found.parts)}"),
            Entry("Printed numbers", f"{len(numbers)}", f"{_measured(numbers)} of them measured here"),
            *(
                [Entry("Printed in words", f"{len(words)}", f"{_measured(words)} of them measured here")]
                if words
                else []
            ),
            Entry("Further measured", f"{_measured(others)}"),
        ),
        overview=_overview(found),
        parts=tuple(_part(part, out) for part in found.parts),
        command=shlex.join(typed) if len(typed) > 1 else "".join(typed),
        settings=tuple(_settings(told)),
        version=heatlift.__version__,
    )


def _measured(lines: Iterable[Line]) -> int:
    return sum(known_figure(line.measured) is not None for line in lines)


def headline(part: Part) -> tuple[Line, ...]:
    """What a part says at a glance: the lines that the paper prints; its first line where it prints none."""
    return tuple(line for line in part.lines if line.printed is not None) or part.lines[:1]


def measured_text(line: Line) -> str:
    """``43 [38, 47]``, or a dash.

    >>> measured_text(Line("phi", "48.741", {"value": 42.61, "low": 38.2, "high": 46.9, "n": 200}))
    '42.6 [38.2, 46.9]'
    """
    return interval(known_figure(line.measured))


def _overview(found: Reproduction) -> Table:
    rows = []
    for part in found.parts:
        place = Cell(clean(part.place), link=f"#{part.anchor}")
        shown = [(Cell(clean(line.what)), *_numbers(line)) for line in headline(part)]
        nothing = (Cell(clean(part.title)), Cell(NOTHING), Cell(NOTHING), Cell(NOTHING))
        # In every row, since the reader may sort them.
        rows += [Row(False, (place, *cells)) for cells in shown or [nothing]]
    return Table(
        "As the paper prints it, and as measured here, with 95% intervals; n: images, unless the line says "
        "otherwise. Networks, weights and images are not the paper’s wherever the section says so.",
        (Column("Where", numeric=False), Column("What", numeric=False), *_COLUMNS),
        tuple(rows),
    )


_COLUMNS = (Column("Printed"), Column("Measured"), Column("n"))


def _part(part: Part, out: Path) -> ShownPart:
    drawings = [_drawing(drawing) for drawing in part.drawings]
    return ShownPart(
        anchor=part.anchor,
        place=clean(part.place),
        title=clean(part.title),
        claim=clean(part.claim),
        table=_table(part) if part.lines else None,
        narrow=tuple(drawing for drawing in drawings if drawing.width <= NARROW),
        wide=tuple(drawing for drawing in drawings if drawing.width > NARROW),
        differs=tuple(clean(difference) for difference in part.differs),
        runs=tuple(Cell(clean(run), link=_link(run, out)) for run in part.runs),
    )


def _table(part: Part) -> Table:
    noted = any(line.note for line in part.lines)
    rows = []
    for line in part.lines:
        note = (Cell(clean(line.note)),) if noted else ()
        rows.append(Row(False, (Cell(clean(line.what)), *_numbers(line), *note)))
    columns = (Column("What", numeric=False), *_COLUMNS, *((Column("Note", numeric=False),) if noted else ()))
    return Table(f"{clean(part.place)} in numbers, with 95% intervals.", columns, tuple(rows))


def _numbers(line: Line) -> tuple[Cell, Cell, Cell]:
    """Printed, measured, and how many."""
    known = known_figure(line.measured)
    printed = Cell(NOTHING if line.printed is None else clean(line.printed))
    if known is None:
        return printed, Cell(NOTHING), Cell(NOTHING)
    # Of a closed form there are no images.
    images = Cell(f"{known.n:,}", value=known.n) if known.n else Cell(NOTHING)
    return printed, Cell(interval(known), value=known.value), images


def _drawing(drawing: Drawing) -> ShownDrawing:
    found = WIDTH.search(drawing.svg)
    width = float(found[1]) if found is not None else NARROW
    # Made by this package, which escapes what it writes into drawings.
    return ShownDrawing(Markup(drawing.svg), clean(drawing.caption), round(width), round(0.75 * width))


def _link(run: str, out: Path) -> str:
    """What there is to be read of a run, as an address from the page."""
    for name in ("report.html", "README.md"):
        if (out / run / name).is_file():
            return quote(f"{run}/{name}")
    return ""


def _settings(told: Mapping[str, object]) -> Iterator[Section]:
    """A section of what stands directly there, and one for each group."""
    alone = tuple(_entries({name: value for name, value in told.items() if not isinstance(value, Mapping)}))
    if alone:
        yield Section("Settings", alone)
    for name, value in told.items():
        if isinstance(value, Mapping) and value:
            title = clean(name).replace("_", " ")
            yield Section(f"{title[:1].upper()}{title[1:]}", tuple(_entries(value)))


def _entries(content: Mapping[str, object]) -> Iterator[Entry]:
    for name, value in content.items():
        if value is None or value == () or value == []:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        yield Entry(clean(name).replace("_", " "), shorten(text, LONGEST))


def told(found: Reproduction) -> Iterator[str]:
    """The reproduction in plain lines, for a terminal: each part's finding and what it says at a glance."""
    for part in found.parts:
        yield f"{clean(part.place)}: {clean(part.title)}"
        for line in headline(part):
            n = known_figure(line.measured)
            printed = f"printed {clean(line.printed)}, " if line.printed is not None else ""
            # Of a closed form there are no images.
            images = f", {count(n.n, 'image')}" if n is not None and n.n else ""
            measured = f"measured {measured_text(line)}{images}" if n is not None else "not measured"
            yield f"  {clean(line.what)}: {printed}{measured}"
