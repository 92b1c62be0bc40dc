"""An explanation as one picture: what the network sees, and below a row for every change of the image."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from heatlift.figures import BLUE, ORANGE
from heatlift.report.explanation import words
from heatlift.report.explanation.panels import (
    INK,
    MUTED,
    RULE,
    draw_change,
    draw_gradcam,
    draw_photograph,
    draw_saliency,
    styled,
)
from heatlift.report.explanation.sheet import MARGIN, TEXT, Sheet, fitted, text_width, wrapped
from heatlift.report.explanation.words import Standing
from heatlift.wording import clean, shorten

if TYPE_CHECKING:
    from heatlift.explanation import Change, Explanation, Seen

# All lengths are in inches, from the top left.
GAP = 0.32
SIDE = 2.5
BARS = 3.5
WIDTH = 2 * MARGIN + 3 * (SIDE + GAP) + BARS
HEAD, FOOT = 1.2, 0.95
ABOVE, BELOW = 0.72, 0.62
"""What a row has above its pictures, and below."""

SMALL, LARGE, HUGE = 8.5, 12.0, 16.0
"""Further sizes of type, in points."""

OTHER, NEUTRAL = "#a9aeb8", "#3f6f73"
"""Bars of classes that nothing is said about, and of a prediction of which it is not known if it is right."""

COLOURS = {"label": BLUE, "both": BLUE, "wrong": ORANGE, "predicted": NEUTRAL}
"""Of the bars, by the class's role."""

_KEEPING: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "pdf": {"metadata": {"CreationDate": None}},
    "webp": {"pil_kwargs": {"quality": 88, "method": 4}},
}
"""By format: without what would make two files of one explanation differ."""


def explanation_figure(explanation: Explanation) -> Figure:
    """Lay out the picture; matplotlib's pyplot never hears of it."""
    with styled(), _quiet():
        sheet = Sheet(WIDTH, HEAD + (1 + len(explanation.changes)) * (ABOVE + SIDE + BELOW) + FOOT)
        _head(sheet, explanation)
        _seen(sheet, explanation, HEAD)
        for place, change in enumerate(explanation.changes, 1):
            _change(sheet, explanation, change, HEAD + place * (ABOVE + SIDE + BELOW))
        _foot(sheet, explanation)
    return sheet.figure


def written(figure: Figure, file: IO[bytes], kind: str, dpi: int) -> None:
    """Write a figure to a file, the same one for the same figure."""
    with styled(), _quiet():
        figure.savefig(file, format=kind, dpi=dpi, **_KEEPING[kind])


def _head(sheet: Sheet, explanation: Explanation) -> None:
    about = [
        shorten(explanation.network["name"], 60),
        *([shorten(explanation.name, 60)] * bool(explanation.name)),
    ]
    room = WIDTH - 2 * MARGIN
    sheet.write(MARGIN, 0.26, fitted(" · ".join(about), room, SMALL), SMALL, color=MUTED)
    title = words.title(explanation)
    size = next((s for s in (HUGE, 14.0, LARGE) if text_width(title, s, "bold") <= room), LARGE)
    sheet.write(MARGIN, 0.46, fitted(title, room, size, "bold"), size, weight="bold")
    sheet.paragraph(MARGIN, 0.83, " ".join(words.findings(explanation)), room, TEXT, 2)


def _seen(sheet: Sheet, explanation: Explanation, top: float) -> None:
    _row_title(sheet, top, "What the network sees, and where it looks")
    first, second, third, last = _columns()
    pictures = top + ABOVE
    draw_photograph(_picture(sheet, first, top, "The image, as it is shown"), explanation.image)
    height, width = explanation.image.shape[1:]
    _caption(sheet, first, pictures, f"{width} × {height} pixels.")
    axes = _picture(sheet, second, top, "Saliency")
    if _applies(axes, explanation.saliency):
        shades = draw_saliency(axes, explanation.saliency)
        _scale(sheet, second, pictures, shades, ("0", f"{_end(shades):.2g}"))
        told = f"Dark: the prediction hangs on the pixel. In {words.SALIENCY_UNIT}."
        _caption(sheet, second, pictures + 0.2, told)
    axes = _picture(sheet, third, top, "Grad-CAM, last feature map")
    if _applies(axes, explanation.gradcam):
        shades = draw_gradcam(axes, explanation.gradcam, explanation.image)
        limit = f"{_end(shades):.2g}"
        _scale(sheet, third, pictures, shades, (f"−{limit}", f"+{limit}"))
        told = "Red, solid line: for the prediction; blue, dashed: against. Lines: half the scale."
        _caption(sheet, third, pictures + 0.2, told)
    _bars(sheet, last, top, words.standings(explanation), "What it says: probability of each class")


