"""How well a score ranks correct images above wrong ones: AUROC, AURC, AUGRC, FPR95, accuracy at coverage.

A high score means "probably correct"; images are accepted from the highest score down. All are
computed from a ranking that is sorted once and from how often each image counts, so that a bootstrap
resample costs cumulative sums and no sorting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from heatlift.errors import HeatliftError

FloatArray = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int32]
Sums = npt.NDArray[np.int64]
FigureName = Literal["auroc", "aurc", "augrc", "fpr95"]


@dataclass(frozen=True)
class Sample:
    """How often each image counts, one resample a row: positive (r, n+), negative (r, n-).

    The columns are the positive images, and the negative ones, in the order of the arrays given.
    """

    positive: Counts
    negative: Counts


@dataclass(frozen=True)
class Ranking:
    """The order of one score, from the highest down, with ties known as ties.

    Attributes:
        positive, negative: the images of each class, sorted.
        above, upto: for each sorted negative, how many positives score strictly higher, and at least as high.
        negative_above, negative_upto: the same among the negatives.
        accepted: for each sorted positive, how many negatives score at least as high.
    """

    positive: Indices
    negative: Indices
    above: Indices
    upto: Indices
    negative_above: Indices
    negative_upto: Indices
    accepted: Indices

    @classmethod
    def of(cls, scores: Any, positive: Any) -> Ranking:
        """Rank ``scores`` (n,) of images that are ``positive`` (n,) bool: predicted correctly.

        Raises:
            HeatliftError: a score is NaN, or the two arrays differ in length.
        """
        scores, positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
        if scores.shape != positive.shape or scores.ndim != 1:
            raise HeatliftError(
                f"{scores.shape} scores for {positive.shape} images: give one of each per image"
            )
        nans = int(np.isnan(scores).sum())
        if nans:
            raise HeatliftError(f"{nans} of {scores.size} scores are NaN: count those images, leave them out")
        key_positive, key_negative = -scores[positive], -scores[~positive]
        order_positive, order_negative = np.argsort(key_positive), np.argsort(key_negative)
        key_positive, key_negative = key_positive[order_positive], key_negative[order_negative]
        return cls(
            order_positive,
            order_negative,
            np.searchsorted(key_positive, key_negative, "left"),
            np.searchsorted(key_positive, key_negative, "right"),
            np.searchsorted(key_negative, key_negative, "left"),
            np.searchsorted(key_negative, key_negative, "right"),
            np.searchsorted(key_negative, key_positive, "right"),
        )

    @property
    def n_positive(self) -> int:
        return len(self.positive)

    @property
    def n_negative(self) -> int:
        return len(self.negative)

    def whole(self) -> Sample:
        """Every image once."""
        return Sample(np.ones((1, self.n_positive), np.int32), np.ones((1, self.n_negative), np.int32))

    def accept(self, sample: Sample) -> Accepted:
        """Accept the images of each resample one after the other."""
        negative = sample.negative[:, self.negative]
        return Accepted(self, _running(sample.positive[:, self.positive]), negative, _running(negative))

    def statistic(self, *figures: FigureName) -> Callable[[Sample], FloatArray]:
        """A function from a sample of r resamples to the named figures: (figures, r)."""

        def compute(sample: Sample) -> FloatArray:
            accepted = self.accept(sample)
            return np.stack([getattr(accepted, figure)() for figure in figures])

        return compute

    def value(self, figure: FigureName) -> float:
        """The named figure of the images as they are."""
        return float(self.statistic(figure)(self.whole())[0, 0])

    def kept(self, coverage: float) -> int:
        """How many images are accepted at a coverage in (0, 1]: rounded up, and one at least."""
        n = self.n_positive + self.n_negative
        # 0.9 * 10 is a little more than 9 in binary.
        return min(n, max(1, ceil(round(coverage * n, 9))))


@dataclass(frozen=True)
class Accepted:
    """What has been accepted along a ranking, one resample a row.

    Attributes:
        ranking: the order of acceptance.
        correct: accepted positives after each sorted positive, from 0: (r, n+ + 1).
        drawn: how often each sorted negative counts: (r, n-).
        wrong: accepted negatives after each sorted negative, from 0: (r, n- + 1).
    """

    ranking: Ranking
    correct: Sums
    drawn: Counts
    wrong: Sums

    def auroc(self) -> FloatArray:
        """See `auroc`: (r,). Both classes need an image."""
        ranking = self.ranking
        before = self.correct[:, ranking.above] + self.correct[:, ranking.upto]
        pairs = np.einsum("rj,rj->r", self.drawn.astype(np.int64), before)
        return np.asarray(pairs / (2.0 * ranking.n_positive * ranking.n_negative), dtype=np.float64)

    def aurc(self) -> FloatArray:
        """See `aurc`: (r,)."""
        start, stop = self._ties()
        tied = stop - start
        part = np.divide(self.drawn, tied, out=np.zeros(tied.shape), where=tied > 0)
        n = self.ranking.n_positive + self.ranking.n_negative
        table = _risk_table(n)
        return np.asarray(np.einsum("rj,rj->r", part, table[stop] - table[start]) / n, dtype=np.float64)

    def augrc(self) -> FloatArray:
        """See `augrc`: (r,)."""
        start, stop = self._ties()
        n = self.ranking.n_positive + self.ranking.n_negative
        total = np.einsum("rj,rj->r", self.drawn.astype(np.int64), 2 * n - start - stop)
        return np.asarray(total / (2.0 * n * n), dtype=np.float64)

    def fpr95(self) -> FloatArray:
        """See `fpr95`: (r,). Both classes need an image."""
        needed = -(-95 * self.ranking.n_positive // 100)
        threshold = (self.correct[:, 1:] < needed).sum(axis=1)
        accepted = self.wrong[np.arange(len(self.wrong)), self.ranking.accepted[threshold]]
        return np.asarray(accepted / self.ranking.n_negative, dtype=np.float64)

    def accuracy_at(self, coverage: float) -> FloatArray:
        """The share of correct images among the best-ranked part: (r,); ties as in `aurc`."""
        start, stop = self._ties()
        kept = self.ranking.kept(coverage)
        part = np.clip((kept - start) / np.maximum(stop - start, 1), 0, 1)
        return np.asarray(1 - np.einsum("rj,rj->r", self.drawn, part) / kept, dtype=np.float64)

    def _ties(self) -> tuple[Sums, Sums]:
        """The number of images accepted before each sorted negative's tie, and after it: (r, n-) each."""
        ranking = self.ranking
        return (
            self.correct[:, ranking.above] + self.wrong[:, ranking.negative_above],
            self.correct[:, ranking.upto] + self.wrong[:, ranking.negative_upto],
        )


