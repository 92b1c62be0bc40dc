"""What Kang 2019 printed, to stand beside what a run measures."""

from __future__ import annotations

from collections.abc import Mapping

PAPER: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "VGG-19": {"target": ("48.741", "0.0373"), "non_target": ("48.979", "0.0378")},
    "ResNet-18": {"target": ("44.898", "0.0360"), "non_target": ("44.688", "0.0398")},
}
"""Tables 1 and 2 as printed: the relative improvement in per cent, and the share of the pixels."""

PAPER_PHI: Mapping[str, tuple[float, ...]] = {
    factor: tuple(float(rows[factor][0]) for rows in PAPER.values()) for factor in ("target", "non_target")
}
"""The improvements, as marks in a figure."""
