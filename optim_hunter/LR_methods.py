# ruff: noqa: N999 - the published name
"""The published solvers as functions; docs/regressors.md says where the published ones are not what they are called.

Each takes `(x_train, y_train, x_test, y_test, random_state=0, **options)` and returns a `RegressionResult`.
"""

from __future__ import annotations

from optim_hunter.tasks.results import RegressionResult, RegressorFunction

__all__ = [
    "RegressionResult",
    "solve_bayesian_linear_regression",
    "solve_gradient_descent",
    "solve_irls",
    "solve_knn",
    "solve_lasso_regression",
    "solve_normal_equation",
    "solve_ols",
    "solve_pcr",
    "solve_ridge_regression",
    "solve_ridge_regression_closed_form",
    "solve_sgd",
]

solve_ols = RegressorFunction("solve_ols")
solve_normal_equation = RegressorFunction("solve_normal_equation")
solve_gradient_descent = RegressorFunction("solve_gradient_descent")
solve_ridge_regression = RegressorFunction("solve_ridge_regression")
solve_ridge_regression_closed_form = RegressorFunction("solve_ridge_regression_closed_form")
solve_lasso_regression = RegressorFunction("solve_lasso_regression")
solve_sgd = RegressorFunction("solve_sgd")
solve_bayesian_linear_regression = RegressorFunction("solve_bayesian_linear_regression")
solve_irls = RegressorFunction("solve_irls")
solve_pcr = RegressorFunction("solve_pcr")
solve_knn = RegressorFunction("solve_knn")