def _change(sheet: Sheet, explanation: Explanation, change: Change, top: float) -> None:
    sheet.rule(top)
    _row_title(sheet, top, words.question(explanation, change))
    first, second, third, last = _columns()
    pictures, blurs = top + ABOVE, change.kind == "undesirable"
    axes = _picture(sheet, first, top, "In the way" if blurs else "The spotlight")
    shades = draw_change(axes, change, explanation.image)
    limit = f"{100 * _end(shades):.2g}%"
    ends = ("as it is", "all blurred") if blurs else (f"−{limit}", f"+{limit}")
    _scale(sheet, first, pictures, shades, ends)
    told = "Red, solid line: brightened; blue, dashed: darkened. Lines: half the scale."
    _caption(sheet, first, pictures + 0.2, words.line_words(change) if blurs else told)
    draw_photograph(
        _picture(sheet, second, top, "With that blurred" if blurs else "With the spotlight"), change.image
    )
    target = words.class_name(explanation, change.target)
    sheet.write(third, pictures - 0.04, words.headline(explanation, change), HUGE, weight="bold")
    down = sheet.paragraph(third, pictures + 0.27, f"probability of ‘{target}’", SIDE, TEXT, 2, color=MUTED)
    for remark in words.remarks(explanation, change):
        down = sheet.paragraph(third, down + 0.06, remark, SIDE, TEXT, 4)
    _bars(sheet, last, top, words.standings(explanation, change), "What it says then")


def _foot(sheet: Sheet, explanation: Explanation) -> None:
    down = sheet.height - FOOT + 0.12
    sheet.rule(down - 0.12)
    for caveat in words.caveats(explanation):
        down = sheet.paragraph(MARGIN, down, caveat, WIDTH - 2 * MARGIN, SMALL, 3, color=MUTED)


def _columns() -> tuple[float, float, float, float]:
    first, second, third, last = (MARGIN + place * (SIDE + GAP) for place in range(4))
    return first, second, third, last


def _row_title(sheet: Sheet, top: float, text: str) -> None:
    line = fitted(text, WIDTH - 2 * MARGIN, LARGE, "bold")
    sheet.write(MARGIN, top + 0.14, line, LARGE, weight="bold")


def _picture(sheet: Sheet, left: float, top: float, title: str) -> Axes:
    sheet.write(left, top + ABOVE - 0.2, title, TEXT)
    axes = sheet.panel(left, top + ABOVE, SIDE, SIDE)
    axes.set_anchor("N")
    return axes


def _caption(sheet: Sheet, left: float, pictures: float, text: str) -> None:
    sheet.paragraph(left, pictures + SIDE + 0.07, text, SIDE, SMALL, 2, color=MUTED)


def _scale(sheet: Sheet, left: float, pictures: float, shades: ScalarMappable, ends: tuple[str, str]) -> None:
    """A strip of the heatmap's colours between what its ends stand for."""
    top, size = pictures + SIDE + 0.07, SMALL
    sheet.write(left, top, ends[0], size, color=MUTED)
    sheet.write(left + SIDE, top, ends[1], size, color=MUTED, ha="right")
    start, end = (text_width(text, size) + 0.08 for text in ends)
    axes = sheet.panel(left + start, top + 0.025, SIDE - start - end, 0.09)
    bar = sheet.figure.colorbar(shades, cax=axes, orientation="horizontal", ticks=[])
    bar.outline.set(edgecolor=RULE, linewidth=0.6)


def _end(shades: ScalarMappable) -> float:
    """Where the colours end."""
    return float(shades.get_clim()[1] or 0)


def _applies(axes: Axes, seen: Seen) -> bool:
    """Whether there is a heatmap; where not, why stands in its place."""
    if seen.heatmap is not None:
        return True
    axes.set(xticks=[], yticks=[])
    lines = wrapped(f"Not shown: {clean(seen.why_not)}", SIDE - 0.3, TEXT, 11)
    axes.text(0.06, 0.94, "\n".join(lines), va="top", size=TEXT, color=MUTED, linespacing=1.3)
    return False


def _bars(sheet: Sheet, left: float, top: float, standings: Sequence[Standing], title: str) -> None:
    """A bar for each class below its name; the outline is what it was before."""
    sheet.write(left, top + ABOVE - 0.2, title, TEXT)
    pictures, pitch = top + ABOVE, SIDE / max(words.TOP + 1, len(standings))
    axes = sheet.panel(left, pictures, BARS, SIDE)
    axes.set(xlim=(0, 1), ylim=(SIDE, 0))
    axes.axis("off")
    for place, standing in enumerate(standings):
        down, colour = place * pitch, COLOURS.get(standing.role, OTHER)
        emphasis = "bold" if standing.role else "normal"
        figures = text_width(standing.figures, TEXT, emphasis) + 0.15
        rank = f"{standing.rank}. " if standing.rank > words.TOP else ""
        tag = f" ({standing.tag})" if standing.tag else ""
        room = BARS - figures - text_width(rank + tag, TEXT, emphasis)
        name = f"{rank}{fitted(standing.name, room, TEXT, emphasis)}{tag}"
        sheet.write(left, pictures + down + 0.02, name, TEXT, weight=emphasis)
        sheet.write(left + BARS, pictures + down + 0.02, standing.figures, TEXT, weight=emphasis, ha="right")
        box = {"y": down + 0.205, "height": 0.12}
        axes.add_patch(Rectangle((0, box["y"]), 1, box["height"], color="#eef0f3", linewidth=0))
        axes.add_patch(Rectangle((0, box["y"]), standing.shown, box["height"], color=colour, linewidth=0))
        if standing.after is not None:
            outline = Rectangle(
                (0, box["y"]), standing.before, box["height"], fill=False, edgecolor=INK, linewidth=1.0
            )
            axes.add_patch(outline)
    note = "Bar: after the change; outline: before it." if standings[0].after is not None else ""
    sheet.write(left, pictures + SIDE + 0.07, note, SMALL, color=MUTED)


class _quiet(warnings.catch_warnings):
    """Letters that the font lacks are drawn as boxes; that is not worth a warning each."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
