"""Several audits beside each other as typed records: each one's own figures, and the differences in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heatlift.errors import HeatliftError
from heatlift.ranking import FloatArray
from heatlift.report.known import Known, known_figure
from heatlift.report.records import MethodSummary
from heatlift.report.summary import Audit, read_audit
from heatlift.report.wording import listing
from heatlift.run.compared import (
    FEWEST_RANKED,
    Accuracies,
    Ranks,
    compare_accuracy,
    compare_means,
    compare_ranks,
    kendall,
    spearman,
)
from heatlift.run.paired import OnShared, Paired, read_paired
from heatlift.run.record import read_record
from heatlift.statistics import Figure, share
from heatlift.wording import clean, shorten

MOST_RUNS = 6
"""Beside each other in one report: beyond that no table fits a screen, and no figure has marks to tell."""

SHORT = 24
"""Characters of a run's name in figures and heads of tables."""


@dataclass(frozen=True)
class Side:
    """One of the runs.

    Attributes:
        name: the shortest end of its folder's path that no other run has.
        short: the same where there is little room.
        heatmaps: its summaries by name (``saliency/add``).
        shared: what it says of the images that all runs have.
    """

    name: str
    short: str
    audit: Audit
    heatmaps: Mapping[str, MethodSummary]
    shared: OnShared


@dataclass(frozen=True)
class Heatmap:
    """One heatmap or control that all runs have.

    Attributes:
        summaries: one of each run.
        differences: of each further run, the mean difference to the first of the change of the label's
            probability, over the images that have it in both.
    """

    name: str
    control: bool
    summaries: tuple[MethodSummary, ...]
    differences: tuple[Known | None, ...]

    def figures(self, name: str) -> tuple[Known | None, ...]:
        """A figure of each run; None where it has none."""
        return tuple(summary.figures.get(name) for summary in self.summaries)

    @property
    def added(self) -> tuple[Known | None, ...]:
        """What each run's score adds to the AUROC of confidence; None where that is not known."""
        found = (summary.added.get("confidence") for summary in self.summaries)
        return tuple(added.auroc if added is not None else None for added in found)


@dataclass(frozen=True)
class Beside:
    """The runs side by side; everything that is compared is compared to the first.

    Attributes:
        accuracies, ranks: one for each further run; ``accuracies`` is empty without labels.
        by_gap, by_auroc: the rank correlations of two more figures, from the summaries, without intervals.
        same: the share of usable images for which each further run predicts what the first does.
    """

    sides: tuple[Side, ...]
    paired: Paired
    heatmaps: tuple[Heatmap, ...]
    accuracies: tuple[Accuracies, ...]
    ranks: tuple[Ranks, ...]
    by_gap: tuple[Ranks, ...]
    by_auroc: tuple[Ranks, ...]
    same: tuple[Figure, ...]


def read_beside(folders: Sequence[Path], seed: int = 0) -> Beside:
    """Read finished audits of the same images.

    Raises:
        HeatliftError: a folder is no finished audit, one is given twice, there are too many, no image is in
            every run, or the labels of an image differ.
    """
    _check(folders)
    audits = [read_audit(folder) for folder in folders]
    paired = read_paired(folders)
    names = _names(folders)
    sides = tuple(
        Side(name, short, audit, {method.label: method for method in audit.methods}, shared)
        for name, short, audit, shared in zip(names, _shorts(names), audits, paired.runs, strict=True)
    )
    first, *others = sides
    common = [name for name in first.heatmaps if all(name in side.heatmaps for side in others)]
    common = [name for name in common if all(name in side.shared.changes for side in sides)]
    differences = [
        compare_means(_changes(first, common), _changes(other, common), seed=seed) for other in others
    ]
    rows = tuple(
        Heatmap(
            clean(name),
            name in first.shared.controls,
            tuple(side.heatmaps[name] for side in sides),
            tuple(_known(found[place]) for found in differences),
        )
        for place, name in enumerate(common)
    )
    ranked = [name for name in common if name not in first.shared.controls]
    labelled = paired.labelled
    return Beside(
        sides,
        paired,
        rows,
        tuple(
            compare_accuracy(first.shared.correct[labelled], other.shared.correct[labelled], seed=seed)
            for other in others
            if labelled.any()
        ),
        tuple(compare_ranks(_changes(first, ranked), _changes(other, ranked), seed=seed) for other in others),
        _ranks_of(rows, "gap"),
        _ranks_of(rows, "auroc_label_free"),
        tuple(_same(first.shared, other.shared) for other in others),
    )


def _check(folders: Sequence[Path]) -> None:
    """Everything that can be known before the tables are read."""
    if len(folders) > MOST_RUNS:
        raise HeatliftError(f"{len(folders)} runs are too many for one report: give at most {MOST_RUNS}")
    places = [folder.resolve() for folder in folders]
    twice = next((folder for at, folder in enumerate(folders) if places[at] in places[:at]), None)
    if twice is not None:
        raise HeatliftError(f"{twice} is given twice: give each run once")
    kinds = {folder: str(read_record(folder).get("kind") or "audit") for folder in folders}
    others = [
        f"{folder} is a run of kind '{clean(kind)}'" for folder, kind in kinds.items() if kind != "audit"
    ]
    if others:
        raise HeatliftError(
            f"{listing(others)}: only audits can be compared; report runs of other kinds one at a time"
        )


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = [clean("/".join(part[-length:])) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [clean(folder) for folder in folders]


def _shorts(names: Sequence[str]) -> list[str]:
    """The names cut to a length that fits figures, numbered where the cut makes two alike."""
    found = [shorten(name, SHORT) for name in names]
    if len(set(found)) == len(found):
        return found
    return [f"{place} {shorten(name, SHORT - 2)}" for place, name in enumerate(names, 1)]


def _changes(side: Side, names: Sequence[str]) -> list[FloatArray]:
    return [side.shared.changes[name] for name in names]


def _ranks_of(rows: Sequence[Heatmap], figure: str) -> tuple[Ranks, ...]:
    """How alike the runs order the heatmaps, not the controls, by a figure of their summaries.

    Each run's figures are of its own images: no one number of images is behind these, and ``n`` is 0.
    """
    found = [row.figures(figure) for row in rows if not row.control]
    return tuple(
        _ranks([each[0] for each in found], [each[place] for each in found]) for place in _others(found)
    )


def _others(found: Sequence[tuple[Known | None, ...]]) -> range:
    return range(1, len(found[0])) if found else range(0)


def _ranks(first: Sequence[Known | None], other: Sequence[Known | None]) -> Ranks:
    pairs = [(a.value, b.value) for a, b in zip(first, other, strict=True) if a is not None and b is not None]
    n = len(pairs)
    if n < FEWEST_RANKED:
        return Ranks(Figure.unknown(0), Figure.unknown(0), n)
    here, there = (np.array(values)[:, None] for values in zip(*pairs, strict=True))
    rho, tau = float(spearman(here, there)[0]), float(kendall(here, there)[0])
    spearmans, kendalls = (
        Figure(value if np.isfinite(value) else None, None, None, 0) for value in (rho, tau)
    )
    return Ranks(spearmans, kendalls, n)


def _same(first: OnShared, other: OnShared) -> Figure:
    usable = first.usable & other.usable
    return share(int((first.predicted == other.predicted)[usable].sum()), int(usable.sum()))


def _known(figure: Figure) -> Known | None:
    return known_figure(figure.as_json())
