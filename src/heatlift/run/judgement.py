"""Scores beside correct and wrong predictions: every figure of each, from resamples that all share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

import numpy as np
from scipy.stats import ks_2samp

from heatlift.added_value import Added, Known, indicators_of, log_odds, normal_scores
from heatlift.ranking import FigureName, FloatArray, Ranking
from heatlift.run.columns import Codes, Mask, Predictions
from heatlift.run.evidence import ENOUGH
from heatlift.statistics import Figure, Statistic, bootstrap, percentiles, share
from heatlift.temperature import TEMPERATURES
from heatlift.within import WithinGroups

RANKED: tuple[FigureName, ...] = get_args(FigureName)
COVERAGES = (0.5, 0.8, 0.9)
"""At which the accuracy of the most confident images is given."""

Name = TypeVar("Name", bound=Hashable)

EXACT = 1000
"""Images up to which the p-value of Kolmogorov-Smirnov's statistic is exact."""

FEW_CLASSES = 10
"""Up to which a class is a covariate."""


@dataclass(frozen=True)
class Settings:
    """Of every bootstrap in one summary."""

    seed: int
    resamples: int


@dataclass(frozen=True)
class Judgement:
    """How one score ranks correct images above wrong ones.

    Attributes:
        figures: ``auroc``, ``aurc``, ``augrc``, ``fpr95``, ``ks`` (without interval), ``within`` (AUROC over
            the pairs of one predicted class), ``confidence`` (its AUROC on the same images),
            ``difference`` (AUROC less that).
        ks_p: of the two-sample test whose statistic ``ks`` is: how probable so large a one is if the score
            is distributed alike over both.
        accuracy_at: of the part with the highest scores, by coverage; Wilson's intervals.
        added: beside confidence, all of the classifier's signals, and its classes; None where there are
            too few images, and for what has nothing to be added to.
    """

    figures: Mapping[str, Figure]
    ks_p: float | None
    accuracy_at: Mapping[str, Figure]
    added: Mapping[str, Added | None] | None

    def as_json(self) -> dict[str, Any]:
        """The figures that a confidence has, too, as summary.json has them."""
        names = (*RANKED, "ks", "within")
        found: dict[str, Any] = {name: self.figures[name].as_json() for name in names}
        found["ks_p"] = self.ks_p
        return found | {"accuracy_at": {key: figure.as_json() for key, figure in self.accuracy_at.items()}}

    def added_json(self) -> dict[str, Any] | None:
        """What it adds, as summary.json has it."""
        if self.added is None:
            return None
        return {name: None if one is None else one.as_json() for name, one in self.added.items()}


@dataclass
class _Resamples:
    """Statistics that are to see the same resamples, and the draws of each."""

    statistics: list[Statistic] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    draws: Any = None

    def ask(self, statistic: Statistic, values: Sequence[float]) -> int:
        """Add a statistic of as many figures as it has values; gives the place of the first."""
        self.statistics.append(statistic)
        self.values += values
        return len(self.values) - len(values)

    def figure(self, place: int, n: int) -> Figure:
        return percentiles(self.values[place], self.draws[place], n)

    def difference(self, place: int, other: int, n: int) -> Figure:
        return percentiles(self.values[place] - self.values[other], self.draws[place] - self.draws[other], n)


@dataclass(frozen=True)
class _Asked:
    """Where the figures of one score will be: of `RANKED` the first, and the pooled one.

    ``comparable`` images can be compared within their class; the others are known at once.
    """

    ranked: int
    within: int
    comparable: int
    ks: float
    ks_p: float
    accuracy_at: Mapping[str, Figure]


