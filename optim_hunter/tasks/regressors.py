"""Regressors by name: what each is, and what it predicts. Imports scikit-learn when one is first fitted."""

from __future__ import annotations

import inspect
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError


@dataclass(frozen=True)
class FitContext:
    """What an estimator may depend on beside the data: the seed and the number of examples."""

    seed: int
    examples: int


@dataclass(frozen=True)
class Regressor:
    """A row of the table.

    Attributes:
        label: its name in the published figures; may name options.
        what: the estimator in words.
        make: (module of estimators, context, options) → unfitted estimator in the form of scikit-learn's.
    """

    label: str
    what: str
    make: Callable[..., Any]

    @property
    def options(self) -> dict[str, Any]:
        """Its options with their defaults; one without a default must be given."""
        return {name: one.default for name, one in list(inspect.signature(self.make).parameters.items())[2:]}

    @property
    def required(self) -> list[str]:
        """The options that must be given."""
        return [name for name, default in self.options.items() if default is inspect.Parameter.empty]


def _mlp(*layers: int) -> Callable[..., Any]:
    return lambda e, context: e.MLPRegressor(
        hidden_layer_sizes=layers, activation="relu", solver="lbfgs", random_state=context.seed
    )


def _adaptable(e: Any, context: FitContext) -> Any:
    neighbors = 1 if context.examples < 3 else 3 if context.examples < 7 else 5
    return e.KNeighborsRegressor(neighbors, weights="distance")


def _voting(e: Any, context: FitContext) -> Any:
    forest = e.RandomForestRegressor(random_state=context.seed)
    return e.VotingRegressor([("linear", e.LinearRegression()), ("forest", forest), ("svr", e.SVR())])


def _sgd(e: Any, context: FitContext, learning_rate: float = 0.001, max_iter: int = 100) -> Any:
    steps = e.SGDRegressor(
        penalty=None,
        learning_rate="constant",
        eta0=learning_rate,
        max_iter=max_iter,
        tol=None,
        random_state=context.seed,
    )
    return e.make_pipeline(e.StandardScaler(), steps)


def _bayesian(e: Any, _: FitContext, alpha: float = 1.0, beta: float = 1.0) -> Any:
    """With fixed precisions of prior α and noise β the posterior mean is ridge with α/β, the bias penalised too."""
    return e.make_pipeline(e.PolynomialFeatures(1), e.Ridge(alpha=alpha / beta, fit_intercept=False))


def _descent(
    e: Any, _: FitContext, learning_rate: float = 0.01, max_iterations: int = 1000, tolerance: float = 1e-6
) -> Any:
    return e.make_pipeline(e.StandardScaler(), e.GradientDescent(learning_rate, max_iterations, tolerance))


