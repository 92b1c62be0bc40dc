"""Logistic regression of few features on many images."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from heatlift.ranking import FloatArray

PENALTY = 0.01
"""On the squared weights: next to none, yet where a class is always right its weight stays finite."""

STEPS = 50


def fitted(features: FloatArray, positive: Any) -> FloatArray:
    """Weights (k + 1,) of features (n, k), the constant first, that fit ``positive`` (n,) bool best.

    Newton's method on the log likelihood, less ``PENALTY / 2`` times the squared weights, the constant
    aside. Features are taken to be standardised.
    """
    design, positive = with_constant(features), np.asarray(positive, dtype=bool)
    penalty = np.full(design.shape[1], PENALTY)
    penalty[0] = 0.0
    weights = np.zeros(design.shape[1])
    loss = _loss(design, positive, weights, penalty)
    for _ in range(STEPS):
        p = expit(design @ weights)
        gradient = design.T @ (p - positive) + penalty * weights
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        # Far from the optimum a whole step may overshoot.
        size = 1.0
        while (new := _loss(design, positive, weights - size * step, penalty)) > loss and size > 1e-6:
            size /= 2
        if new > loss:
            break
        weights, gained, loss = weights - size * step, loss - new, new
        if gained < 1e-9:
            break
    return weights


def with_constant(features: FloatArray) -> FloatArray:
    """Features (n, k) with a column of ones in front: (n, k + 1)."""
    return np.column_stack([np.ones(len(features)), features])


def log_likelihood(odds: FloatArray, positive: Any) -> float:
    """Of what happened, under log odds (n,)."""
    return float(-np.logaddexp(0, np.where(positive, -odds, odds)).sum())


def _loss(design: FloatArray, positive: Any, weights: FloatArray, penalty: FloatArray) -> float:
    return float(penalty @ weights**2) / 2 - log_likelihood(design @ weights, positive)
