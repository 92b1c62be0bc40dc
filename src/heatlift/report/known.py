"""Figures as the report holds them: those that could be computed, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from heatlift.statistics import Figure


@dataclass(frozen=True)
class Known(Figure):
    """A figure that could be computed; one that could not is None throughout the report.

    ``p`` is that of the test whose statistic the figure is, where it is one.
    """

    value: float
    p: float | None = None


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; anything else counts as an empty one."""
    return value if isinstance(value, dict) else {}


def plain(value: object) -> float | None:
    """A finite number; None where it is absent or anything else."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def known_figure(entry: object) -> Known | None:
    """A figure of summary.json; None where it is absent or no number."""
    fields = mapping(entry)
    value = plain(fields.get("value"))
    if value is None:
        return None
    return Known(value, plain(fields.get("low")), plain(fields.get("high")), int(fields.get("n") or 0))


def known_figures(entry: Mapping[str, Any]) -> Iterator[tuple[str, Known | None]]:
    """All figures of an entry by name; those of ``accuracy_at`` are ``accuracy_at 0.5`` and so on.

    ``ks_p`` belongs to ``ks``.
    """
    for name, value in entry.items():
        if name == "accuracy_at":
            for coverage, figure in mapping(value).items():
                yield f"{name} {coverage}", known_figure(figure)
        elif "value" in mapping(value):
            known, p = known_figure(value), plain(entry.get(f"{name}_p"))
            yield name, known if known is None or p is None else replace(known, p=p)
