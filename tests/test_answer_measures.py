"""Errors of answers against those of rivals."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import NoValue
from optim_hunter.measures.prediction import (
    RIVAL_ERRORS,
    absolute_error_gain,
    error_gain,
    generalised_log_errors,
    regressor_errors,
    relative_error_gain,
    squared_error_gain,
    wins_above_half,
)
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.subjects.synthetic import SYNTHETIC, SyntheticSubject, answering
from optim_hunter.tasks.regression import RegressionTask, draw

TASK = RegressionTask("linear:4", examples=10)
SEEDS = st.integers(0, 500)


def beside(observation: RegressionObservation, **predictions: float) -> RegressionObservation:
    return replace(observation, shown={**observation.shown, "regressors": predictions})


@given(SEEDS)
def test_the_expected_error_of_a_random_output_is_the_mean_over_many_draws(seed):
    episode = draw(TASK, seed)
    drawn = np.random.default_rng(seed).choice(episode.outputs, 20_000)
    expected = RIVAL_ERRORS["random"](episode)
    assert np.abs(drawn - episode.gold).mean() == pytest.approx(expected, abs=0.05 * np.ptp(episode.outputs))


@given(SEEDS)
def test_each_rival_gains_nothing_on_itself(seed):
    episode = draw(TASK, seed)
    nearest = np.argsort(np.linalg.norm(episode.features - episode.test_features, axis=1))[:5]
    drawn = random.Random(seed).choice(episode.outputs.tolist())
    for rival, answer in {
        "average": episode.outputs.mean(),
        "last": episode.outputs[-1],
        "kNN": episode.outputs[nearest].mean(),
        "one random draw": drawn,
    }.items():
        assert error_gain(answering(episode, answer), rival) == pytest.approx(0, abs=1e-3)


@given(SEEDS, st.sampled_from([0.01, 7.0]), st.sampled_from(sorted(RIVAL_ERRORS)))
def test_a_relative_gain_knows_no_scale(seed, scale, rival):
    episode = draw(TASK, seed)
    scaled = replace(episode, outputs=scale * episode.outputs, gold=scale * episode.gold)
    here, there = (relative_error_gain(answering(one, 1.1 * one.gold), rival) for one in (episode, scaled))
    assert there == pytest.approx(here, abs=0.01)


def test_gains_of_a_known_answer():
    episode = replace(draw(TASK, 0), outputs=np.array([1.0, 2.0, 6.0]), features=draw(TASK, 0).features[:3], gold=5.0)
    observation = answering(episode, 4.0)
    assert absolute_error_gain(observation) == 1.0
    assert squared_error_gain(observation) == 3.0
    assert error_gain(observation, "last") == 0.0
    assert error_gain(observation, "random") == pytest.approx((4 + 3 + 1) / 3 - 1)
    assert relative_error_gain(observation, "average") == pytest.approx(1 / 2)


def test_outputs_that_are_all_alike_give_no_scale():
    episode = replace(draw(TASK, 0), outputs=np.full(10, 3.0))
    with pytest.raises(NoValue, match="no scale"):
        relative_error_gain(answering(episode, 1.0), "average")


def test_a_win_counts_a_half_a_tie_nothing_and_a_loss_minus_a_half():
    episode = replace(draw(TASK, 0), gold=100.0)
    observation = beside(answering(episode, 90.0), better=99.0, alike=110.0, worse=60.0)
    assert wins_above_half(observation, ["worse", "alike", "better"]).tolist() == [0.5, 0.0, -0.5]
    assert regressor_errors(observation, ["worse", "better"]).tolist() == [40.0, 1.0]


def test_a_generalised_logarithm_is_one_for_large_errors_and_finite_for_none():
    episode = replace(draw(TASK, 0), gold=0.0)
    scale = np.abs(episode.outputs - episode.outputs.mean()).mean() / 10
    observation = beside(answering(episode, 0.0), far=1000 * scale, farther=10_000 * scale)
    none, far, farther = generalised_log_errors(observation, ["far", "farther"])
    assert none == 0
    assert farther - far == pytest.approx(np.log(10), abs=1e-3)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_what_is_synthetic_depends_on_name_seed_and_query_alone(name):
    task = RegressionTask(examples=25, queries_per_seed=2)
    first, second = (SyntheticSubject(f"synthetic:{name}") for _ in range(2))
    second.observe(task, 3, 0)
    one, other = first.observe(task, 5, 1), second.observe(task, 5, 1)
    assert str(vars(one)) == str(vars(other))


@pytest.mark.parametrize(("name", "modes"), [("two-error-groups", True), ("two-error-groups-twin", False)])
def test_the_planted_errors_are_in_two_groups_and_the_twins_are_not(name, modes):
    subject = SyntheticSubject(f"synthetic:{name}")
    seen = [subject.observe(RegressionTask(), seed, 0) for seed in range(200)]
    errors = np.abs([one.prediction - one.episode.gold for one in seen])
    between = np.mean((errors > 20) & (errors < 200))
    assert (between < 0.01) == modes
    rivals = [one.regressors["ridge"] - one.episode.gold for one in seen]
    assert np.std(rivals) == pytest.approx(200, rel=0.2)