REGRESSORS: Mapping[str, Regressor] = {
    "linear_regression": Regressor(
        "linear_regression", "ordinary least squares", lambda e, _: e.LinearRegression()
    ),
    "ridge": Regressor("ridge", "ridge, α = 1", lambda e, context: e.Ridge(random_state=context.seed)),
    "lasso": Regressor("lasso", "lasso, α = 1", lambda e, context: e.Lasso(random_state=context.seed)),
    "mlp_universal_approximation_theorem1": Regressor("mlp_uat_1", "MLP (10), L-BFGS", _mlp(10)),
    "mlp_universal_approximation_theorem2": Regressor("mlp_uat_2", "MLP (100), L-BFGS", _mlp(100)),
    "mlp_universal_approximation_theorem3": Regressor("mlp_uat_3", "MLP (1000), L-BFGS", _mlp(1000)),
    "mlp_deep1": Regressor("mlp_deep1", "MLP (10, 10), L-BFGS", _mlp(10, 10)),
    "mlp_deep2": Regressor("mlp_deep2", "MLP (10, 20, 10), L-BFGS", _mlp(10, 20, 10)),
    "mlp_deep3": Regressor("mlp_deep3", "MLP (10, 20, 30, 20, 10), L-BFGS", _mlp(10, 20, 30, 20, 10)),
    "random_forest": Regressor(
        "random_forest",
        "random forest, depth 3",
        lambda e, context: e.RandomForestRegressor(max_depth=3, random_state=context.seed),
    ),
    "bagging": Regressor("bagging", "bagged trees", lambda e, context: e.BaggingRegressor(random_state=context.seed)),
    "gradient_boosting": Regressor(
        "gradient_boosting",
        "gradient boosting",
        lambda e, context: e.GradientBoostingRegressor(random_state=context.seed),
    ),
    "adaboost": Regressor(
        "adaboost",
        "AdaBoost, 100 trees",
        lambda e, context: e.AdaBoostRegressor(n_estimators=100, random_state=context.seed),
    ),
    "voting": Regressor("voting", "mean of least squares, random forest and SVR", _voting),
    "bayesian_regression1": Regressor(
        "bayesian_regression",
        "polynomials of degree 10, standardised, Bayesian ridge",
        lambda e, _: e.make_pipeline(
            e.PolynomialFeatures(10, include_bias=False), e.StandardScaler(), e.BayesianRidge()
        ),
    ),
    "svm_regression": Regressor("svm", "support vector regression", lambda e, _: e.SVR()),
    "svm_and_scaler_regression": Regressor(
        "svm_w_s",
        "the same on standardised features",
        lambda e, _: e.make_pipeline(e.StandardScaler(), e.SVR()),
    ),
    "knn_regression": Regressor("knn", "5 nearest neighbours", lambda e, _: e.KNeighborsRegressor()),
    "knn_regression_v2": Regressor(
        "knn_v2", "5 neighbours, weighted by distance", lambda e, _: e.KNeighborsRegressor(5, weights="distance")
    ),
    "knn_regression_v3": Regressor(
        "knn_v3", "3 neighbours, weighted by distance", lambda e, _: e.KNeighborsRegressor(3, weights="distance")
    ),
    "knn_regression_v4": Regressor(
        "knn_v4", "the nearest neighbour", lambda e, _: e.KNeighborsRegressor(1, weights="distance")
    ),
    "knn_regression_v5_adaptable": Regressor(
        "knn_v5_adaptable", "1, 3 or 5 neighbours (below 3, below 7, from 7 examples on), by distance", _adaptable
    ),
    "knn_regression_search": Regressor(
        "knn_search",
        "the best of 70 kinds of neighbours by leave-one-out: k of 1, 2, 3, 5, 7, 9, 11, both weights, p of 0.25 to 2",
        lambda e, _: e.NeighborSearch(),
    ),
    "kernel_ridge_regression": Regressor(
        "kernel_ridge", "kernel ridge: linear kernel, α = 1, no intercept", lambda e, _: e.KernelRidge()
    ),
    "lr_with_polynomial_features_regression": Regressor(
        "lr_with_polynomial_features",
        "polynomials of degree 2, least squares",
        lambda e, _, degree=2: e.make_pipeline(e.PolynomialFeatures(degree), e.LinearRegression()),
    ),
    "spline_regression": Regressor(
        "spline",
        "cubic splines with 5 knots, least squares",
        lambda e, _, n_knots=5, degree=3: e.make_pipeline(
            e.SplineTransformer(n_knots, degree=degree), e.LinearRegression()
        ),
    ),
    "baseline_average": Regressor("average", "mean of the outputs", lambda e, _: e.DummyRegressor(strategy="mean")),
    "baseline_last": Regressor("last", "the last output", lambda e, _: e.LastOutput()),
    "baseline_random": Regressor(
        "random", "one of the outputs, drawn with the seed", lambda e, context: e.RandomOutput(context.seed)
    ),
    "baseline_constant": Regressor(
        "constant_prediction",
        "a given value",
        lambda e, _, constant_prediction_value: e.DummyRegressor(
            strategy="constant", constant=constant_prediction_value
        ),
    ),
    "solve_ols": Regressor("ols", "ordinary least squares, by SVD", lambda e, _: e.LinearRegression()),
    "solve_normal_equation": Regressor(
        "normal_equation", "XᵀX w = Xᵀy by Cholesky, with a bias column", lambda e, _: e.NormalEquations()
    ),
    "solve_gradient_descent": Regressor(
        "gradient_descent", "steepest descent on standardised features, rate 0.01, 1000 steps", _descent
    ),
    "solve_ridge_regression": Regressor(
        "ridge_regression",
        "ridge, λ = 1",
        lambda e, _, regularization_param=1.0: e.Ridge(alpha=regularization_param),
    ),
    "solve_ridge_regression_closed_form": Regressor(
        "ridge_regression_closed_form",
        "(XᵀX + λI) w = Xᵀy by Cholesky, λ = 1, the bias unpenalised",
        lambda e, _, lambda_reg=1.0: e.NormalEquations(lambda_reg),
    ),
    "solve_lasso_regression": Regressor(
        "lasso_regression",
        "lasso, λ = 0.1",
        lambda e, _, regularization_param=0.1, max_iter=1000: e.Lasso(regularization_param, max_iter=max_iter),
    ),
    "solve_sgd": Regressor("sgd", "stochastic gradient descent on standardised features, rate 0.001, 100 epochs", _sgd),
    "solve_bayesian_linear_regression": Regressor(
        "bayesian_linear_regression", "posterior mean with precisions α = β = 1, the bias under the prior", _bayesian
    ),
    "solve_irls": Regressor(
        "irls",
        "least absolute deviations by reweighted least squares, at most 100 iterations",
        lambda e, _, max_iter=100, tol=1e-6: e.LeastAbsoluteDeviations(max_iter, tol),
    ),
    "solve_pcr": Regressor(
        "pcr_{n_components}_components",
        "standardised features, principal components (all), least squares",
        lambda e, _, n_components=None: e.make_pipeline(e.StandardScaler(), e.PCA(n_components), e.LinearRegression()),
    ),
    "solve_knn": Regressor("knn_{k}_neighbors", "5 nearest neighbours", lambda e, _, k=5: e.KNeighborsRegressor(k)),
}  # fmt: skip

