"""Outputs permuted among the examples: the prompt, the answer to it beside the other, and what is made of both."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import UserError
from optim_hunter.measures.prediction import absolute_error, permutation_loss
from optim_hunter.observe.observation import Answer, RegressionObservation
from optim_hunter.observe.store import Store
from optim_hunter.subjects.opening import open_subject
from optim_hunter.subjects.permuted import permuted, with_permuted
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.regression import RegressionTask, draw

TASK = RegressionTask(examples=6)
NEEDS = frozenset({"answer", "permuted"})
PLANS = {TASK.stem: {TASK: dict.fromkeys(frozenset({0, 1}), NEEDS)}}


@given(st.integers(0, 300), st.integers(2, 25), st.integers(0, 3))
def test_the_same_examples_have_the_same_outputs_in_another_order(seed, examples, query):
    task = RegressionTask(examples=examples, queries_per_seed=4)
    plain, other = draw(task, seed, query), draw(permuted(task), seed, query)
    np.testing.assert_array_equal(other.features, plain.features)
    np.testing.assert_array_equal(other.test_features, plain.test_features)
    assert other.gold == plain.gold
    assert sorted(other.outputs) == sorted(plain.outputs)
    np.testing.assert_array_equal(other.outputs, draw(permuted(task), seed, 0).outputs)  # queries share their prompt


def test_seeds_permute_differently_and_mostly_do():
    moved = [np.mean(draw(permuted(TASK), seed).outputs != draw(TASK, seed).outputs) for seed in range(200)]
    assert np.mean(moved) == pytest.approx(5 / 6, abs=0.05)  # of a random order one of six stays, on average


def test_another_order_of_outputs_is_refused():
    with pytest.raises(UserError, match="no outputs 'reversed': choose 'in place' or 'permuted'"):
        RegressionTask(outputs="reversed")


def test_the_definition_of_other_tasks_is_as_it_was():
    assert permuted(TASK).stem != TASK.stem
    assert replace(TASK, outputs="in place").stem == TASK.stem == "friedman_2, published"


def test_permuted_prompts_are_a_task_of_their_own():
    plans = with_permuted(PLANS)
    assert plans[TASK.stem] == {TASK: dict.fromkeys({0, 1}, frozenset({"answer"}))}
    assert plans[permuted(TASK).stem] == {permuted(TASK): dict.fromkeys({0, 1}, frozenset({"answer"}))}


def test_a_regressor_answers_both_prompts():
    subject = open_subject("regressor:knn_regression", Options(), PLANS, None)
    subject.precheck(TASK, [0, 1])
    seen = subject.observe(TASK, 1, 0)
    plain, other = draw(TASK, 1), draw(permuted(TASK), 1)
    assert seen.prediction != seen.permuted_prediction
    for episode, said in ((plain, seen.prediction), (other, seen.permuted_prediction)):
        sums = [episode.outputs.sum() - out for out in episode.outputs]  # the mean of 5 of 6 neighbours
        assert min(abs(said - total / 5) for total in sums) < 1e-3


def test_a_model_answers_the_permuted_prompt_as_it_does_alone(tmp_path):
    store = Store(tmp_path)
    beside = open_subject("planted:kernel-regression", Options(), PLANS, store).observe(TASK, 1, 0)
    other = permuted(TASK)
    alone_plans = {other.stem: {other: dict.fromkeys({0, 1}, frozenset({"answer"}))}}
    alone = open_subject("planted:kernel-regression", Options(), alone_plans, None).observe(other, 1, 0)
    assert beside.permuted_prediction == alone.prediction
    assert beside.checks["residual stream"] >= 0
    again = open_subject("planted:kernel-regression", Options(), PLANS, store)
    assert again.observe(TASK, 1, 0).permuted_prediction == alone.prediction
    assert again.describe(TASK)["work"]["forward_passes"] == 0


def test_the_loss_is_the_error_of_one_answer_less_that_of_the_other():
    episode = draw(TASK, 3)
    said = {"answer": Answer(str(episode.gold + 10)), "permuted": Answer(str(episode.gold - 45))}
    seen = RegressionObservation(episode, said)
    assert permutation_loss(seen) == pytest.approx(35)
    assert absolute_error(seen) == pytest.approx(10)


def test_an_answer_nobody_asked_for_is_refused():
    with pytest.raises(UserError, match="shows no permuted: add 'permuted' to the claim's needs"):
        _ = RegressionObservation(draw(TASK, 3), {}).permuted_prediction
