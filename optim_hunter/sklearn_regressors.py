"""The published regressors as functions; docs/regressors.md has their table.

Each takes `(x_train, y_train, x_test, y_test, random_state=0, **options)` and returns a `RegressionResult`.
"""

from __future__ import annotations

from optim_hunter.observe.llm_regressor import create_llm_regressor
from optim_hunter.tasks.results import RegressionResult, RegressorFunction

__all__ = [
    "RegressionResult",
    "adaboost",
    "bagging",
    "baseline_average",
    "baseline_constant",
    "baseline_last",
    "baseline_random",
    "bayesian_regression1",
    "create_llm_regressor",
    "gradient_boosting",
    "kernel_ridge_regression",
    "knn_regression",
    "knn_regression_search",
    "knn_regression_v2",
    "knn_regression_v3",
    "knn_regression_v4",
    "knn_regression_v5_adaptable",
    "lasso",
    "linear_regression",
    "lr_with_polynomial_features_regression",
    "mlp_deep1",
    "mlp_deep2",
    "mlp_deep3",
    "mlp_universal_approximation_theorem1",
    "mlp_universal_approximation_theorem2",
    "mlp_universal_approximation_theorem3",
    "random_forest",
    "ridge",
    "spline_regression",
    "svm_and_scaler_regression",
    "svm_regression",
    "voting",
]

linear_regression = RegressorFunction("linear_regression")
ridge = RegressorFunction("ridge")
lasso = RegressorFunction("lasso")
mlp_universal_approximation_theorem1 = RegressorFunction("mlp_universal_approximation_theorem1")
mlp_universal_approximation_theorem2 = RegressorFunction("mlp_universal_approximation_theorem2")
mlp_universal_approximation_theorem3 = RegressorFunction("mlp_universal_approximation_theorem3")
mlp_deep1 = RegressorFunction("mlp_deep1")
mlp_deep2 = RegressorFunction("mlp_deep2")
mlp_deep3 = RegressorFunction("mlp_deep3")
random_forest = RegressorFunction("random_forest")
bagging = RegressorFunction("bagging")
gradient_boosting = RegressorFunction("gradient_boosting")
adaboost = RegressorFunction("adaboost")
voting = RegressorFunction("voting")
bayesian_regression1 = RegressorFunction("bayesian_regression1")
svm_regression = RegressorFunction("svm_regression")
svm_and_scaler_regression = RegressorFunction("svm_and_scaler_regression")
knn_regression = RegressorFunction("knn_regression")
knn_regression_v2 = RegressorFunction("knn_regression_v2")
knn_regression_v3 = RegressorFunction("knn_regression_v3")
knn_regression_v4 = RegressorFunction("knn_regression_v4")
knn_regression_v5_adaptable = RegressorFunction("knn_regression_v5_adaptable")
knn_regression_search = RegressorFunction("knn_regression_search")
kernel_ridge_regression = RegressorFunction("kernel_ridge_regression")
lr_with_polynomial_features_regression = RegressorFunction("lr_with_polynomial_features_regression")
spline_regression = RegressorFunction("spline_regression")
baseline_average = RegressorFunction("baseline_average")
baseline_last = RegressorFunction("baseline_last")
baseline_random = RegressorFunction("baseline_random")
baseline_constant = RegressorFunction("baseline_constant")
