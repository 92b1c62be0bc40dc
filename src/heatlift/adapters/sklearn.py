"""The chance that a prediction is right, in scikit-learn's terms: an estimator to fit on an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit
from scipy.stats import chi2
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from heatlift.adapters.audit_features import AuditFeatures, audit_features
from heatlift.adapters.calibration import Calibration, brier_difference, calibration
from heatlift.adapters.rank_regression import RankRegression
from heatlift.added_value import Added, Known, normal_scores
from heatlift.errors import HeatliftError
from heatlift.logistic import fitted, log_likelihood, with_constant
from heatlift.ranking import FloatArray, Ranking
from heatlift.reading import Run
from heatlift.run.evidence import SIGNIFICANT, too_few
from heatlift.run.verdicts import gain_text
from heatlift.statistics import Figure, bootstrap, percentiles

Audit = (str, Path, Run)
"""What stands for an audit, where scikit-learn has arrays."""


class Unfit(HeatliftError, ValueError):
    """Data that no indicator can be fitted on, or used with; a ValueError, as scikit-learn has it."""


@dataclass(frozen=True)
class Assessment:
    """What an indicator is worth beside plain confidence, all of it out of fold.

    Attributes:
        added: AUROC and AURC less those of confidence alone, and how probable so much better a fit is if the
            scores say nothing more (likelihood ratio, as in `heatlift.added_value.OutOfFold`); None where
            there is nothing beside confidence.
        calibration: of ``indicator``, of ``confidence`` alone (a logistic regression on its logit), and of
            the confidence ``as_given``, where ``y`` says by False and True what it is the confidence in.
        brier: Brier score less that of confidence alone; negative is better.
    """

    added: Added | None
    calibration: Mapping[str, Calibration]
    brier: Figure

    @property
    def adds(self) -> bool:
        """Whether the gain's interval lies above 0, and p below 0.05: the audits' rule for a single score."""
        return self.added is not None and self.added.auroc.above(0) and self.added.p < SIGNIFICANT

    def as_json(self) -> dict[str, Any]:
        """As plain JSON data; a figure is {value, low, high, n}."""
        return asdict(self)


class CorrectnessIndicator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The chance that a prediction is right, from confidence and label-free scores: a logistic regression.

    It takes an audit, a run's folder or what `heatlift.read` gives, or arrays: X (n, 1 + k) whose first
    column is the logit of the confidence, and y, whether each prediction is right. The k scores become normal
    quantiles of their ranks among those fitted on. Its worth is judged in ten folds and stands in
    ``verdict_``, which says so where the scores add nothing to confidence.

    Args:
        scores: which of an audit's scores to use, as its summary names them (``saliency/add``), or
            indicators; None takes all but the controls'.
        bins: of the calibration curves.
        resamples: of the bootstrap.
        random_state: of the folds and the bootstrap, as scikit-learn has it.

    Attributes:
        classes_: what ``y`` holds, sorted; the second means "right", as True does, or 1.
        coef_: the weights (1, 1 + k) of the standardised features, ``intercept_`` (1,).
        scores_: the k scores' names; None if fitted on arrays.
        n_left_out_: images of the audit without a label or without one of the figures.
        assessment_: `Assessment`; None with fewer than 30 right or 30 wrong predictions.
        verdict_: in words.
    """

    def __init__(
        self,
        scores: Sequence[str] | None = None,
        bins: int = 10,
        resamples: int = 1000,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.scores = scores
        self.bins = bins
        self.resamples = resamples
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Fit on an audit, or on X (n, 1 + k) and y (n,).

        Raises:
            HeatliftError: no audit, one without the scores or without labels, or predictions that are all
                right or all wrong.
        """
        if self.bins < 1 or self.resamples < 1:
            raise Unfit(f"{self.bins} bins, {self.resamples} resamples: give at least 1 of each")
        self.scores_, self.n_left_out_ = None, 0
        if isinstance(X, Audit):
            found = audit_features(X, self.scores)
            usable = found.usable & found.labelled
            self.scores_, self.n_left_out_ = found.scores, int((~usable).sum())
            if not found.labelled.any():
                raise Unfit("the audit has no labels: what is right can't be learned from it")
            if not usable.any():
                raise Unfit(f"no image of the audit has a label and all of {', '.join(found.scores)}")
            X, y = found.features[usable], found.correct[usable]  # noqa: N806
        X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
        check_classification_targets(y)
        self.classes_, correct = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise Unfit(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}."
            )
        if len(self.classes_) < 2:
            raise Unfit(f"predictions of one class only ({self.classes_[0]}): it takes right and wrong ones")
        correct = correct.astype(bool)
        self._model = RankRegression.of(X, correct)
        self.intercept_, self.coef_ = self._model.weights[:1], self._model.weights[None, 1:]
        few = too_few(len(correct), int(correct.sum()), int((~correct).sum()))
        self.assessment_ = None if few else self._assessed(X, correct)
        self.verdict_ = few if self.assessment_ is None else _verdict(self.assessment_)
        return self

    def predict_proba(self, X: Any) -> FloatArray:  # noqa: N803
        """The chance of being wrong and of being right, (n, 2), of an audit's images in its order, or of X.

        NaN for an audit's images that lack a figure.
        """
        check_is_fitted(self)
        if isinstance(X, Audit):
            found = self._features(X)
            right = np.full(len(found.usable), np.nan)
            right[found.usable] = expit(self._model.odds(found.features[found.usable]))
        else:
            right = expit(self._model.odds(validate_data(self, X, dtype=np.float64, reset=False)))
        return np.column_stack([1 - right, right])

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Whether each prediction is more likely right than wrong, (n,).

        Raises:
            HeatliftError: an image of the audit lacks a figure.
        """
        right = self.predict_proba(X)[:, 1]
        unknown = int(np.isnan(right).sum())
        if unknown:
            raise Unfit(f"{unknown} of {len(right)} images lack a figure: predict_proba gives NaN for them")
        return self.classes_[(right > 0.5).astype(int)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _features(self, run: Any) -> AuditFeatures:
        if self.scores_ is None:
            raise Unfit("fitted on arrays, so it takes arrays: audit_features makes them of an audit")
        return audit_features(run, self.scores_)

    def _assessed(self, features: FloatArray, correct: Any) -> Assessment:
        """What the fitted indicator is worth, from models of nine folds that judge the tenth."""
        given = self.random_state
        seed = given if isinstance(given, int) else int(check_random_state(given).randint(2**31))
        known = Known.of(features[:, :1], correct, seed)
        odds = np.empty(len(correct))
        for fit, judge in known.folds:
            odds[judge] = RankRegression.of(features[fit], correct[fit]).odds(features[judge])
        alone = features.shape[1] == 1
        probabilities = {
            "indicator": expit(odds),
            "confidence": expit(known.odds),
        }
        if set(self.classes_.tolist()) <= {0, 1}:
            # Of other classes it isn't said which of them the confidence is in.
            probabilities["as_given"] = expit(features[:, 0])
        return Assessment(
            None if alone else self._added(known, odds, features[:, 1:], seed),
            {name: calibration(values, correct, self.bins, seed) for name, values in probabilities.items()},
            brier_difference(probabilities["indicator"], probabilities["confidence"], correct, seed),
        )

    def _added(self, known: Known, odds: FloatArray, scores: FloatArray, seed: int) -> Added:
        rankings = [Ranking.of(odds, known.correct), Ranking.of(known.odds, known.correct)]
        right = int(known.correct.sum())
        draws = bootstrap(
            [ranking.statistic("auroc", "aurc") for ranking in rankings],
            right,
            len(odds) - right,
            self.resamples,
            seed,
        )
        auroc, aurc = (
            [ranking.value("auroc") for ranking in rankings],
            [ranking.value("aurc") for ranking in rankings],
        )
        design = np.column_stack([known.features, *map(normal_scores, scores.T), known.bending])
        likelihood = log_likelihood(with_constant(design) @ fitted(design, known.correct), known.correct)
        return Added(
            percentiles(auroc[0] - auroc[1], draws[0] - draws[2], len(odds)),
            percentiles(aurc[0] - aurc[1], draws[1] - draws[3], len(odds)),
            auroc[1],
            auroc[0],
            float(chi2.sf(max(0.0, 2 * (likelihood - known.likelihood)), scores.shape[1])),
        )


def _verdict(found: Assessment) -> str:
    """Whether the scores add to confidence (`Assessment.adds`), and how well the chances are calibrated."""
    ece = {name: _plain(one.ece) for name, one in found.calibration.items()}
    calibrated = f"expected calibration error {ece['indicator']}"
    if "as_given" in ece:
        calibrated += f", of the confidence as given {ece['as_given']}"
    if found.added is None:
        return f"confidence alone: {calibrated}"
    gains = f"AUROC {gain_text(found.added.auroc)}, Brier score {gain_text(found.brier)}"
    if found.adds:
        return f"adds to confidence: {gains}; {calibrated}"
    return f"adds nothing to confidence here: {gains}, so use confidence alone; {calibrated}"


def _plain(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