PUBLISHED_REGRESSORS: tuple[str, ...] = (
    "linear_regression", "ridge", "lasso", "mlp_universal_approximation_theorem1",
    "mlp_universal_approximation_theorem2", "mlp_universal_approximation_theorem3", "mlp_deep1", "mlp_deep2",
    "mlp_deep3", "random_forest", "bagging", "gradient_boosting", "adaboost", "bayesian_regression1", "svm_regression",
    "svm_and_scaler_regression", "knn_regression", "knn_regression_v2", "knn_regression_v3", "knn_regression_v4",
    "knn_regression_v5_adaptable", "kernel_ridge_regression", "baseline_average", "baseline_last", "baseline_random",
)  # fmt: skip
"""The regressors of the published error bars."""

PARALLEL_FROM = 8
"""Tables from which on fits run in processes of their own, which take some seconds to start."""


@dataclass(frozen=True)
class TrainingData:
    """Examples, test cases without their outputs, and the seed of what is drawn in fitting."""

    x_train: Float[np.ndarray, "example feature"]
    y_train: Float[np.ndarray, "example"]
    x_test: Float[np.ndarray, "test feature"]
    seed: int = 0

    def __post_init__(self) -> None:
        shapes = self.x_train.shape, self.y_train.shape, self.x_test.shape
        if [len(shape) for shape in shapes] != [2, 1, 2] or not (
            len(self.x_train) == len(self.y_train) > 0 and shapes[0][1] == shapes[2][1]
        ):
            raise UserError(
                f"a regressor takes x_train [n, d], y_train [n] and x_test [m, d], but got shapes {shapes}: "
                "check their order"
            )
        arrays = {"x_train": self.x_train, "y_train": self.y_train, "x_test": self.x_test}
        if wrong := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
            raise UserError(f"{wrong[0]} holds NaN or infinite numbers: leave those rows out")


@dataclass(frozen=True)
class Fit:
    """What a regressor predicts; all NaN with the reason in `missing` where it gives no finite number.

    `warnings` counts what was warned of, by category; `seconds` are those of the processor.
    """

    values: Float[np.ndarray, "test"]
    missing: str | None
    warnings: Mapping[str, int]
    seconds: float


def label_of(name: str, **options: Any) -> str:
    """What the published figures call a regressor."""
    shown = {key: "all" if value is None else value for key, value in (known(name).options | options).items()}
    return known(name).label.format(**shown)


