"""Numbers and names as the report prints them."""

from __future__ import annotations

from collections.abc import Iterable

from heatlift.report.known import Known
from heatlift.wording import NOTHING, clean, fixed, number, places, shorten


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


def value_text(figure: Known | None, decimals: int | None = None) -> str:
    """The value alone, with as many decimals as its interval is printed with."""
    if figure is None:
        return NOTHING
    return fixed(figure.value, _decimals(figure) if decimals is None else decimals)


def bounds_text(figure: Known | None, decimals: int | None = None) -> str:
    """``[0.39, 0.47]``; empty where there is no interval."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    shown = _decimals(figure) if decimals is None else decimals
    return f"[{fixed(figure.low, shown)}, {fixed(figure.high, shown)}]"


def interval(figure: Known | None, decimals: int | None = None) -> str:
    """The value with its interval.

    >>> interval(Known(0.4321, 0.391, 0.469, 300))
    '0.43 [0.39, 0.47]'
    """
    return f"{value_text(figure, decimals)} {bounds_text(figure, decimals)}".strip()


def percent(figure: Known | None) -> str:
    """A share with its interval in per cent.

    >>> percent(Known(1.0, 0.784, 1.0, 14))
    '100% [78, 100]'
    """
    if figure is None:
        return NOTHING
    bounds = (
        ""
        if figure.low is None or figure.high is None
        else f" [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"
    )
    return f"{100 * figure.value:.0f}%{bounds}"


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
