"""Logistic regression against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from heatlift.logistic import PENALTY, fitted, log_likelihood, with_constant


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_equals_scikit_learn(scale: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(200, 4))
        positive = rng.random(200) < 1 / (1 + np.exp(-scale * features[:, 0] - 1))
        found = fitted(features, positive)
        plain = LogisticRegression(C=1 / PENALTY, tol=1e-10, max_iter=10_000).fit(features, positive)
        expected = np.r_[plain.intercept_, plain.coef_[0]]
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
        odds = with_constant(features) @ found
        assert log_likelihood(odds, positive) == pytest.approx(
            np.log(np.where(positive, *plain.predict_proba(features).T[::-1])).sum(), rel=1e-5
        )


def test_separable_data_and_idle_features_give_finite_weights() -> None:
    positive = np.arange(40) >= 10
    features = np.column_stack([np.where(positive, 1.0, -1.0), np.zeros(40)])
    found = fitted(features, positive)
    assert np.isfinite(found).all()
    assert found[2] == 0
    assert ((with_constant(features) @ found > 0) == positive).all()
