"""A figure that is laid out in inches from its top left, and text that is fitted to a width."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from heatlift.report.explanation.panels import RULE
from heatlift.wording import shorten

MARGIN = 0.4
"""Left and right of everything, in inches."""

TEXT = 9.5
"""Size of type, in points."""


class Sheet:
    """A figure measured in inches from its top left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=100, facecolor="white")

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def write(self, left: float, top: float, text: str, size: float = TEXT, **style: Any) -> None:
        """Write lines of text, the first one's upper edge at ``top``."""
        place = (left / self.width, 1 - top / self.height)
        self.figure.text(*place, text, size=size, **{"va": "top", "linespacing": 1.25, **style})

    def paragraph(
        self,
        left: float,
        top: float,
        text: str,
        width: float,
        size: float = TEXT,
        most: int = 9,
        **style: Any,
    ) -> float:
        """Write a text in lines of at most this width; returns where the next one may begin."""
        lines = wrapped(text, width, size, most)
        self.write(left, top, "\n".join(lines), size, **style)
        return top + len(lines) * size * 1.5 / 72 + 0.05

    def rule(self, top: float) -> None:
        y = 1 - top / self.height
        ends = [MARGIN / self.width, 1 - MARGIN / self.width]
        self.figure.add_artist(
            Line2D(ends, [y, y], color=RULE, linewidth=0.8, transform=self.figure.transFigure)
        )


def wrapped(text: str, width: float, size: float, most: int) -> list[str]:
    """Lines of at most this width; what does not fit into the last one is cut."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size) <= width:
            lines[-1] = joined
        elif len(lines) < most:
            lines.append(fitted(word, width, size))
        else:
            lines[-1] = _cut(f"{lines[-1]} {word}", width, size)
            break
    return lines


def _cut(text: str, width: float, size: float) -> str:
    while text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"


def fitted(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text, cut in its middle to this width."""
    length, line = len(text), text
    while length > 1 and text_width(line, size, weight) > width:
        length -= 1
        line = shorten(text, length)
    return line


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """In inches, as it is drawn."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72
