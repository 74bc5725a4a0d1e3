"""The linear model: its optimum against scikit-learn's, its gap, and its manners as an estimator."""

import re

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import estimator_checks

from optim_hunter.claim import UserError
from optim_hunter.models import linear
from optim_hunter.models.linear import L1MultinomialRegression
from optim_hunter.models.linear_problem import Problem
from optim_hunter.models.linear_solver import Solution, centred, minimise

CONTEXT, VOCABULARY = 4, 12


def sample(seed, windows=1500, classes=4):
    """Tokens, skewed as words are, and classes from a sparse linear rule."""
    generator = np.random.default_rng(seed)
    tokens = (VOCABULARY * generator.random((windows, CONTEXT)) ** 2).astype(int)
    rule = generator.normal(size=(CONTEXT, VOCABULARY, classes)) * (generator.random((CONTEXT, VOCABULARY, 1)) < 0.3)
    scores = rule[np.arange(CONTEXT), tokens].sum(1) - np.arange(classes)
    return tokens, (scores + generator.gumbel(size=scores.shape)).argmax(1)


def model(**options):
    return L1MultinomialRegression(**{"l1": 1e-3, "context": CONTEXT, "vocabulary": VOCABULARY, **options})


def objective(tokens, labels, weights, offsets, l1, sample_weight=None):
    logits = offsets + weights[np.arange(CONTEXT), tokens].sum(1)
    losses = logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]
    return np.average(losses, weights=sample_weight) + l1 * np.abs(weights).sum()


def saga_objective(tokens, labels, l1, sample_weight=None):
    """Of scikit-learn's fit with the same penalty, run long."""
    total = len(labels) if sample_weight is None else sample_weight.sum()
    rows = OneHotEncoder(categories=[np.arange(VOCABULARY)] * CONTEXT, sparse_output=False).fit_transform(tokens)
    saga = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=1 / (total * l1), max_iter=5000, tol=1e-7, random_state=0
    ).fit(rows, labels, sample_weight)
    # Of two classes scikit-learn keeps one column, the difference.
    columns = saga.coef_ if len(saga.classes_) > 2 else np.vstack([0 * saga.coef_, saga.coef_])
    offsets = saga.intercept_ if len(saga.classes_) > 2 else np.append(0, saga.intercept_)
    return objective(tokens, labels, columns.T.reshape(CONTEXT, VOCABULARY, -1), offsets, l1, sample_weight)


@pytest.mark.parametrize("l1", [1e-2, 3e-3])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_optimum_is_that_of_saga(l1, classes):
    tokens, labels = sample(0, windows=600, classes=classes)
    ours = model(l1=l1, tolerance=1e-7).fit(tokens, labels)
    assert ours.objective_ == pytest.approx(objective(tokens, labels, ours.weights_, ours.offsets_, l1), rel=1e-9)
    assert ours.objective_ == pytest.approx(saga_objective(tokens, labels, l1), rel=1e-5)
    assert ours.objective_ <= saga_objective(tokens, labels, l1) * (1 + 1e-7)


def test_sample_weights_count_as_copies_do():
    tokens, labels = sample(1, windows=400)
    copies = np.random.default_rng(1).integers(0, 4, size=len(labels))
    weighted = model(tolerance=1e-7).fit(tokens, labels, sample_weight=copies)
    copied = model(tolerance=1e-7).fit(np.repeat(tokens, copies, axis=0), np.repeat(labels, copies))
    assert weighted.objective_ == pytest.approx(copied.objective_, rel=1e-6)
    np.testing.assert_allclose(weighted.predict_proba(tokens), copied.predict_proba(tokens), atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("l1", [1e-2, 1e-3, 3e-4])
def test_the_gap_bounds_the_distance_to_the_optimum(seed, l1):
    tokens, labels = sample(seed, windows=500)
    problem = Problem.of(tokens, labels, np.ones(len(labels)), 4, VOCABULARY, l1)
    best = minimise(problem, 1e-8, 5000)
    assert best.gap <= 1e-8
    for iterations in (0, 1, 5, 20, 40):
        early = minimise(problem, 1e-8, iterations)
        assert early.bound <= best.objective * (1 + 1e-12)
        assert early.objective >= best.bound * (1 - 1e-12)


def test_the_optimality_conditions_hold():
    tokens, labels = sample(2)
    l1 = 1e-3
    fitted = model(l1=l1, tolerance=1e-7).fit(tokens, labels)
    residual = (fitted.predict_proba(tokens) - np.eye(4)[labels]) / len(labels)
    assert np.abs(residual.sum(0)).max() < 1e-8
    gradient = np.zeros_like(fitted.weights_)
    for position in range(CONTEXT):
        np.add.at(gradient[position], tokens[:, position], residual)
    assert np.abs(gradient).max() <= l1 * (1 + 1e-4)
    active = fitted.weights_ != 0
    np.testing.assert_allclose(gradient[active], -l1 * np.sign(fitted.weights_[active]), rtol=1e-2)


def test_a_warm_start_ends_at_the_same_optimum():
    tokens, labels = sample(3)
    cold = model(tolerance=1e-7).fit(tokens, labels)
    warm = model(l1=5e-3, tolerance=1e-7, warm_start=True).fit(tokens, labels).set_params(l1=1e-3).fit(tokens, labels)
    assert warm.objective_ == pytest.approx(cold.objective_, rel=1e-6)
    again = warm.fit(tokens, labels)
    assert again.n_iter_ <= 1


def test_a_penalty_above_all_gradients_leaves_the_offsets_alone():
    tokens, labels = sample(4)
    fitted = model(l1=2.0).fit(tokens, labels)
    assert not fitted.weights_.any()
    np.testing.assert_allclose(fitted.predict_proba(tokens)[0], np.bincount(labels) / len(labels), atol=1e-9)


def test_tokens_that_always_go_together_are_no_obstacle():
    tokens, labels = sample(5)
    tokens[:, 1] = tokens[:, 0]
    assert model().fit(tokens, labels).gap_ <= 1e-4


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_positions_that_nearly_repeat_each_other_stall_no_fit(seed):
    generator = np.random.default_rng(seed)
    kinds, windows, unlike = 40, 4000, (2, 8, 30)[seed % 3]
    kind = generator.integers(kinds, size=windows)
    tokens = np.repeat(kind[:, None], 2, 1)
    tokens[generator.integers(windows, size=unlike), 1] = generator.integers(kinds, size=unlike)
    steep = 1 / (1 + np.exp(-generator.normal(0, 5, kinds)))
    labels = (generator.random(windows) < steep[kind]).astype(int)
    problem = Problem.of(tokens, labels, np.ones(windows), 2, kinds, 3e-5)
    assert minimise(problem, 1e-6, 300).gap <= 1e-6


def test_what_a_tokens_weights_share_changes_no_probability_and_costs():
    weights = np.random.default_rng(0).normal(loc=1.0, size=(6, 4))
    after = centred(weights)
    assert np.abs(after).sum() < np.abs(weights).sum()
    shift = after - weights
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-12)


