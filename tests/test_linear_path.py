"""Linear models over a path of L1 strengths: against an independent solver, from a start, and which is chosen."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from optim_hunter.models.linear_path import (
    PATIENCE,
    STRENGTHS,
    TOLERANCE,
    PathPoint,
    chosen,
    fit_path,
    log_probabilities,
    mean_loss,
    worsens,
)
from optim_hunter.models.linear_problem import Problem, WorkingSet
from optim_hunter.models.linear_solver import minimise
from optim_hunter.tasks.stories import Windows

CONTEXT, VOCABULARY, CLASSES = 3, 20, 3


class Tokens:
    """All that a path asks of a tokenizer."""

    @staticmethod
    def get_vocab_size():
        return VOCABULARY


def windows(seed, count=800):
    generator = np.random.default_rng(seed)
    rule = np.random.default_rng(0).normal(size=(CONTEXT, VOCABULARY, CLASSES))
    tokens = (VOCABULARY * generator.random((count, CONTEXT)) ** 2).astype(int)
    scores = rule[np.arange(CONTEXT), tokens].sum(1)
    labels = (scores + generator.gumbel(size=scores.shape)).argmax(1)
    return Windows(tokens, labels, np.arange(count), np.zeros(count, int), Tokens())


FITTING, CHOOSING = windows(1), windows(2)
PATH = (3e-2, 1e-2, 3e-3)


def price(point):
    return point.fitting_loss + point.l1 * np.abs(point.weights).sum()


def saga_objective(l1):
    encoder = OneHotEncoder(categories=[np.arange(VOCABULARY)] * CONTEXT, sparse_output=False)
    rows = encoder.fit_transform(FITTING.tokens)
    saga = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=1 / (len(rows) * l1), max_iter=5000, tol=1e-7, random_state=0
    ).fit(rows, FITTING.labels)
    return mean_loss(FITTING, saga.coef_.T, saga.intercept_) + l1 * np.abs(saga.coef_).sum()


def test_every_point_is_sagas_optimum_to_its_gap():
    points = list(fit_path(FITTING, CHOOSING, CLASSES, PATH))
    assert [point.l1 for point in points] == list(PATH)
    for point in points:
        assert point.gap <= TOLERANCE
        best = saga_objective(point.l1)
        assert best * (1 - 1e-5) <= price(point) <= best * (1 + 1.1 * TOLERANCE)
        assert point.fitting_loss == pytest.approx(mean_loss(FITTING, point.weights, point.offsets), rel=1e-9)
        assert point.choosing_loss == pytest.approx(mean_loss(CHOOSING, point.weights, point.offsets), rel=1e-12)
    assert points[0].nonzero < points[1].nonzero < points[2].nonzero


def test_a_path_taken_up_again_goes_on_as_if_it_had_not_been_left():
    whole = list(fit_path(FITTING, CHOOSING, CLASSES, PATH))
    rest = list(fit_path(FITTING, CHOOSING, CLASSES, PATH[2:], whole[1]))
    np.testing.assert_array_equal(rest[0].weights, whole[2].weights)
    assert list(fit_path(FITTING, CHOOSING, CLASSES, (), whole[2])) == []


def test_two_runs_are_the_same_to_the_last_bit():
    for one, other in zip(*(fit_path(FITTING, CHOOSING, CLASSES, PATH) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        np.testing.assert_array_equal(one.offsets, other.offsets)


def test_a_penalty_above_all_gradients_gives_the_shares_of_the_classes():
    (point,) = fit_path(FITTING, CHOOSING, CLASSES, (2.0,))
    assert point.nonzero == 0
    shares = np.bincount(FITTING.labels) / len(FITTING.labels)
    np.testing.assert_allclose(np.exp(log_probabilities(CHOOSING, point.weights, point.offsets))[0], shares)


def points_of(losses):
    return [PathPoint(0.1, np.zeros((1, 1)), np.zeros(1), 0.0, 0.0, loss, 0.0) for loss in losses]


def test_a_path_ends_after_so_many_strengths_worse_than_the_best():
    assert PATIENCE == 2
    for losses, ended in (
        ([], False),
        ([3.0, 4.0], False),
        ([3.0, 4.0, 4.0], True),
        ([3.0, 4.0, 2.0], False),
        ([3.0, 2.0, 4.0], False),
        ([3.0, 2.0, 3.0, 2.5], True),
        ([3.0, 2.0, 2.0, 2.0], False),
    ):
        assert worsens(points_of(losses)) == ended
    assert chosen(points_of([3.0, 1.0, 2.0])).choosing_loss == 1.0


def test_the_strengths_fall_evenly():
    assert (STRENGTHS[0], STRENGTHS[-1], len(STRENGTHS)) == (1e-2, 1e-5, 20)
    np.testing.assert_allclose(np.diff(np.log(STRENGTHS)), np.log(1e-3) / 19, rtol=0.02)


def test_merged_windows_have_the_loss_the_bound_and_the_gradient_of_all():
    ones = np.ones(len(FITTING.labels))
    problem = Problem.of(FITTING.tokens, FITTING.labels, ones, CLASSES, VOCABULARY, 1e-2)
    weights = np.zeros((problem.all_features, CLASSES))
    weights[[0, 1, 21, 40]] = np.random.default_rng(3).normal(size=(4, CLASSES))
    seen = []
    for held in ((weights != 0).any(1), np.ones(problem.all_features, dtype=bool)):
        rows = WorkingSet(problem, held)
        loss, probabilities, offsets = rows.with_best_offsets(rows.scores(weights[held]), np.zeros(CLASSES))
        gradient = rows.gradient(probabilities)
        seen.append((len(rows.first), loss, offsets, gradient, rows.bound(gradient, probabilities)))
    few, many = seen
    assert few[0] <= 3 * 2 * 2 < many[0]
    for one, other in zip(few[1:], many[1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert few[1] == pytest.approx(mean_loss(FITTING, weights, few[2]), rel=1e-9)


def test_many_windows_are_first_thinned_and_end_at_the_same_optimum():
    many = windows(5, count=20_000)
    problem = Problem.of(many.tokens, many.labels, np.ones(20_000), CLASSES, VOCABULARY, 1e-3)
    zero = np.zeros((problem.all_features, CLASSES))
    thinned, whole = minimise(problem, 1e-7, 50), minimise(problem, 1e-7, 50, zero)
    assert max(thinned.gap, whole.gap) <= 1e-7
    assert thinned.objective == pytest.approx(whole.objective, rel=2e-7)
    assert thinned.iterations < whole.iterations


def test_a_class_that_thinning_would_lose_is_kept():
    many = windows(5, count=20_000)
    many.labels[many.labels == 2] = 1
    many.labels[1] = 2
    problem = Problem.of(many.tokens, many.labels, np.ones(20_000), CLASSES, VOCABULARY, 1e-3)
    assert minimise(problem, 1e-4, 50).gap <= 1e-4
