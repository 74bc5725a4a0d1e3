"""Regressors by name: parity with independent instruments, faults, functions, language models among them."""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneOut
from sklearn.neighbors import KNeighborsRegressor

import optim_hunter.LR_methods as LR_methods
import optim_hunter.sklearn_regressors as sklearn_regressors
from optim_hunter.claim import NoValue, UserError
from optim_hunter.models.registry import open_language_model
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.kept import PartStore
from optim_hunter.observe.predictions import table_of
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.tasks.estimators import NeighborSearch
from optim_hunter.tasks.regression import RegressionTask, draw
from optim_hunter.tasks.regressors import (
    PUBLISHED_REGRESSORS,
    REGRESSORS,
    TrainingData,
    estimator,
    fit,
    fit_all,
    predict,
)
from optim_hunter.tasks.results import RegressorFunction

TASK = RegressionTask("friedman_2", examples=25)
NAMED = [name for name, regressor in REGRESSORS.items() if not regressor.required]
CHEAP = ("linear_regression", "knn_regression", "baseline_random", "solve_irls")


def drawn(seed, examples=25, features=4, tests=3):
    generator = np.random.default_rng(seed)
    x = generator.uniform(0, 100, size=(examples + tests, features))
    y = x @ generator.standard_normal(features) + 10 * generator.standard_normal(examples + tests)
    return x[:examples], y[:examples], x[examples:]


def posterior_mean(x_train, y_train, x_test, alpha, beta):
    x, z = (np.column_stack([np.ones(len(rows)), rows]) for rows in (x_train, x_test))
    precision = alpha * np.eye(x.shape[1]) + beta * x.T @ x
    return z @ np.linalg.inv(precision) @ x.T @ y_train * beta


# each solver is what its name says

SAME = {
    "solve_ols": lambda x, y, z: posterior_mean(x, y, z, 0.0, 1.0),
    "solve_normal_equation": lambda x, y, z: LinearRegression().fit(x, y).predict(z),
    "solve_pcr": lambda x, y, z: LinearRegression().fit(x, y).predict(z),
    "solve_ridge_regression_closed_form": lambda x, y, z: Ridge(1.0, solver="svd").fit(x, y).predict(z),
    "solve_ridge_regression": lambda x, y, z: Ridge(1.0, solver="svd").fit(x, y).predict(z),
    "solve_bayesian_linear_regression": lambda x, y, z: posterior_mean(x, y, z, 1.0, 1.0),
    "solve_knn": lambda x, y, z: [y[np.argsort(((x - one) ** 2).sum(1))[:5]].mean() for one in z],
    "baseline_average": lambda _, y, z: np.full(len(z), y.mean()),
    "baseline_last": lambda _, y, z: np.full(len(z), y[-1]),
}


@pytest.mark.parametrize("name", SAME)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), features=st.integers(1, 6))
def test_a_solver_agrees_with_another_way_to_the_same_solution(name, seed, features):
    x, y, z = drawn(seed, features=features)
    np.testing.assert_allclose(predict(name, x, y, z, seed), SAME[name](x, y, z), rtol=1e-6, atol=1e-6)


def test_descents_end_at_least_squares_when_they_have_the_time():
    x, y, z = drawn(0)
    least_squares = predict("solve_ols", x, y, z)
    longer = predict("solve_gradient_descent", x, y, z, learning_rate=0.1, max_iterations=5000, tolerance=1e-8)
    np.testing.assert_allclose(longer, least_squares, rtol=1e-6)
    stochastic = predict("solve_sgd", x, y, z, max_iter=5000)
    assert np.abs(stochastic - least_squares).max() < 0.02 * np.std(y)


