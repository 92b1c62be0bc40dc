"""Numbers and names as people read them, in reports and in the viewer alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

NOTHING = "–"
"""Printed where a figure could not be computed."""

LONGEST = 36
"""Characters of a class name; of a list of synonyms, as ImageNet has them, the first ones are kept."""

FACTORS: Mapping[str, str] = {"target": "F-TC", "non_target": "F-NTC", "none": "no factor"}
"""The factors of masks by the names that tables have, and what they are called (Kang 2019)."""


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


def class_name(index: int | None, classes: Sequence[str] | None) -> str:
    """The name of a class, or its number where the run has no names."""
    if index is None or index < 0:
        return "unknown"
    if classes is None or index >= len(classes):
        return f"class {index}"
    name = clean(classes[index])
    synonyms = len(name) > LONGEST and name[:LONGEST].rpartition(", ")[0]
    return synonyms or shorten(name, LONGEST)


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
    return fixed(value, places(abs(value)))


def fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")
