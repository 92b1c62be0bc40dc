"""A logistic regression on a confidence's logit, and on scores by their ranks, for images yet to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from heatlift.logistic import fitted, with_constant
from heatlift.ranking import FloatArray


@dataclass(frozen=True)
class RankRegression:
    """A fitted model with what its features are measured by.

    Attributes:
        mean, deviation: of the confidence's logit.
        ordered: the values of each score that were fitted on, sorted.
        weights: (2 + k,), the constant first.
    """

    mean: float
    deviation: float
    ordered: tuple[FloatArray, ...]
    weights: FloatArray

    @classmethod
    def of(cls, features: FloatArray, correct: Any) -> RankRegression:
        """Fit features (n, 1 + k), the logit of the confidence and k scores, to ``correct`` (n,) bool."""
        mean, deviation = float(features[:, 0].mean()), float(features[:, 0].std())
        blank = cls(mean, deviation or 1.0, tuple(np.sort(features[:, 1:], axis=0).T), np.empty(0))
        return cls(blank.mean, blank.deviation, blank.ordered, fitted(blank.measured(features), correct))

    def measured(self, features: FloatArray) -> FloatArray:
        """Features (n, 1 + k) as the regression sees them: the logit standardised, scores by their rank."""
        ranks = [
            (np.searchsorted(o, values, "left") + np.searchsorted(o, values, "right")) / (2 * len(o))
            for o, values in zip(self.ordered, features[:, 1:].T, strict=True)
        ]
        # Beyond all that were fitted on, as far out as the outermost of them.
        scores = [
            norm.ppf(np.clip(rank, 0.5 / len(o), 1 - 0.5 / len(o)))
            for o, rank in zip(self.ordered, ranks, strict=True)
        ]
        return np.column_stack([(features[:, 0] - self.mean) / self.deviation, *scores])

    def odds(self, features: FloatArray) -> FloatArray:
        """Log odds of being correct, (n,)."""
        found: FloatArray = with_constant(self.measured(features)) @ self.weights
        return found