def test_irls_comes_close_to_the_least_absolute_deviations_of_a_linear_programme():
    for seed in range(5):
        x, y, _ = drawn(seed, examples=60)
        exact = QuantileRegressor(quantile=0.5, alpha=0, solver="highs").fit(x, y).predict(x)
        found = predict("solve_irls", x, y, x)
        least_squares = predict("solve_ols", x, y, x)
        best, ours, squares = (np.abs(y - one).sum() for one in (exact, found, least_squares))
        assert best <= ours * (1 + 1e-9)
        assert ours - best < 0.02 * (squares - best)


def test_lasso_is_where_its_conditions_hold():
    x, y, _ = drawn(1, examples=60)
    penalty = float(np.abs((x - x.mean(0)).T @ (y - y.mean())).max() / len(y) / 2)  # half of what leaves no weight
    residual = y - predict("solve_lasso_regression", x, y, x, regularization_param=penalty)
    weights = estimator("solve_lasso_regression", None, regularization_param=penalty).fit(x, y).coef_
    slopes = (x - x.mean(0)).T @ residual / len(y)
    assert 0 < np.count_nonzero(weights) < len(weights)
    np.testing.assert_allclose(slopes[weights != 0], penalty * np.sign(weights[weights != 0]), rtol=1e-3)
    assert (np.abs(slopes[weights == 0]) <= penalty).all()


