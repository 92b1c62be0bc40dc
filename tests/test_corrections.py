"""Holm's correction against a worked example, statsmodels, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from heatlift.corrections import holm


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_equals_statsmodels() -> None:
    for seed in range(20):
        p = np.random.default_rng(seed).random(15) ** 3
        assert holm(list(p)) == pytest.approx(multipletests(p, method="holm")[1].tolist())
