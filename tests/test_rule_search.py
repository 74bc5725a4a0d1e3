"""Gains that a search reckons with, against the losses themselves; shifts, against the linear model's weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import log_softmax, softmax

from optim_hunter.models.linear import L1MultinomialRegression
from optim_hunter.models.rule_fit import Fired, fit_shifts
from optim_hunter.models.rule_search import MOST_TOKENS, Said, Sums, propose, tokens_held
from optim_hunter.tasks.rules import CONTEXT, one_hot

CLASSES = 3


def said_of(seed, windows, spread):
    generator = np.random.default_rng(seed)
    logits = spread * generator.normal(size=(windows, CLASSES))
    network = softmax(generator.normal(size=(windows, CLASSES)), axis=1)
    return Said(logits, network, np.eye(CLASSES)[generator.integers(CLASSES, size=windows)])


def gained(said, shift):
    """What a shift in all windows gains by the words that came (nats)."""
    before, after = log_softmax(said.logits, axis=1), log_softmax(said.logits + shift, axis=1)
    return float(((after - before) * said.came).sum())


@given(st.integers(0, 999), st.integers(1, 30), st.floats(0, 3))
def test_the_gain_is_never_more_than_what_is_gained(seed, windows, spread):
    said = said_of(seed, windows, spread)
    sums = Sums.of(said.columns.sum(0))
    assert sums.gains(sums.shifts)[0] <= gained(said, sums.shifts[0]) + 1e-9


@given(st.integers(0, 999), st.integers(1, 30))
def test_the_gain_is_just_that_where_the_book_says_the_same_of_all(seed, windows):
    said = said_of(seed, windows, 0)
    sums = Sums.of(said.columns.sum(0))
    assert sums.gains(sums.shifts)[0] == pytest.approx(gained(said, sums.shifts[0]))


@given(st.integers(0, 999), st.integers(1, CONTEXT), st.integers(1, CONTEXT))
def test_tokens_of_a_span_are_held_once_and_the_windows_stay_as_they_are(seed, one, other):
    near, far = sorted((one, other))
    windows = np.random.default_rng(seed).integers(5, size=(4, CONTEXT))
    before = windows.copy()
    held = tokens_held(windows, near, far, 5).toarray()
    expected = [
        [float(token in row[CONTEXT - far : CONTEXT - near + 1]) for token in range(5)] for row in windows.tolist()
    ]
    assert held.tolist() == expected
    assert (windows == before).all()


def test_nothing_is_proposed_where_the_book_says_what_the_network_says():
    windows = np.random.default_rng(0).integers(6, size=(300, CONTEXT))
    said = said_of(1, 300, 0)
    knowing = Said(said.logits, softmax(said.logits, axis=1), said.came)
    assert propose(windows, knowing, tuple("abcdef"), (), (), 5) == []


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 99))
def test_proposals_are_new_small_and_the_best_comes_first(seed):
    windows = np.random.default_rng(seed).integers(6, size=(300, CONTEXT))
    said = said_of(seed, 300, 0)
    first = propose(windows, said, tuple("abcdef"), (), (), 3)
    conditions = [proposal.condition for proposal in first]
    assert len(set(conditions)) == len(conditions) <= 3
    assert all(len(atom.tokens) <= MOST_TOKENS for condition in conditions for atom in condition.atoms)
    again = propose(windows, said, tuple("abcdef"), (), conditions, 3)
    assert not set(conditions) & {proposal.condition for proposal in again}


def test_rules_that_are_tokens_at_positions_get_the_linear_models_weights():
    generator = np.random.default_rng(0)
    windows = generator.integers(4, size=(2000, CONTEXT))
    labels = (windows[:, -1] + generator.integers(3, size=2000)) % CLASSES
    held = one_hot(windows, 4).astype(bool)
    held.sort_indices()
    shifts, offsets, gap = fit_shifts(Fired(held, labels), CLASSES, 1e-3)
    linear = L1MultinomialRegression(l1=1e-3, vocabulary=4).fit(windows, labels)
    assert gap <= 1e-4
    expected = linear.decision_function(windows)
    found = held.astype(float) @ shifts + offsets
    about_mean = found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True)
    assert about_mean[0] == pytest.approx(about_mean[1], abs=0.02)


def test_rules_that_fire_unequally_often_are_fitted_to_their_optimum():
    """One rule in a third of the windows: its optimum, nearly free of a price, is the difference of the log-odds."""
    generator = np.random.default_rng(1)
    fires = generator.random(6000) < 1 / 3
    labels = (generator.random(6000) < np.where(fires, 0.8, 0.3)).astype(int)
    rules = np.column_stack([fires, generator.random(6000) < 0.5, np.zeros(6000, bool)])
    shifts, _, _ = fit_shifts(Fired(sparse.csr_array(rules), labels), 2, 1e-6)
    odds = [np.log(labels[one].mean() / (1 - labels[one].mean())) for one in (fires, ~fires)]
    assert shifts[0, 1] - shifts[0, 0] == pytest.approx(odds[0] - odds[1], abs=0.05)
    assert (shifts[2] == 0).all()
