"""Matplotlib drawings as SVG that takes its colours and fonts from the page around it.

Two things never pass through matplotlib. Colours: it draws with stand-ins, which become the page's CSS
variables, so one drawing serves light and dark. Names: it draws ``{{0}}``, ``{{1}}``, ..., which become
the escaped names, so neither its mathematical notation nor its fonts have a say in them.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from heatlift.wording import clean

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK = "#0a0b01"
MUTED = "#0a0b02"
RULE = "#0a0b03"
PAGE = "#0a0b04"
CORRECT = "#0a0b05"
WRONG = "#0a0b06"
ALL = "#0a0b07"
CONTROL = "#0a0b08"
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAGE: "page",
    CORRECT: "correct",
    WRONG: "wrong",
    ALL: "all",
    CONTROL: "control",
}

TEXT = 13.0
SMALL = 12.5

_STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.linewidth": 1.0,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 4.0,
    "xtick.major.width": 1.0,
    "xtick.minor.visible": False,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 0.0,
    "lines.solid_capstyle": "butt",
}
_lock = threading.Lock()  # matplotlib's settings are one dictionary for the whole process


class Drawing:
    """A figure whose unit is one CSS pixel at its natural size, measured from the top left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
        FigureCanvasSVG(self.figure)
        self._names: list[str] = []

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes at this place, with a line and ticks below and nothing else."""
        axes = self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )
        axes.set_yticks([])
        return axes

    def name(self, text: str) -> str:
        """What to draw in place of a text that comes from the run."""
        self._names.append(clean(text))
        return f"{{{{{len(self._names) - 1}}}}}"

    def write(self, left: float, top: float, text: str, **style: Any) -> None:
        """Write a text with its vertical middle at ``top``."""
        self.figure.text(left / self.width, 1 - top / self.height, text, **{"va": "center_baseline", **style})

    def rule(self, top: float) -> None:
        """A thin line across the whole figure."""
        y = 1 - top / self.height
        self.figure.add_artist(
            Line2D([0, 1], [y, y], color=RULE, linewidth=1, transform=self.figure.transFigure)
        )

    def svg(self, identity: str, alt: str) -> str:
        """The drawing as an ``<svg>`` element; ``identity`` keeps its ids apart from other drawings'."""
        matplotlib.rcParams["svg.hashsalt"] = identity
        file = io.StringIO()
        self.figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
        return self._finish(file.getvalue(), identity, alt)

    def _finish(self, document: str, identity: str, alt: str) -> str:
        body = document[document.index("<svg") :]
        body = body[body.index(">") + 1 :]
        body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
        body = re.sub(r'<g id="[^"]*"', "<g", body)
        body = re.sub(r'\bid="', f'id="{identity}-', body)
        body = re.sub(r'(?:xlink:)?href="#', f'href="#{identity}-', body)
        body = body.replace("url(#", f"url(#{identity}-")
        for stand_in, variable in VARIABLES.items():
            body = body.replace(stand_in, f"var(--{variable})")
        body = re.sub(r"\{\{(\d+)\}\}", lambda found: escape(self._names[int(found[1])]), body)
        body = re.sub(r"\n\s*", "\n", body)
        return (
            f'<svg role="img" aria-label="{escape(clean(alt))}" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}">{body}'
        )


_METADATA = ("Creator", "Date", "Format", "Type")


@contextmanager
def drawing(width: float, height: float) -> Iterator[Drawing]:
    """A drawing in the report's own style, whatever the caller's matplotlib settings; safe in threads."""
    with _lock, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield Drawing(width, height)