def test_too_few_iterations_are_said_aloud():
    tokens, labels = sample(6)
    with pytest.warns(ConvergenceWarning, match=r"relative duality gap .* above 0.0001 after 2 iterations"):
        fitted = model(max_iterations=2).fit(tokens, labels)
    assert fitted.gap_ > 1e-4


def test_a_gap_that_is_not_a_number_is_said_aloud(monkeypatch):
    tokens, labels = sample(6)
    unfinished = Solution(np.zeros((CONTEXT * VOCABULARY, 4)), np.zeros(4), np.nan, np.nan, 1)
    monkeypatch.setattr(linear, "minimise", lambda *_: unfinished)
    with pytest.warns(ConvergenceWarning, match="relative duality gap nan above"):
        model().fit(tokens, labels)


def test_it_is_an_estimator():
    tokens, labels = sample(7)
    names = np.array(["and", "but", "for", "so"])[labels]
    search = GridSearchCV(model(), {"l1": [1e-2, 1e-3]}, cv=2, scoring="neg_log_loss").fit(tokens, names)
    copy = clone(search.best_estimator_)
    assert copy.get_params() == search.best_estimator_.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(tokens)
    fitted = copy.fit(tokens, names)
    assert fitted.weights_.shape == (CONTEXT, VOCABULARY, 4)
    assert fitted.offsets_.shape == (4,)
    assert fitted.classes_.tolist() == ["and", "but", "for", "so"]
    np.testing.assert_allclose(fitted.predict_proba(tokens).sum(1), 1)
    assert fitted.score(tokens, names) == np.mean(fitted.predict(tokens) == names)
    assert fitted.score(tokens, names) > np.unique(names, return_counts=True)[1].max() / len(names)


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_it_passes_scikit_learns_checks_that_give_no_data(check):
    # The others fit numbers that are no tokens, which the model refuses.
    getattr(estimator_checks, check)(type(model()).__name__, model())


BAD = {
    "tokens of shape (1500, 3): give [windows, 4], or set context": ({}, lambda x, y: (x[:, :3], y, None)),
    "tokens of type float64": ({}, lambda x, y: (x * 1.0, y, None)),
    "tokens from 0 to 11: they must lie in 0-9": ({"vocabulary": 10}, lambda x, y: (x, y, None)),
    "l1 0: it must be above 0": ({"l1": 0}, lambda x, y: (x, y, None)),
    "1500 windows, 1499 labels": ({}, lambda x, y: (x, y[1:], None)),
    "classes [0] with weights": ({}, lambda x, y: (x, y * 0, None)),
    "with weights [0.0,": ({}, lambda x, y: (x, y, (y > 0) * 1.0)),
    "sample weights must be finite and not negative": ({}, lambda x, y: (x, y, np.full(len(y), -1.0))),
}


@pytest.mark.parametrize("cause", BAD)
def test_what_it_is_not_defined_for_is_one_clear_line(cause):
    options, change = BAD[cause]
    tokens, labels, weights = change(*sample(8))
    with pytest.raises(UserError, match=re.escape(cause)):
        model(**options).fit(tokens, labels, weights)
