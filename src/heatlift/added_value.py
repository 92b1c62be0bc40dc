"""What a score says about correctness beside what is known already: cross-validated logistic regressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2, norm, rankdata
from sklearn.model_selection import StratifiedKFold

from heatlift.logistic import fitted, log_likelihood, with_constant
from heatlift.ranking import FloatArray
from heatlift.statistics import Figure

FOLDS = 10
MANY = 10_000
"""Images from which on five folds do: what a fold leaves out is then far more than a model needs."""

CEILING = 37.0
"""Of the logit of a confidence that is 1 in double precision."""


@dataclass(frozen=True)
class OutOfFold:
    """What models say of each image that were fitted on other images.

    Attributes:
        before: log odds of being correct from what is known already, (n,).
        after: the same with the score beside it, (n,).
        p: of the likelihood ratio of two models fitted on all images, with and without the score: how
            probable so much better a fit is if the score says nothing more (Wilks 1938). In both the
            confidence may bend, so that a score that only mends how it is calibrated earns nothing. Tests of
            nested models' AUROCs are not to be had from the AUROCs themselves (Demler, Pencina and D'Agostino
            2012).
    """

    before: FloatArray
    after: FloatArray
    p: float


@dataclass(frozen=True)
class Added:
    """What a score adds to what is known already: differences of out-of-fold figures, with less before them.

    ``p`` is that of the likelihood ratio (`OutOfFold`).
    """

    auroc: Figure
    aurc: Figure
    auroc_before: float
    auroc_after: float
    p: float

    def as_json(self) -> dict[str, Any]:
        """As summary.json has it."""
        return {
            "auroc": self.auroc.as_json(),
            "aurc": self.aurc.as_json(),
            "auroc_before": self.auroc_before,
            "auroc_after": self.auroc_after,
            "p": self.p,
        }


def log_odds(log_confidence: FloatArray) -> FloatArray:
    """Logit of a probability given by its logarithm, at most 37: (n,) to (n,)."""
    rest = -np.expm1(np.asarray(log_confidence, dtype=np.float64))
    with np.errstate(divide="ignore"):
        odds = log_confidence - np.log(rest)
    return np.asarray(np.clip(odds, -CEILING, CEILING), dtype=np.float64)


def normal_scores(values: FloatArray) -> FloatArray:
    """Ranks as quantiles of the normal law, ties as their mean; a constant becomes 0: (n,) to (n,).

    CO scores have long tails, by which a few images would decide a regression.
    """
    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)), dtype=np.float64)


def indicators_of(classes: Any) -> FloatArray:
    """A column of 0 and 1 for each class but the first: (n,) integers to (n, k - 1)."""
    found, place = np.unique(np.asarray(classes), return_inverse=True)
    return np.asarray(np.eye(len(found))[place][:, 1:], dtype=np.float64)


@dataclass(frozen=True)
class Known:
    """What is known already of each image, and the models that rest on it alone; shared by many scores.

    Attributes:
        features: (n, k), standardised.
        bending: what lets the models of all images bend, (n, j).
        correct: (n,) bool.
        folds: pairs of rows to fit on and rows to judge.
        odds: out-of-fold log odds, (n,).
        likelihood: logarithm of that of the model fitted on all images.
    """

    features: FloatArray
    bending: FloatArray
    correct: Any
    folds: tuple[tuple[Any, Any], ...]
    odds: FloatArray
    likelihood: float

    @classmethod
    def of(cls, features: FloatArray, correct: Any, seed: int = 0) -> Known:
        """Fit the models.

        Args:
            features: (n, k); the first is the confidence's logit.
            correct: (n,) bool; both kinds need as many images as there are folds.
            seed: of the folds.
        """
        correct = np.asarray(correct, dtype=bool)
        deviation = features.std(axis=0)
        features = (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        count = min(FOLDS if len(correct) < MANY else FOLDS // 2, int(correct.sum()), int((~correct).sum()))
        splitter = StratifiedKFold(max(2, count), shuffle=True, random_state=seed % 2**32)
        folds = tuple(splitter.split(features, correct))
        bending = _bends(features[:, 0])
        likelihood = _likelihood(np.column_stack([features, bending]), correct)
        return cls(features, bending, correct, folds, _odds(features, correct, folds), likelihood)

    def beside(self, score: FloatArray) -> OutOfFold:
        """What a score (n,) adds."""
        beside = np.column_stack([self.features, normal_scores(score)])
        odds = _odds(beside, self.correct, self.folds)
        likelihood = _likelihood(np.column_stack([beside, self.bending]), self.correct)
        p = float(chi2.sf(max(0.0, 2 * (likelihood - self.likelihood)), 1))
        return OutOfFold(self.odds, odds, p)


def _bends(confidence: FloatArray) -> FloatArray:
    """Powers of a confidence's rank, by which its log odds may depend on it in any smooth way: (n, 3)."""
    rank = normal_scores(confidence)
    return np.column_stack([rank, rank**2 - 1, (rank**3 - 3 * rank) / 3])


def _odds(features: FloatArray, correct: Any, folds: Any) -> FloatArray:
    """Out-of-fold log odds, (n,)."""
    design, odds = with_constant(features), np.empty(len(correct))
    for fit, judge in folds:
        odds[judge] = design[judge] @ fitted(features[fit], correct[fit])
    return odds


def _likelihood(features: FloatArray, correct: Any) -> float:
    """Logarithm of the likelihood of one model of all images."""
    return log_likelihood(with_constant(features) @ fitted(features, correct), correct)
