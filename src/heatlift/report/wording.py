"""Numbers and names as the report prints them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from heatlift.report.known import Known

NOTHING = "–"
"""Printed where a figure could not be computed."""


def clean(text: object) -> str:
    """One line of printable characters: a newline, a control or a direction mark becomes a space.

    >>> clean("two\\nlines")
    'two lines'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def shorten(text: object, length: int) -> str:
    """The cleaned text, cut in the middle where it is longer than ``length``: both ends tell.

    >>> shorten("captum:IntegratedGradients", 14)
    'captum:In…ents'
    """
    words = clean(text)
    if len(words) <= length:
        return words
    tail = (length - 1) // 3
    return f"{words[: length - 1 - tail]}…{words[len(words) - tail :]}"


def brief(name: object, length: int) -> str:
    """A heatmap's name in a figure: where it is taken at a layer, the layer is what must stay readable.

    >>> brief("layer_gradcam@blocks.4", 17), brief("captum:IntegratedGradients", 14)
    ('layer_g…@blocks.4', 'captum:In…ents')
    """
    words = clean(name)
    base, at, layer = words.partition("@")
    left = length - len(at + layer)
    if len(words) <= length or not at or left < 4:
        return shorten(words, length)
    return f"{base[: left - 1]}…{at}{layer}"


def places(largest: float) -> int:
    """Decimals that show a number of this size: three significant digits from 1 upwards, two below."""
    if largest == 0 or not math.isfinite(largest):
        return 2
    power = math.floor(math.log10(largest))
    return max(0, 2 - power) if power >= 0 else min(6, 1 - power)


def number(value: float | None) -> str:
    """A figure without its interval; very small ones in scientific notation.

    >>> number(0.4321), number(-12.345), number(0.000012), number(None)
    ('0.43', '−12.3', '1.2e−05', '–')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if 0 < abs(value) < 1e-3:
        return f"{value:.2g}".replace("-", "−")
    return _fixed(value, places(abs(value)))


def value_text(figure: Known | None, decimals: int | None = None) -> str:
    """The value alone, with as many decimals as its interval is printed with."""
    if figure is None:
        return NOTHING
    return _fixed(figure.value, _decimals(figure) if decimals is None else decimals)


def bounds_text(figure: Known | None, decimals: int | None = None) -> str:
    """``[0.39, 0.47]``; empty where there is no interval."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    shown = _decimals(figure) if decimals is None else decimals
    return f"[{_fixed(figure.low, shown)}, {_fixed(figure.high, shown)}]"


def interval(figure: Known | None, decimals: int | None = None) -> str:
    """The value with its interval.

    >>> interval(Known(0.4321, 0.391, 0.469, 300))
    '0.43 [0.39, 0.47]'
    """
    return f"{value_text(figure, decimals)} {bounds_text(figure, decimals)}".strip()


def signed(text: str) -> str:
    """A printed number with its sign also where that is plus; zero and what is unknown have none.

    >>> signed("0.12"), signed("−0.12"), signed("0.000 [−0.001, 0.002]")
    ('+0.12', '−0.12', '0.000 [−0.001, 0.002]')
    """
    value = text.partition(" ")[0]
    return f"+{text}" if value[:1].isdigit() and value.strip("0.") else text


def p_text(p: float | None) -> str:
    """A p-value; very small ones are only said to be small.

    >>> p_text(0.0312), p_text(1e-8), p_text(1.0), p_text(None)
    ('0.031', '< 0.001', '1.00', '–')
    """
    return "< 0.001" if p is not None and p < 1e-3 else number(p)


def p_words(p: float) -> str:
    """A p-value with its name.

    >>> p_words(0.0312), p_words(1e-8)
    ('p = 0.031', 'p < 0.001')
    """
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def count(n: int, noun: str) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{n:,} {noun if n == 1 else noun + 's'}"


def span(counts: Iterable[int]) -> str:
    """``264``, or ``251 to 264`` where the counts differ."""
    found = sorted(set(counts))
    return " to ".join(f"{n:,}" for n in dict.fromkeys((found[0], found[-1]))) if found else "0"


def listing(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _decimals(figure: Known) -> int:
    return places(max(abs(part) for part in (figure.value, figure.low, figure.high) if part is not None))


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")
