"""Whether a score adds to confidence, and to what else it does not, in words that all reports share."""

from __future__ import annotations

from collections.abc import Mapping

from heatlift.report.records import Added
from heatlift.report.tables import gain

ADDS = "adds"
"""The finding of a score that tells something beside confidence, by the rules of the verdicts."""

CONTROL_TOO = "control_too"
"""The finding of one that tells something, as a control under the same operation and scale does."""

ELSE = {
    "signals": "the classifier’s other signals",
    "predicted_class": "the predicted class",
}
"""What a gain beside confidence may be known from anyway."""

FOUND = {
    ADDS: "adds",
    CONTROL_TOO: "a control adds as much",
    "nothing": "says nothing beyond confidence",
    "too_few": "too few images to say",
    "no_labels": "no labels",
}
"""What the findings of heatmaps and indicators mean, in a cell."""


def limits(added: Mapping[str, Added]) -> str:
    """Beside what else the gain's interval reaches down to 0; empty where nowhere."""
    gone = [
        words
        for design, words in ELSE.items()
        if (known := gain(added, design)) is not None and not known.above(0)
    ]
    return f"but not to {' or '.join(gone)}" if gone else ""


def reservation(added: Mapping[str, Added]) -> str:
    """What the gain is not cleared of: its `limits`; else, of many classes, that they were no covariate."""
    told = limits(added)
    if told or gain(added) is None or gain(added, "predicted_class") is not None:
        return told
    return "whether it only tells classes apart was not tested"