def test_the_neighbour_search_chooses_as_a_grid_search_with_one_left_out_does():
    x, y, z = drawn(3, examples=14)
    search = GridSearchCV(
        KNeighborsRegressor(algorithm="brute"),
        NeighborSearch.GRID.param_grid,
        cv=LeaveOneOut(),
        scoring="neg_mean_squared_error",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = search.fit(x, y)
    assert len(NeighborSearch.GRID) == 70
    np.testing.assert_allclose(predict("knn_regression_search", x, y, z), other.predict(z))
    chosen = NeighborSearch().fit(x, y).best_.get_params()
    assert {name: chosen[name] for name in other.best_params_} == other.best_params_


@pytest.mark.parametrize(("examples", "neighbors"), [(1, 1), (2, 1), (3, 3), (6, 3), (7, 5), (40, 5)])
def test_the_adaptable_neighbours_depend_on_the_number_of_examples(examples, neighbors):
    x, y, z = drawn(5, examples=examples)
    expected = KNeighborsRegressor(neighbors, weights="distance").fit(x, y).predict(z)
    np.testing.assert_array_equal(predict("knn_regression_v5_adaptable", x, y, z), expected)


# faults

FAULTS = {
    "no regressor 'knn_regresion': did you mean knn_regression": ("knn_regresion", {}),
    "no regressor 'mlp_deep': did you mean mlp_deep1, mlp_deep2, mlp_deep3": ("mlp_deep", {}),
    f"no regressor 'xyz': choose one of {', '.join(REGRESSORS)}$": ("xyz", {}),
    f"no regressor '': choose one of {', '.join(REGRESSORS)}$": ("", {}),
    "solve_knn has no option 'neighbours': its options are k": ("solve_knn", {"neighbours": 3}),
    "ridge has no option 'alpha': its options are none": ("ridge", {"alpha": 3}),
    "baseline_constant needs the option constant_prediction_value": ("baseline_constant", {}),
    "solve_knn: The 'n_neighbors' parameter .* Got -3": ("solve_knn", {"k": -3}),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_mistake_is_told_in_one_line(message):
    name, options = FAULTS[message]
    with pytest.raises(UserError, match=message) as error:
        predict(name, *drawn(0), **options)
    assert "\n" not in str(error.value)


def test_arrays_in_another_order_are_refused():
    x, y, z = drawn(0)
    with pytest.raises(UserError, match="check their order"):
        predict("ridge", x, z, y)


def test_what_cannot_be_solved_is_no_value_and_no_other_solver_takes_over():
    x, y, z = drawn(0)
    twice = np.column_stack([x, x[:, 0]])
    with pytest.raises(NoValue, match=r"solve_normal_equation gives no prediction from 25 examples: .*singular"):
        predict("solve_normal_equation", twice * 64.0, y, np.column_stack([z, z[:, 0]]))
    with pytest.raises(NoValue, match="knn_regression gives no prediction from 3 examples"):
        predict("knn_regression", x[:3], y[:3], z)


def test_warnings_are_counted_and_not_shown():
    seen = fit("solve_gradient_descent", TrainingData(*drawn(0)))
    assert seen.warnings == {"ConvergenceWarning": 1}  # warnings are errors in tests: one shown would raise


def test_fits_in_processes_are_those_of_this_one():
    tables = [table_of(TASK, seed) for seed in range(8)]
    names = (*CHEAP, "random_forest")
    here, there = fit_all(names, tables, workers=1), fit_all(names, tables, workers=2)
    for one, other in zip(here, there, strict=True):
        assert list(one) == list(names)
        for name in names:
            np.testing.assert_array_equal(one[name].values, other[name].values)
            assert one[name].warnings == other[name].warnings


# functions


def test_every_regressor_is_a_function_of_its_name():
    functions = {**vars(sklearn_regressors), **vars(LR_methods)}
    others = {"RegressionResult", "create_llm_regressor"}
    assert {*sklearn_regressors.__all__, *LR_methods.__all__} - others == REGRESSORS.keys()
    for name in REGRESSORS:
        assert isinstance(functions[name], RegressorFunction)
        assert functions[name].__name__ == name
        assert functions[name].is_llm is False
        assert REGRESSORS[name].what in functions[name].__doc__
        assert hasattr(LR_methods if name.startswith("solve_") else sklearn_regressors, name)
    assert len(PUBLISHED_REGRESSORS) == len(set(PUBLISHED_REGRESSORS)) == 25
    assert REGRESSORS.keys() >= set(PUBLISHED_REGRESSORS)


@pytest.mark.parametrize("name", NAMED)
def test_a_function_tells_data_prediction_and_error(name):
    x, y, z = drawn(2, examples=12, tests=2)
    function = vars(LR_methods).get(name) or vars(sklearn_regressors)[name]
    gold = np.array([1.0, 2.0])
    result = function(x, y, z, gold, random_state=4)
    np.testing.assert_array_equal(result.y_predict, predict(name, x, y, z, 4))
    assert result.metadata["performance_metrics"]["mse"] == pytest.approx(np.mean((result.y_predict - gold) ** 2))
    assert result.metadata["missing"] == []
    assert (result.x_train is x, result.y_test is gold) == (True, True)


WRONG_DATA = {
    r"y_test has shape \(1,\), but x_test has 3 test cases": {"y_test": [1.0]},
    r"y_test has shape \(3, 1\), but x_test has 3 test cases": {"y_test": np.ones((3, 1))},
    r"y_test has shape \(\), but": {"y_test": None},
    "y_train is no array of numbers": {"y_train": ["many"] * 25},
    "x_test is no array of numbers": {"x_test": [[1.0], [1.0, 2.0]]},
    "a regressor takes x_train": {"y_train": np.ones(24)},
    "y_train holds NaN or infinite numbers": {"y_train": [*[1.0] * 24, np.nan]},
    "x_test holds NaN or infinite numbers": {"x_test": np.full((3, 4), np.inf)},
}


@pytest.mark.parametrize("message", WRONG_DATA)
def test_data_that_do_not_belong_together_are_told_in_one_line(message, planted):
    x, y, z = drawn(2)
    right = {"x_train": x, "y_train": y, "x_test": z, "y_test": np.zeros(3)}
    for function in (sklearn_regressors.ridge, sklearn_regressors.create_llm_regressor(planted, "planted")):
        with pytest.raises(UserError, match=message) as error:
            function(**right | WRONG_DATA[message])
        assert "\n" not in str(error.value)


def test_labels_say_what_was_asked_for():
    x, y, z = drawn(2)
    gold = np.zeros(3)
    assert LR_methods.solve_knn(x, y, z, gold).model_name == "knn_5_neighbors"
    assert LR_methods.solve_knn(x, y, z, gold, k=3).model_name == "knn_3_neighbors"
    assert LR_methods.solve_pcr(x, y, z, gold).model_name == "pcr_all_components"
    constant = sklearn_regressors.baseline_constant(x, y, z, gold, constant_prediction_value=7)
    np.testing.assert_array_equal(constant.y_predict, [7, 7, 7])


def test_a_function_without_a_prediction_says_so_in_its_result():
    x, y, z = drawn(2, examples=3)
    result = sklearn_regressors.knn_regression(x, y, z, np.zeros(3))
    assert np.isnan(result.y_predict).all()
    assert np.isnan(result.metadata["performance_metrics"]["mse"])
    assert "from 3 examples" in result.metadata["missing"][0]


# language models as regressors


@pytest.fixture(scope="module")
def planted():
    return open_language_model("planted:kernel-regression")


def test_a_language_model_answers_as_it_does_in_the_pass(planted):
    task = RegressionTask(examples=5)
    llm = sklearn_regressors.create_llm_regressor(planted, "planted")
    assert (llm.__name__, llm.is_llm) == ("llm-planted", True)
    engine = Engine(planted)
    seen = RegressionPass(engine, {task: dict.fromkeys({0, 1}, frozenset({"answer"}))}, PartStore(None, planted))
    for seed in (0, 1):
        episode = draw(task, seed)
        result = llm(episode.features, episode.outputs, episode.test_features[None], np.array([episode.gold]))
        observed = seen.observe(task, seed)
        assert result.metadata["answers"] == [observed.answer.text]
        assert result.y_predict[0] == observed.prediction
        assert result.metadata["performance_metrics"]["mse"] == (observed.prediction - episode.gold) ** 2


def test_an_answer_that_is_no_number_is_kept_and_counted(monkeypatch, planted):
    x, y, z = drawn(0, examples=4, tests=2)
    llm = sklearn_regressors.create_llm_regressor(planted, "planted")
    answers = iter([("12.5", True), ("about 12", True)])
    monkeypatch.setattr(type(llm), "_answer", lambda *_: next(answers))
    result = llm(x, y, z, np.zeros(2))
    np.testing.assert_array_equal(result.y_predict, [12.5, np.nan])
    assert result.metadata["answers"] == ["12.5", "about 12"]
    assert len(result.metadata["missing"]) == 1
    assert "about 12" in result.metadata["missing"][0]
    assert np.isnan(result.metadata["performance_metrics"]["mse"])


def test_an_answer_that_does_not_end_is_no_number_unless_one_token_was_asked_for(monkeypatch, planted):
    x, y, z = drawn(0, examples=4, tests=1)
    makers = {most: sklearn_regressors.create_llm_regressor(planted, "planted", most) for most in (1, 16)}
    whole, first = (makers[most](x, y, z, np.zeros(1)) for most in (16, 1))
    assert whole.metadata["answers"][0] == first.metadata["answers"][0] + "\n"  # a number is one token here
    assert first.y_predict[0] == whole.y_predict[0]
    monkeypatch.setattr(type(makers[16]), "_answer", lambda *_: ("75", False))
    cut = makers[16](x, y, z, np.zeros(1))
    assert np.isnan(cut.y_predict).all()
    assert "did not end" in cut.metadata["missing"][0]


@pytest.mark.parametrize("model", [None, "planted:kernel-regression", object()])
def test_what_is_no_model_is_told_at_once(model):
    with pytest.raises(UserError, match="is no language model: give what load_llama_model returns"):
        sklearn_regressors.create_llm_regressor(model, "planted")


def test_only_greedy_answers_are_made(planted):
    with pytest.raises(UserError, match="greedy"):
        sklearn_regressors.create_llm_regressor(planted, "planted", temperature=0.7)


def test_options_of_the_table_are_those_of_the_estimators():
    for name, regressor in REGRESSORS.items():
        assert len(inspect.signature(regressor.make).parameters) == 2 + len(regressor.options), name
