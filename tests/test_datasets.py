"""Data sets: what the published protocol fixes, and what their docstrings promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets as generators
from sklearn.linear_model import Ridge

from optim_hunter.claim import UserError
from optim_hunter.datasets import get_dataset, get_dataset_friedman_1, get_dataset_friedman_3, get_original2
from optim_hunter.tasks.datasets import DATASETS, known_names, table
from optim_hunter.tasks.regression import RegressionTask, draw

SEEDS = st.integers(0, 2**31 - 1)
NAMES = (*DATASETS, "linear:1", "linear:7", "quadratic:4", "sine:3")
PARTS = {
    "original2:fourth-power": lambda x: x[0] ** 4,
    "original2:product": lambda x: x[1] * x[2],
    "original2:inverse-root": lambda x: 2 / np.sqrt(x[1] * x[3]),
    "original2:squared-combination": lambda x: (x[1] * x[2] - 2 / np.sqrt(x[1] * x[3])) ** 2,
    "original2": lambda x: (x[0] ** 4 + (x[1] * x[2] - 2 / np.sqrt(x[1] * x[3])) ** 2) ** 0.75,
}
BASES = {
    "linear": lambda x: x,
    "quadratic": lambda x: (x - 50) ** 2,
    "sine": lambda x: np.sin(np.pi * x / 25),
}
FRIEDMAN_FEATURES = {1: 10, 2: 4, 3: 4}


@pytest.mark.parametrize("name", NAMES)
def test_queries_are_the_tables_test_cases_and_then_new_rows(name):
    x_train, y_train, x_test, y_test = table(name, 5)
    episodes = [draw(RegressionTask(name, examples=len(y_train), queries_per_seed=32), 5, query) for query in range(32)]
    for episode in episodes:
        np.testing.assert_array_equal(episode.features, x_train)
        np.testing.assert_array_equal(episode.outputs, y_train)
    cases = np.array([[*episode.test_features, episode.gold] for episode in episodes])
    seen = np.column_stack([x_test, y_test])
    np.testing.assert_array_equal(cases[: len(seen)], seen)
    rows = np.vstack([cases, np.column_stack([x_train, y_train])])
    if name != "noisy-line":  # whole numbers come again
        assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 17, 99])
def test_friedmans_are_scikit_learns_rows(number, seed):
    x, y = getattr(generators, f"make_friedman{number}")(51 + 31, random_state=seed)
    rows = np.column_stack([x, y]).round(2)
    x_train, y_train, x_test, y_test = table(f"friedman_{number}", seed)
    assert x_train.shape == (50, FRIEDMAN_FEATURES[number])
    shown = np.column_stack([np.vstack([x_train, x_test]), np.append(y_train, y_test)])
    np.testing.assert_array_equal(np.sort(shown, axis=0), np.sort(rows[:51], axis=0))
    later = draw(RegressionTask(f"friedman_{number}"), seed, 31)
    np.testing.assert_array_equal([*later.test_features, later.gold], rows[-1])


@pytest.mark.parametrize("name", PARTS)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_original2_and_its_sub_expressions_share_their_features(name, seed):
    x_train, y_train, x_test, y_test = table(name, seed)
    features = np.vstack([x_train, x_test])
    drawn = np.random.RandomState(seed).uniform(size=(96, 4))
    np.testing.assert_allclose(features, drawn * [3, 52 * np.pi, 2, 10] + [0, 4 * np.pi, 0, 1])
    np.testing.assert_allclose(np.append(y_train, y_test), PARTS[name](features.T), rtol=1e-9)
    assert (len(y_train), len(y_test)) == (64, 32)


def test_original2_gives_the_published_error_of_ridge_regression():
    """To the last digit (392,099.8), which rounding the data to two or three decimals misses."""
    errors = []
    for seed in range(100):
        x_train, y_train, x_test, y_test = get_original2(random_state=seed)
        errors.append(np.square(Ridge().fit(x_train, y_train).predict(x_test) - y_test).mean())
    assert f"{np.mean(errors):.1f}" == "392099.8"


@pytest.mark.parametrize("family", BASES)
@settings(max_examples=15)
@given(seed=SEEDS, features=st.integers(1, 12))
def test_families_are_what_their_names_say(family, seed, features):
    x_train, y_train, x_test, y_test = table(f"{family}:{features}", seed)
    x, y = np.vstack([x_train, x_test]), np.append(y_train, y_test)
    assert x.shape == (96, features)
    assert 0 <= x.min() <= x.max() <= 100
    assert 0 <= y.min() <= y.max() <= 1000
    design = np.column_stack([BASES[family](x), np.ones(len(x))])
    weights, *_ = np.linalg.lstsq(design, y, rcond=None)
    # The true weights err by the outputs' rounding, at most 0.005 each; the best fit has no larger mean square.
    assert np.sqrt(np.square(design @ weights - y).mean()) <= 0.005 + 1e-9
    np.testing.assert_array_equal(np.column_stack([x, y]), np.column_stack([x, y]).round(2))


def test_a_line_explains_the_linear_family_and_nearly_nothing_of_the_quadratic():
    explained = {family: np.mean([explained_by_a_line(f"{family}:4", seed) for seed in range(50)]) for family in BASES}
    assert explained["linear"] > 0.9999
    assert explained["quadratic"] < 0.1
    assert explained["quadratic"] < explained["sine"] < 0.4


def explained_by_a_line(name, seed):
    x, y, _, _ = table(name, seed)
    design = np.column_stack([x, np.ones(len(x))])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - residual.var() / y.var()


def test_weights_of_a_family_have_both_signs():
    slopes = [np.polyfit(*(part.ravel() for part in table("linear:1", seed)[:2]), 1)[0] for seed in range(50)]
    assert 0.2 < np.mean(np.array(slopes) > 0) < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_and_nothing_else_decides_and_noise_moves_outputs_alone(name):
    dataset = get_dataset(name)
    assert dataset.dataset_name == name
    first, again, other = dataset(3), dataset(random_state=3, noise=0.0), dataset(4)
    noisy = dataset(3, noise=50.0)
    for here, there in zip(first, again, strict=True):
        np.testing.assert_array_equal(here, there)
    assert not np.array_equal(first[0], other[0])
    for place in (0, 2):
        np.testing.assert_array_equal(first[place], noisy[place])
    assert 30 < (noisy[1] - first[1]).std() < 70


def test_the_published_names_stand_for_their_data_sets():
    for number, dataset in {1: get_dataset_friedman_1, 3: get_dataset_friedman_3}.items():
        np.testing.assert_array_equal(dataset()[0], table(f"friedman_{number}", 0)[0])


@pytest.mark.parametrize("name", ["nope", "cubic:3", "original2:x", ""])
def test_an_unknown_data_set_lists_the_known(name):
    for ask in (get_dataset, RegressionTask):
        with pytest.raises(UserError, match=f"no data set {name!r}: choose one of friedman_1, .*linear:N") as refused:
            ask(name)
        assert all(known in str(refused.value) for known in known_names())


@pytest.mark.parametrize(
    "name",
    ["linear", "linear:", "linear:0", "linear:04", "sine:-1", "quadratic:x", "linear:1001", "linear:" + "9" * 5000],
)
def test_a_family_without_its_number_of_features_says_what_is_lacking(name):
    family = name.partition(":")[0]
    for ask in (get_dataset, RegressionTask):
        with pytest.raises(UserError, match=f"N in {family}:N is a whole number from 1 to 1,000"):
            ask(name)
    assert table("linear:1000", 0)[0].shape == (64, 1000)


BAD_DRAWS = {
    "random_state -1: a seed is a whole number from 0": {"random_state": -1},
    "random_state 1.5: a seed is a whole number from 0": {"random_state": 1.5},
    "random_state '3': a seed is a whole number from 0": {"random_state": "3"},
    "random_state None: a seed is a whole number from 0": {"random_state": None},
    "random_state 4294967296: a seed is a whole number from 0": {"random_state": 2**32},
    "noise -1.0: give a standard deviation": {"noise": -1.0},
    "noise nan: give a standard deviation": {"noise": np.nan},
    "noise 'much': give a standard deviation": {"noise": "much"},
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("message", BAD_DRAWS)
def test_what_is_no_seed_or_no_noise_is_told_in_one_line(name, message):
    with pytest.raises(UserError, match=message) as error:
        get_dataset(name)(**BAD_DRAWS[message])
    assert "\n" not in str(error.value)


def test_seeds_of_numpy_are_seeds():
    np.testing.assert_array_equal(table("friedman_2", np.int64(3), np.float32(0))[0], table("friedman_2", 3)[0])


@pytest.mark.parametrize(("name", "most"), [("friedman_2", 50), ("original2", 64), ("linear:3", 64)])
@pytest.mark.parametrize("wrong", [-1, 0, 2.5, "one more"])
def test_a_task_takes_as_many_examples_as_a_seed_draws(name, most, wrong):
    examples = most + 1 if wrong == "one more" else wrong
    with pytest.raises(UserError, match=f"{examples} examples: choose 1 to {most}, which a seed of {name} draws"):
        RegressionTask(name, examples=examples)
    assert len(draw(RegressionTask(name, examples=most), 0).outputs) == most
