"""How many images a finding takes, the same for both papers."""

from __future__ import annotations

from heatlift.report.wording import count
from heatlift.run.evidence import FEWEST


def too_few(n: int, noun: str = "image") -> str:
    """What a title adds where so many images allow no conclusion.

    >>> too_few(9), too_few(10)
    (' (9 images: too few to conclude anything)', '')
    """
    return f" ({count(n, noun)}: too few to conclude anything)" if n < FEWEST else ""
