"""Clouds of images: one dot for each, by how it was predicted before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heatlift.report.distributions import Axis, Kind
from heatlift.report.plate import Cloud
from heatlift.report.selection import evenly

MOST_DOTS = 2000
"""Images in a figure with a dot for each."""

KINDS: Mapping[Kind, str] = {"correct": "correct before", "wrong": "wrong before", "all": "all images"}


def cloud(pairs: Sequence[tuple[Kind, tuple[float, float]]], across: str, up: str, diagonal: str) -> Cloud:
    """Dots on a square of one range that holds them all and zero."""
    shown = evenly(pairs, MOST_DOTS)
    both = [value for _, pair in shown for value in pair]
    low, high = min(*both, 0.0), max(*both, 0.0)
    pad = 0.04 * (high - low) or 0.05
    dots: dict[Kind, tuple[tuple[float, float], ...]] = {
        kind: tuple(pair for found, pair in shown if found == kind) for kind in KINDS
    }
    return Cloud(
        {kind: found for kind, found in dots.items() if found},
        Axis(low - pad, high + pad),
        across,
        up,
        diagonal,
    )


def drawn(pairs: Sequence[tuple[Kind, object]]) -> str:
    """``n = 264 correct before, 36 wrong before``, and how many of them are drawn where it is not all."""
    sizes = _counted(kind for kind, _ in pairs)
    cut = f"; {MOST_DOTS:,} of them drawn, evenly spread" if len(pairs) > MOST_DOTS else ""
    return f"n = {sizes}{cut}."


def _counted(kinds: Iterable[Kind]) -> str:
    found = list(kinds)
    return ", ".join(f"{found.count(kind):,} {words}" for kind, words in KINDS.items() if kind in found)
