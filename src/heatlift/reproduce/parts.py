"""What a reproduction consists of, as plain data: what was printed, what was measured, what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Figure: TypeAlias = Mapping[str, float | int | None]
"""A measured number: value, low, high (its interval; None where it can't be known) and n."""


@dataclass(frozen=True)
class Line:
    """A number of the paper beside ours.

    Attributes:
        what: what it is, with unit and direction where they aren't plain.
        printed: as the paper has it; None where it prints none.
        measured: ours; None where it could not be measured, and ``note`` says why.
        note: anything to be said of just this number.
    """

    what: str
    printed: str | None
    measured: Figure | None
    note: str = ""


@dataclass(frozen=True)
class Drawing:
    """A drawn figure: self-contained SVG (``<svg ...>``), and how to read it, with n."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Part:
    """One figure or table of a paper.

    Attributes:
        anchor: its name on the command line and in addresses, such as ``table-1``.
        place: where it is in the paper, such as ``Table 1``.
        title: what was found, as a sentence.
        claim: what the paper says there, in our words.
        lines: numbers.
        drawings: figures.
        differs: what is not as in the paper (network, weights, data, number of images), and why.
        runs: the runs that it is drawn from, by their paths from the reproduction's folder.
    """

    anchor: str
    place: str
    title: str
    claim: str
    lines: tuple[Line, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    differs: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reproduction:
    """All parts of one paper.

    Attributes:
        paper: its short name, ``tjoa2022`` or ``kang2019``.
        reference: authors, title, where it appeared.
        parts: in the paper's order.
        settings: command, versions, seeds: what it takes to do it again.
    """

    paper: str
    reference: str
    parts: tuple[Part, ...]
    settings: Mapping[str, object]
