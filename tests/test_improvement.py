"""McNemar's test against a published worked example, statsmodels, and enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference

from heatlift.improvement import mcnemar


def turned(both: int, right: int, wrong: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    before = np.repeat([True, False, True, False], [both, right, wrong, neither])
    return before, np.repeat([True, True, False, False], [both, right, wrong, neither])


@pytest.mark.parametrize("counts", [(10, 3, 40, 7), (0, 1, 1, 0), (5, 0, 6, 5), (100, 12, 9, 30)])
def test_equals_statsmodels(counts: tuple[int, int, int, int]) -> None:
    both, right, wrong, neither = counts
    found = mcnemar(*turned(*counts))
    assert (found.turned_right, found.turned_wrong) == (right, wrong)
    expected = reference([[both, wrong], [right, neither]], exact=True).pvalue
    assert found.p == pytest.approx(expected)


def test_by_hand() -> None:
    # 6 of 6 in one direction: twice 1/64
    assert mcnemar(*turned(3, 6, 0, 2)).p == pytest.approx(2 / 64)
    assert mcnemar(*turned(3, 0, 0, 2)).p == 1.0