def _running(counts: Counts) -> Sums:
    """Cumulative sums along each row, with the 0 before the first: (r, n) to (r, n + 1)."""
    sums = np.zeros((counts.shape[0], counts.shape[1] + 1), dtype=np.int64)
    np.cumsum(counts, axis=1, dtype=np.int64, out=sums[:, 1:])
    return sums


@lru_cache(maxsize=8)
def _risk_table(n: int) -> FloatArray:
    """What errors at the first x ranks add to the sum of the n selective risks, for x in 0..n.

    An error at rank r is in every accepted set from r on, adding 1/r + ... + 1/n.
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    return np.concatenate([[0.0], np.cumsum(harmonic[-1] - harmonic[:-1])])


def auroc(scores: Any, positive: Any) -> float | None:
    """The probability that a positive image scores higher than a negative one, a tie counting half.

    ``scores`` (n,), ``positive`` (n,) bool; in [0, 1]; None if either class is empty. A constant score
    gives exactly 0.5. (Hanley and McNeil 1982, Radiology 143:29.)

    Raises:
        HeatliftError: a score is NaN.

    >>> auroc([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    0.875
    """
    ranking = Ranking.of(scores, positive)
    if not ranking.n_positive or not ranking.n_negative:
        return None
    return ranking.value("auroc")


def aurc(scores: Any, correct: Any) -> float | None:
    """The share of wrong images among those accepted, averaged over the coverages 1/n, 2/n, ..., 1.

    In [0, 1], low is good; None without images. Selective risk: Geifman and El-Yaniv 2017 ("Selective
    Classification for Deep Neural Networks"); the area: Geifman, Uziel and El-Yaniv 2019
    ("Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers"). Tied images are accepted in
    random order and the expected value is given, so the order of the arrays does not matter.

    Raises:
        HeatliftError: a score is NaN.

    >>> aurc([0.9, 0.1], [False, True])  # the risks are 1 and 1/2
    0.75
    """
    ranking = Ranking.of(scores, correct)
    if not ranking.n_positive + ranking.n_negative:
        return None
    return ranking.value("aurc")


def augrc(scores: Any, correct: Any) -> float | None:
    """The share of all images that are wrong and accepted, averaged over coverages from 0 to 1.

    In [0, 0.5], low is good; None without images. Traub et al. 2024 ("Overcoming Common Flaws in the
    Evaluation of Selective Classification Systems"): the area under the generalised risk. Straight
    lines join its points, which makes it (1 - AUROC) a (1 - a) + (1 - a)^2 / 2 at accuracy a. Tied
    images are accepted in random order and the expected value is given.

    Raises:
        HeatliftError: a score is NaN.

    >>> augrc([0.9, 0.1], [False, True])  # 0, 1/2, 1/2 at coverages 0, 1/2, 1
    0.375
    """
    ranking = Ranking.of(scores, correct)
    if not ranking.n_positive + ranking.n_negative:
        return None
    return ranking.value("augrc")


def fpr95(scores: Any, correct: Any) -> float | None:
    """The share of wrong images accepted at the highest threshold that accepts 95% of the correct ones.

    In [0, 1], low is good; None if either class is empty. Images at the threshold are accepted, all or
    none. (Corbière et al. 2019, "Addressing Failure Prediction by Learning Model Confidence": the
    false-positive rate at 95% true-positive rate, success being the positive class.)

    Raises:
        HeatliftError: a score is NaN.
    """
    ranking = Ranking.of(scores, correct)
    if not ranking.n_positive or not ranking.n_negative:
        return None
    return ranking.value("fpr95")


def accuracy_at(scores: Any, correct: Any, coverage: float) -> float | None:
    """The share of correct images among the ``coverage`` (in (0, 1]) that score highest; None without images.

    The number kept is rounded up. Tied images are accepted in random order and the expected value is given.

    Raises:
        HeatliftError: a score is NaN.

    >>> accuracy_at([0.9, 0.8, 0.2, 0.1], [True, False, True, False], 0.25)
    1.0
    """
    ranking = Ranking.of(scores, correct)
    if not ranking.n_positive + ranking.n_negative:
        return None
    return float(ranking.accept(ranking.whole()).accuracy_at(coverage)[0])


def risk_curve(scores: Any, correct: Any, coverages: Any) -> list[float]:
    """Selective risk: the share of wrong images among those accepted, at each coverage in (0, 1]."""
    ranking = Ranking.of(scores, correct)
    accepted = ranking.accept(ranking.whole())
    return [1 - float(accepted.accuracy_at(float(coverage))[0]) for coverage in coverages]
