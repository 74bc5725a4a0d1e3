"""The linear model of the stories laboratory, with scikit-learn's estimator interface."""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
from jaxtyping import Float, Int, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from optim_hunter.claim import UserError
from optim_hunter.models.linear_problem import Problem
from optim_hunter.models.linear_solver import minimise


class L1MultinomialRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression on tokens, each at its own position, with an L1 penalty.

    logits = offsets + Σ_position weights[position, token]; minimises the (weighted) mean loss in nats
    + l1 · ‖weights‖₁; offsets are not penalised. Same optimum as scikit-learn's `LogisticRegression` on the
    one-hot tokens with `l1_ratio=1`, `solver="saga"`, `C = 1 / (n · l1)`.

    Args:
        l1: price of a weight, in nats of mean loss. Where windows · l1 is far below 1 little holds a weight
            back, and the gap closes slowly: expect the warning, or raise `max_iterations`.
        context: tokens in a window.
        vocabulary: number of tokens.
        tolerance: relative duality gap at which the fit ends.
        max_iterations: iterations at which it ends with a `ConvergenceWarning`.
        warm_start: begin at the weights of the last fit.

    Attributes:
        classes_: [class], sorted.
        weights_: [context, vocabulary, class].
        offsets_: [class].
        gap_: relative duality gap reached; the objective is at most this share above the optimum.
        objective_: mean loss + l1 · ‖weights‖₁ at the weights, nats.
        n_iter_: iterations taken.

    >>> X = np.array([[0, 1], [1, 1], [0, 0], [1, 0]])
    >>> L1MultinomialRegression(context=2, vocabulary=2, l1=0.01).fit(X, [0, 1, 0, 1]).predict([[1, 1]]).tolist()
    [1]
    """

    def __init__(
        self,
        l1: float = 1e-4,
        context: int = 16,
        vocabulary: int = 1024,
        tolerance: float = 1e-4,
        max_iterations: int = 2000,
        warm_start: bool = False,
    ) -> None:
        self.l1 = l1
        self.context = context
        self.vocabulary = vocabulary
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.warm_start = warm_start

    def fit(
        self,
        X: Int[np.ndarray, "window context"],  # noqa: N803 - scikit-learn's name
        y: Shaped[np.ndarray, "window"],
        sample_weight: Float[np.ndarray, "window"] | None = None,
    ) -> Self:
        """Fit to tokens X and their classes y.

        Raises:
            UserError: tokens, weights, penalty or classes that the model is not defined for.
        """
        tokens = self._checked(X)
        self.classes_, labels = np.unique(y, return_inverse=True)
        weight = np.ones(len(tokens)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        self._check_targets(len(tokens), labels, weight)
        problem = Problem.of(tokens, labels, weight, len(self.classes_), self.vocabulary, self.l1)
        solution = minimise(problem, self.tolerance, self.max_iterations, self._start())
        if not solution.gap <= self.tolerance:
            warnings.warn(
                f"relative duality gap {solution.gap:.1e} above {self.tolerance:g} after {solution.iterations} "
                "iterations: raise max_iterations or tolerance",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.weights_ = solution.weights.reshape(self.context, self.vocabulary, len(self.classes_))
        self.offsets_, self.gap_, self.objective_ = solution.offsets, solution.gap, solution.objective
        self.n_iter_ = solution.iterations
        return self

    def decision_function(self, X: Int[np.ndarray, "window context"]) -> Float[np.ndarray, "window class"]:  # noqa: N803
        """Logits."""
        check_is_fitted(self)
        tokens = self._checked(X)
        return np.asarray(self.offsets_ + self.weights_[np.arange(self.context), tokens].sum(1))

    def predict_proba(self, X: Int[np.ndarray, "window context"]) -> Float[np.ndarray, "window class"]:  # noqa: N803
        """Probability of each class, in the order of `classes_`."""
        from scipy.special import softmax

        return np.asarray(softmax(self.decision_function(X), axis=1))

    def predict(self, X: Int[np.ndarray, "window context"]) -> Shaped[np.ndarray, "window"]:  # noqa: N803
        """The likeliest class."""
        likeliest = self.decision_function(X).argmax(1)
        return np.asarray(self.classes_[likeliest])

    def _start(self) -> Float[np.ndarray, "feature class"] | None:
        shape = (self.context, self.vocabulary, len(self.classes_))
        if not (self.warm_start and hasattr(self, "weights_") and self.weights_.shape == shape):
            return None
        return self.weights_.reshape(-1, len(self.classes_))

    def _checked(self, X: Int[np.ndarray, "window context"]) -> Int[np.ndarray, "window context"]:  # noqa: N803
        tokens = np.asarray(X)
        if tokens.ndim != 2 or tokens.shape[1] != self.context or not len(tokens):
            raise UserError(f"tokens of shape {tokens.shape}: give [windows, {self.context}], or set context")
        if not np.issubdtype(tokens.dtype, np.integer):
            raise UserError(f"tokens of type {tokens.dtype}: give whole numbers, the places in the vocabulary")
        if tokens.min() < 0 or tokens.max() >= self.vocabulary:
            raise UserError(
                f"tokens from {tokens.min()} to {tokens.max()}: they must lie in 0-{self.vocabulary - 1}, "
                "or set vocabulary"
            )
        return tokens.astype(np.int64)

    def _check_targets(
        self, windows: int, labels: Int[np.ndarray, "window"], weight: Float[np.ndarray, "window"]
    ) -> None:
        if not self.l1 > 0:
            raise UserError(f"l1 {self.l1}: it must be above 0, or weights of rare tokens have no finite optimum")
        if len(labels) != windows or weight.shape != (windows,):
            raise UserError(
                f"{windows} windows, {len(labels)} labels, weights of shape {weight.shape}: give one of each a window"
            )
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise UserError("sample weights must be finite and not negative")
        shares = np.bincount(labels, weight, minlength=len(self.classes_))
        if len(shares) < 2 or shares.min() == 0:
            raise UserError(
                f"classes {self.classes_.tolist()} with weights {shares.tolist()}: two or more must have windows"
            )
