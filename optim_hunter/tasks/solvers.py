"""Solvers of linear regression that scikit-learn lacks, in the form of its estimators."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from jaxtyping import Float
from scipy import linalg
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning


class LinearSolver(RegressorMixin, BaseEstimator, ABC):
    """Fits weights of a bias and of each feature; a subclass says how."""

    def fit(self, x: Float[np.ndarray, "example feature"], y: Float[np.ndarray, "example"]) -> Self:
        """Solve for `weights_` [1 + feature], the bias first."""
        self.weights_ = self.solve(with_bias(x), y)
        return self

    def predict(self, x: Float[np.ndarray, "test feature"]) -> Float[np.ndarray, "test"]:
        """Bias plus weighted features."""
        return with_bias(x) @ self.weights_

    @abstractmethod
    def solve(
        self, x: Float[np.ndarray, "example column"], y: Float[np.ndarray, "example"]
    ) -> Float[np.ndarray, "column"]:
        """Weights of the columns, the first of which is one throughout."""


class NormalEquations(LinearSolver):
    """(XᵀX + λI) w = Xᵀy by Cholesky's factorisation, the bias unpenalised.

    Raises:
        numpy.linalg.LinAlgError: the matrix is singular; no other solver takes over.
    """

    def __init__(self, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def solve(
        self, x: Float[np.ndarray, "example column"], y: Float[np.ndarray, "example"]
    ) -> Float[np.ndarray, "column"]:
        """One symmetric positive definite system."""
        penalties = np.full(x.shape[1], self.penalty)
        penalties[0] = 0.0
        return linalg.solve(x.T @ x + np.diag(penalties), x.T @ y, assume_a="pos")


class GradientDescent(LinearSolver):
    """Steepest descent on the mean squared error from zero, all examples in each step, at a fixed rate.

    Neither scikit-learn nor SciPy has it: SGDRegressor steps after each example, SciPy's minimisers choose their steps.
    """

    def __init__(self, learning_rate: float = 0.01, max_iterations: int = 1000, tolerance: float = 1e-6) -> None:
        self.learning_rate = learning_rate
        self.max_iterations = max_iterations
        self.tolerance = tolerance

    def solve(
        self, x: Float[np.ndarray, "example column"], y: Float[np.ndarray, "example"]
    ) -> Float[np.ndarray, "column"]:
        """Step until the gradient's norm is below the tolerance; warns where it is not after the last step."""
        weights = np.zeros(x.shape[1])
        for _ in range(self.max_iterations):
            gradient = 2 / len(y) * x.T @ (x @ weights - y)
            if np.linalg.norm(gradient) < self.tolerance:
                return weights
            weights -= self.learning_rate * gradient
        warnings.warn("gradient descent ended before its tolerance was reached", ConvergenceWarning, stacklevel=2)
        return weights


class LeastAbsoluteDeviations(LinearSolver):
    """The median regression, by the iteratively reweighted least squares of statsmodels' QuantReg."""

    def __init__(self, max_iterations: int = 100, tolerance: float = 1e-6) -> None:
        self.max_iterations = max_iterations
        self.tolerance = tolerance

    def solve(
        self, x: Float[np.ndarray, "example column"], y: Float[np.ndarray, "example"]
    ) -> Float[np.ndarray, "column"]:
        """Weights of the smallest sum of absolute residuals."""
        from statsmodels.regression.quantile_regression import QuantReg

        fitted = QuantReg(y, x).fit(q=0.5, max_iter=self.max_iterations, p_tol=self.tolerance)
        return np.asarray(fitted.params)


def with_bias(x: Float[np.ndarray, "case feature"]) -> Float[np.ndarray, "case column"]:
    """Features behind a column of ones."""
    return np.column_stack([np.ones(len(x)), x])