def known(name: str) -> Regressor:
    """The regressor of a name.

    Raises:
        UserError: there is none; names those that begin so or are close, else all.
    """
    if name in REGRESSORS:
        return REGRESSORS[name]
    import difflib

    longer = [one for one in REGRESSORS if name and one.startswith(name)]
    if close := longer or difflib.get_close_matches(name, REGRESSORS, n=3):
        raise UserError(f"no regressor {name!r}: did you mean {', '.join(close)}?")
    raise UserError(f"no regressor {name!r}: choose one of {', '.join(REGRESSORS)}")


def check_regressor(name: str) -> None:
    """Look whether a name can stand in a model's place.

    Raises:
        UserError: no such regressor, or one that needs to be told more than its name.
    """
    if lacking := known(name).required:
        raise UserError(f"{name} needs {lacking[0]}, so that it cannot stand in a model's place: take another")


def estimator(name: str, context: FitContext, **options: Any) -> Any:
    """An unfitted estimator.

    Raises:
        UserError: no such regressor or option, or one that must be given is not.
    """
    regressor = known(name)
    if wrong := options.keys() - regressor.options.keys():
        there = ", ".join(regressor.options) or "none"
        raise UserError(f"{name} has no option {sorted(wrong)[0]!r}: its options are {there}")
    if lacking := [one for one in regressor.required if one not in options]:
        raise UserError(f"{name} needs the option {lacking[0]}: pass it by name")
    from optim_hunter.tasks import estimators

    return regressor.make(estimators, context, **options)


def fit(name: str, table: TrainingData, **options: Any) -> Fit:
    """Fit a regressor and predict; what the fit warns of is counted and not shown.

    Raises:
        UserError: no such regressor or option.
    """
    unfitted = estimator(name, FitContext(table.seed, len(table.y_train)), **options)
    started = time.process_time()
    with _one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            values = np.asarray(unfitted.fit(table.x_train, table.y_train).predict(table.x_test), dtype=float)
            missing = None if np.isfinite(values).all() else "its predictions are not finite"
        except (ValueError, np.linalg.LinAlgError) as error:
            if type(error).__name__ == "InvalidParameterError":  # scikit-learn keeps the class to itself
                raise UserError(f"{name}: {error}") from None
            missing = str(error).split("\n", 1)[0]
    counts, seconds = Counter(one.category.__name__ for one in caught), time.process_time() - started
    if missing is None:
        return Fit(values, None, counts, seconds)
    reason = f"{name} gives no prediction from {len(table.y_train)} examples: {missing}"
    return Fit(np.full(len(table.x_test), np.nan), reason, counts, seconds)


def predict(
    name: str,
    x_train: Float[np.ndarray, "example feature"],
    y_train: Float[np.ndarray, "example"],
    x_test: Float[np.ndarray, "test feature"],
    seed: int = 0,
    **options: Any,
) -> Float[np.ndarray, "test"]:
    """What a regressor predicts for the test cases.

    Raises:
        NoValue: it gives no finite prediction.
        UserError: no such regressor or option, or arrays of other shapes.
    """
    fitted = fit(name, TrainingData(x_train, y_train, x_test, seed), **options)
    if fitted.missing is not None:
        raise NoValue(fitted.missing)
    return fitted.values


def fit_all(names: Sequence[str], tables: Sequence[TrainingData], workers: int | None = None) -> list[dict[str, Fit]]:
    """Every regressor on every table: a dictionary by name for each table; by default on all cores.

    Processes and not threads: most of these fits hold Python's lock, and warnings are counted process by process.
    """
    from joblib import Parallel, cpu_count, delayed

    chosen = workers or (cpu_count() if len(tables) >= PARALLEL_FROM else 1)
    return list(Parallel(n_jobs=chosen)(delayed(_fit_table)(tuple(names), table) for table in tables))


def _fit_table(names: Sequence[str], table: TrainingData) -> dict[str, Fit]:
    """Without the checks of parameters and arrays, which trees repeat hundreds of times a fit."""
    from sklearn import config_context

    with config_context(assume_finite=True, skip_parameter_validation=True):
        return {name: fit(name, table) for name in names}


def _one_thread() -> Any:
    """Small matrices: threads cost more than they give, and their number would change the last digits."""
    return _thread_pools().limit(limits=1)


@cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
