"""How well a score ranks correct images above wrong ones of the same group, such as one predicted class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from heatlift.ranking import FloatArray, Indices, Sample


@dataclass(frozen=True)
class WithinGroups:
    """The order of one score inside each group.

    Attributes:
        positive, negative: the images of each class, sorted by group, and from the highest score down.
        first, last: for each sorted negative, how many positives come before its group, and up to its end.
        above, upto: how many up to its score, those that tie left out, and counted in.
    """

    positive: Indices
    negative: Indices
    first: Indices
    last: Indices
    above: Indices
    upto: Indices

    @classmethod
    def of(cls, scores: Any, positive: Any, groups: Any) -> WithinGroups:
        """Rank ``scores`` (n,) of images that are ``positive`` (n,) bool, each in a group (n,)."""
        positive = np.asarray(positive, dtype=bool)
        _, place = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
        _, group = np.unique(np.asarray(groups), return_inverse=True)
        # One integer for both, so that one search finds a score inside its group.
        width = len(positive) + 1
        keys = group.astype(np.int64) * width + place
        order_positive, order_negative = np.argsort(keys[positive]), np.argsort(keys[~positive])
        key_positive, key_negative = keys[positive][order_positive], keys[~positive][order_negative]
        start = key_negative // width * width
        return cls(
            order_positive,
            order_negative,
            np.searchsorted(key_positive, start, "left"),
            np.searchsorted(key_positive, start + width, "left"),
            np.searchsorted(key_positive, key_negative, "left"),
            np.searchsorted(key_positive, key_negative, "right"),
        )

    @property
    def comparable(self) -> tuple[int, int]:
        """How many positives, and negatives, have one of the other kind in their group."""
        negatives = self.last > self.first
        spans = {(int(a), int(b)) for a, b in zip(self.first[negatives], self.last[negatives], strict=True)}
        return sum(b - a for a, b in spans), int(negatives.sum())

    def statistic(self) -> Callable[[Sample], FloatArray]:
        """A function from a sample of r resamples to the AUROC over all pairs of one group: (1, r).

        NaN where a resample has no such pair.
        """

        def compute(sample: Sample) -> FloatArray:
            drawn = sample.positive[:, self.positive]
            positives = np.zeros((len(drawn), drawn.shape[1] + 1), dtype=np.int64)
            np.cumsum(drawn, axis=1, dtype=np.int64, out=positives[:, 1:])
            negatives = sample.negative[:, self.negative].astype(np.int64)
            before = positives[:, self.first]
            ranked = np.einsum(
                "rj,rj->r", negatives, positives[:, self.above] + positives[:, self.upto] - 2 * before
            )
            pairs = np.einsum("rj,rj->r", negatives, positives[:, self.last] - before)
            result = np.full((1, len(drawn)), np.nan)
            np.divide(ranked, 2.0 * pairs, out=result[0], where=pairs > 0)
            return result

        return compute

    def value(self) -> float:
        """The AUROC over all pairs of one group; NaN where there is no such pair."""
        whole = Sample(np.ones((1, len(self.positive)), np.int32), np.ones((1, len(self.negative)), np.int32))
        return float(self.statistic()(whole)[0, 0])
