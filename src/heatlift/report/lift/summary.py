"""What a finished lift's two JSON files say, as a typed record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from heatlift.report.facts import second_network
from heatlift.report.summary import Finished, Known, known_figure, mapping, read_summary
from heatlift.run.record import read_record
from heatlift.wording import clean

GROUPS = ("all", "correct", "wrong")
"""The images whose figures are given: all, and those predicted correctly and wrongly before."""


@dataclass(frozen=True)
class Lifted(Finished):
    """A finished lift: besides, its verdict, and its figures by group of images."""

    verdict: str
    finding: str
    figures: Mapping[str, Mapping[str, Known | None]] = field(default_factory=dict)

    def figure(self, name: str, group: str = "all") -> Known | None:
        """A figure of a group of images; None where it is not known."""
        return self.figures.get(group, {}).get(name)

    @property
    def target(self) -> float | None:
        """The CO score aimed at; None where nothing but the prediction was aimed at."""
        aim = self.section("config").get("target_co")
        if self.method == "spotlight" or not isinstance(aim, (int, float)) or not math.isfinite(aim):
            return None
        return float(aim)

    @property
    def method(self) -> str:
        """``gax`` or ``spotlight``."""
        return clean(self.section("config").get("method") or "")

    @property
    def verified(self) -> bool:
        """Whether a second network looked at the images."""
        return self.figure("p_verify_gain") is not None

    @property
    def second(self) -> str:
        """The second network's name."""
        return second_network(self)


def read_lift(folder: Path) -> Lifted:
    """Read RUN/run.json and RUN/summary.json.

    Raises:
        HeatliftError: the folder is not a run, has no summary yet, or is of another format.
    """
    run, summary = read_record(folder), read_summary(folder, "lift")
    groups = mapping(summary.get("figures"))
    return Lifted(
        run=run,
        counts=mapping(summary.get("counts")),
        timing=mapping(run.get("timing")),
        verdict=str(summary.get("verdict") or ""),
        finding=str(summary.get("finding") or ""),
        figures={
            group: {name: known_figure(entry) for name, entry in mapping(groups.get(group)).items()}
            for group in GROUPS
            if mapping(groups.get(group))
        },
    )
