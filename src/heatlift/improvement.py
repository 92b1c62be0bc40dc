"""Whether a change makes predictions right more often than it makes them wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class McNemar:
    """Predictions that turned, and how probable so uneven a count is if both ways are equally likely.

    Attributes:
        turned_right: wrong before, right after.
        turned_wrong: right before, wrong after.
        p: two-sided and exact; 1 where none turned.
    """

    turned_right: int
    turned_wrong: int
    p: float

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def mcnemar(before: Any, after: Any) -> McNemar:
    """McNemar's exact test (1947, Psychometrika 12:153) on which images are right before (n,) and after (n,).

    >>> mcnemar([True, True, False], [False, False, True])
    McNemar(turned_right=1, turned_wrong=2, p=1.0)
    """
    before, after = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    right, wrong = int((~before & after).sum()), int((before & ~after).sum())
    turned = right + wrong
    return McNemar(right, wrong, float(binomtest(right, turned, 0.5).pvalue) if turned else 1.0)
