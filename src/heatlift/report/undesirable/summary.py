"""What the two JSON files of a finished search for undesirable pixels say, as a typed record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heatlift.report.facts import second_network
from heatlift.report.summary import Finished, Known, known_figure, mapping, read_summary
from heatlift.run.record import read_record
from heatlift.wording import FACTORS, clean


@dataclass(frozen=True)
class FactorSummary:
    """The masks of one factor: their figures, and how much those of one image agree from trial to trial."""

    factor: str
    n: int
    left_out: int  # of the mean of phi, since nothing was left to improve
    empty: int  # masks without a pixel above the threshold
    figures: Mapping[str, Known | None]
    agreement: Mapping[str, Known | None]
    pairs: int  # of trials
    both_empty: int

    @property
    def name(self) -> str:
        """As the paper calls it."""
        return factor_name(self.factor)

    @property
    def heading(self) -> str:
        """The name where a title begins with it."""
        return self.name[:1].upper() + self.name[1:]

    def figure(self, name: str) -> Known | None:
        """A figure; None where it is not known."""
        return self.figures.get(name)


@dataclass(frozen=True)
class Undesirable(Finished):
    """A finished search: besides, its verdict, and its figures by factor."""

    verdict: str
    factors: tuple[FactorSummary, ...]

    @property
    def game(self) -> str:
        """``improve``, ``delete`` or ``preserve``."""
        return clean(self.section("config").get("game") or "improve")

    @property
    def target(self) -> object:
        """``predicted``, ``label`` or the number of a class."""
        return self.section("config").get("target", "predicted")

    @property
    def as_printed(self) -> bool:
        """Whether it is of ImageNet's number of classes and the paper's preset, as what Kang 2019 printed."""
        preset = self.section("config").get("preset", "paper")
        outputs = self.section("model").get("num_classes")
        return self.game == "improve" and preset == "paper" and outputs == 1000

    @property
    def trials(self) -> int:
        """Masks of each image and factor."""
        trials = self.section("config").get("trials")
        return trials if isinstance(trials, int) else 1

    @property
    def verified(self) -> bool:
        """Whether a second network looked at the images."""
        return any(factor.figure("p_verify_gain") is not None for factor in self.factors)

    @property
    def second(self) -> str:
        """The second network's name."""
        return second_network(self)


def factor_name(factor: str) -> str:
    """``F-TC``, ``F-NTC``, ``no factor``."""
    return FACTORS.get(factor, clean(factor))


def read_undesirable(folder: Path) -> Undesirable:
    """Read RUN/run.json and RUN/summary.json.

    Raises:
        HeatliftError: the folder is not a run, has no summary yet, or is of another format.
    """
    run, summary = read_record(folder), read_summary(folder, "undesirable")
    return Undesirable(
        run=run,
        counts=mapping(summary.get("counts")),
        timing=mapping(run.get("timing")),
        verdict=str(summary.get("verdict") or ""),
        factors=tuple(_factor(mapping(entry)) for entry in summary.get("factors") or ()),
    )


def _factor(entry: Mapping[str, Any]) -> FactorSummary:
    agreement = mapping(entry.get("agreement"))
    return FactorSummary(
        factor=str(entry.get("factor")),
        n=int(entry.get("n") or 0),
        left_out=int(entry.get("n_phi_excluded") or 0),
        empty=int(entry.get("empty_masks") or 0),
        figures={name: known_figure(value) for name, value in entry.items()},
        agreement={name: known_figure(value) for name, value in agreement.items()},
        pairs=int(agreement.get("pairs") or 0),
        both_empty=int(agreement.get("empty") or 0),
    )
