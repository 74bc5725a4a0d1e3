"""What regressors are made of: scikit-learn's estimators, our solvers, and the few that neither has."""

from __future__ import annotations

import random
import warnings
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.decomposition import PCA
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import BayesianRidge, Lasso, LinearRegression, Ridge, SGDRegressor
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler
from sklearn.svm import SVR

from optim_hunter.tasks.solvers import GradientDescent, LeastAbsoluteDeviations, NormalEquations

__all__ = [
    "PCA",
    "SVR",
    "AdaBoostRegressor",
    "BaggingRegressor",
    "BayesianRidge",
    "DummyRegressor",
    "GradientBoostingRegressor",
    "GradientDescent",
    "KNeighborsRegressor",
    "KernelRidge",
    "Lasso",
    "LastOutput",
    "LeastAbsoluteDeviations",
    "LinearRegression",
    "MLPRegressor",
    "NeighborSearch",
    "NormalEquations",
    "PolynomialFeatures",
    "RandomForestRegressor",
    "RandomOutput",
    "Ridge",
    "SGDRegressor",
    "SplineTransformer",
    "StandardScaler",
    "VotingRegressor",
    "make_pipeline",
]


class LastOutput(RegressorMixin, BaseEstimator):
    """Predicts the output of the last example."""

    def fit(self, x: Float[np.ndarray, "example feature"], y: Float[np.ndarray, "example"]) -> Self:  # noqa: ARG002
        """Remember the last output."""
        self.last_ = float(y[-1])
        return self

    def predict(self, x: Float[np.ndarray, "test feature"]) -> Float[np.ndarray, "test"]:
        """The same for every test case."""
        return np.full(len(x), self.last_)


class RandomOutput(RegressorMixin, BaseEstimator):
    """Predicts an output of the examples drawn at random: Python's generator, as in the published runs."""

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, x: Float[np.ndarray, "example feature"], y: Float[np.ndarray, "example"]) -> Self:  # noqa: ARG002
        """Remember the outputs."""
        self.outputs_ = [float(output) for output in y]
        return self

    def predict(self, x: Float[np.ndarray, "test feature"]) -> Float[np.ndarray, "test"]:
        """One draw a test case."""
        generator = random.Random(self.random_state)
        return np.array([generator.choice(self.outputs_) for _ in range(len(x))])


class NeighborSearch(RegressorMixin, BaseEstimator):
    """The k nearest neighbours with the smallest leave-one-out squared error out of a grid; the first of equals.

    `predict(None)` of scikit-learn's estimator is leave-one-out at the cost of one prediction, so that a search over
    70 candidates takes 70 fits instead of 70 for each fold.
    """

    GRID = ParameterGrid(
        {"n_neighbors": [1, 2, 3, 5, 7, 9, 11], "weights": ["uniform", "distance"], "p": [0.25, 0.5, 1, 1.5, 2]}
    )

    def fit(self, x: Float[np.ndarray, "example feature"], y: Float[np.ndarray, "example"]) -> Self:
        """Choose; candidates with as many neighbours as examples or more are left out.

        Raises:
            ValueError: fewer than two examples.
        """
        grid = [one for one in self.GRID if one["n_neighbors"] < len(y)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mind that for 0 < p < 1, Minkowski metrics are not distance")
            candidates = [KNeighborsRegressor(**one, algorithm="brute").fit(x, y) for one in grid]
        if not candidates:
            raise ValueError("a search by leave-one-out needs two examples")
        errors = [float(np.mean((candidate.predict(None) - y) ** 2)) for candidate in candidates]
        self.best_: Any = candidates[int(np.argmin(errors))]
        return self

    def predict(self, x: Float[np.ndarray, "test feature"]) -> Float[np.ndarray, "test"]:
        """The chosen one's prediction from all examples."""
        return self.best_.predict(x)