@dataclass
class Judge:
    """Judges scores of the same images; each (n,) array has one entry for each of them.

    Args:
        predictions: of the whole run.
        rows: the images, all with a label.
        settings: of the bootstrap.
    """

    predictions: Predictions
    rows: Mask
    settings: Settings

    def __post_init__(self) -> None:
        self.correct: Mask = self.predictions.correct[self.rows]
        self.predicted: Codes = self.predictions.predicted[self.rows]
        self.n, self.n_correct = len(self.correct), int(self.correct.sum())

    @property
    def comparable(self) -> bool:
        """Whether there are two images of each kind."""
        return min(self.n_correct, self.n - self.n_correct) >= 2

    def __call__(
        self, scores: Mapping[Name, FloatArray], added: Sequence[Name] = ()
    ) -> dict[Name, Judgement]:
        """Judge scores by name; of those ``added``, also what they add."""
        if not self.comparable:
            return {name: self._unknown() for name in scores}
        resamples = _Resamples()
        confidence = Ranking.of(self.predictions.confidences["confidence"][self.rows], self.correct)
        plain = resamples.ask(confidence.statistic("auroc"), [confidence.value("auroc")])
        places = {name: self._ask(resamples, values) for name, values in scores.items()}
        enough = min(self.n_correct, self.n - self.n_correct) >= ENOUGH
        models = self._ask_added(resamples, {name: scores[name] for name in added}) if enough else {}
        resamples.draws = bootstrap(
            resamples.statistics,
            self.n_correct,
            self.n - self.n_correct,
            self.settings.resamples,
            self.settings.seed,
        )
        return {name: self._read(resamples, place, plain, models.get(name)) for name, place in places.items()}

    def _ask(self, resamples: _Resamples, scores: FloatArray) -> _Asked:
        """Ask for the figures of one score."""
        ranking = Ranking.of(scores, self.correct)
        ranked = resamples.ask(ranking.statistic(*RANKED), [ranking.value(figure) for figure in RANKED])
        grouped = WithinGroups.of(scores, self.correct, self.predicted)
        accepted = ranking.accept(ranking.whole())
        at = {
            str(coverage): share(
                round(float(accepted.accuracy_at(coverage)[0]) * ranking.kept(coverage)),
                ranking.kept(coverage),
            )
            for coverage in COVERAGES
        }
        within = resamples.ask(grouped.statistic(), [grouped.value()])
        # At the threshold where they differ most they differ by chance, too: an interval would mislead.
        apart = ks_2samp(
            scores[self.correct], scores[~self.correct], method="exact" if self.n <= EXACT else "asymp"
        )
        ks, p = float(apart.statistic), float(apart.pvalue)
        return _Asked(ranked, within, sum(grouped.comparable), ks, p, at)

    def _read(
        self,
        resamples: _Resamples,
        asked: _Asked,
        plain: int,
        models: Mapping[str, tuple[int, int, float] | None] | None,
    ) -> Judgement:
        figures = {name: resamples.figure(asked.ranked + k, self.n) for k, name in enumerate(RANKED)}
        within = self._pooled(resamples, asked)
        difference = resamples.difference(asked.ranked, plain, self.n)
        added = None
        if models is not None:
            added = {
                name: None if found is None else self._added(resamples, *found)
                for name, found in models.items()
            }
        return Judgement(
            figures
            | {
                "ks": Figure(asked.ks, None, None, self.n),
                "within": within,
                "difference": difference,
                "confidence": resamples.figure(plain, self.n),
            },
            asked.ks_p,
            asked.accuracy_at,
            added,
        )

    def _pooled(self, resamples: _Resamples, asked: _Asked) -> Figure:
        """Unknown where next to no two images of one class can be compared."""
        draws, comparable = resamples.draws[asked.within], asked.comparable
        drawn = draws[np.isfinite(draws)]
        if comparable < 4 or len(drawn) < 0.9 * len(draws):
            return Figure.unknown(comparable)
        return percentiles(resamples.values[asked.within], drawn, comparable)

    def _added(self, resamples: _Resamples, before: int, after: int, p: float) -> Added:
        return Added(
            resamples.difference(after, before, self.n),
            resamples.difference(after + 1, before + 1, self.n),
            resamples.values[before],
            resamples.values[after],
            p,
        )

    def _ask_added(
        self, resamples: _Resamples, scores: Mapping[Name, FloatArray]
    ) -> dict[Name, dict[str, tuple[int, int, float] | None]]:
        """For every score and design the places of the figures before and after, and the p-value."""
        found: dict[Name, dict[str, tuple[int, int, float] | None]] = {name: {} for name in scores}
        for design, features in self.designs().items() if scores else ():
            if features is None:
                for name in scores:
                    found[name][design] = None
                continue
            known = Known.of(features, self.correct, self.settings.seed)
            before = self._ask_model(resamples, known.odds)
            for name, values in scores.items():
                told = known.beside(values)
                found[name][design] = before, self._ask_model(resamples, told.after), told.p
        return found

    def _ask_model(self, resamples: _Resamples, odds: FloatArray) -> int:
        ranking = Ranking.of(odds, self.correct)
        return resamples.ask(
            ranking.statistic("auroc", "aurc"), [ranking.value("auroc"), ranking.value("aurc")]
        )

    def designs(self) -> dict[str, FloatArray | None]:
        """What is known already, by design: (n, k) features, None where it does not apply."""
        if self.predictions.log_confidence_at is None:
            log_confidence = np.log(self.predictions.confidences["confidence"][self.rows])
        else:
            # Kept as a logarithm: of a confidence of almost 1 there is more to be told than 1 - p holds.
            log_confidence = self.predictions.log_confidence_at[self.rows, TEMPERATURES.index(1.0)]
        confidence = log_odds(log_confidence)[:, None]
        others = [
            normal_scores(values[self.rows])
            for name, values in self.predictions.confidences.items()
            if name != "confidence"
        ]
        designs: dict[str, FloatArray | None] = {
            "confidence": confidence,
            "signals": np.column_stack([confidence, *others]),
        }
        for name, classes in (
            ("predicted_class", self.predicted),
            ("label", self.predictions.label[self.rows]),
        ):
            many = not 1 < len(np.unique(classes)) <= FEW_CLASSES
            designs[name] = None if many else np.column_stack([confidence, indicators_of(classes)])
        return designs

    def _unknown(self) -> Judgement:
        unknown = Figure.unknown(self.n)
        names = (*RANKED, "ks", "within", "confidence", "difference")
        return Judgement(
            dict.fromkeys(names, unknown), None, dict.fromkeys(map(str, COVERAGES), unknown), None
        )
