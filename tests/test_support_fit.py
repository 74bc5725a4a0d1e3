"""Linear models refitted in the places of a sparse one: against the path's own fits, and what shrinkage hides."""

from dataclasses import replace

import numpy as np
import pytest

from optim_hunter.claim import InvalidInstrument
from optim_hunter.models import support_fit
from optim_hunter.models.linear_problem import Problem
from optim_hunter.models.linear_solver import minimise
from optim_hunter.models.support_fit import Support, refitted
from optim_hunter.tasks.corpus import corpus_of
from optim_hunter.tasks.stories import Windows, train_tokenizer

CLASSES, CONTEXT, WINDOWS, VOCABULARY = 3, 2, 4000, 257
L1 = 3e-3


@pytest.fixture(scope="module")
def windows():
    """Two tokens, of which the last tells the word and the other a little."""
    tokenizer = train_tokenizer(corpus_of("c", "Tom saw Lily.", ""), VOCABULARY)
    generator = np.random.default_rng(0)
    tokens = generator.integers(6, size=(WINDOWS, CONTEXT))
    logits = 1.5 * np.eye(CLASSES)[tokens[:, 1] % CLASSES] + 0.5 * np.eye(CLASSES)[tokens[:, 0] // 2]
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(1)
    places = np.arange(WINDOWS)
    return Windows(tokens, labels, places, places, tokenizer)


@pytest.fixture(scope="module")
def problem(windows):
    return Problem.of(windows.tokens, windows.labels, np.ones(WINDOWS), CLASSES, VOCABULARY, L1)


def test_the_optimum_of_the_path_is_that_of_its_own_support_at_the_same_price(problem):
    solution = minimise(problem, 1e-7, 500)
    weights, offsets = Support(problem, solution.weights).fit(L1, solution.weights * 0.1)
    assert weights == pytest.approx(solution.weights, abs=5e-3)
    assert offsets == pytest.approx(solution.offsets, abs=5e-3)


def test_at_a_lighter_price_the_same_places_have_larger_weights_and_less_loss(problem, windows):
    sparse = minimise(replace(problem, l1=0.03), 1e-6, 500).weights
    weights, offsets = refitted(problem, windows, sparse)
    assert ((weights != 0) <= (sparse != 0)).all()
    assert np.abs(weights).sum() > 1.5 * np.abs(sparse).sum()
    fitted = np.exp(weights[windows.tokens + VOCABULARY * np.arange(CONTEXT)].sum(1) + offsets)
    shares = fitted / fitted.sum(1, keepdims=True)
    held = (sparse != 0).any(1)
    for feature in np.flatnonzero(held):
        there = (windows.tokens + VOCABULARY * np.arange(CONTEXT) == feature).any(1)
        free = sparse[feature] != 0
        came = np.eye(CLASSES)[windows.labels[there]].mean(0)
        assert shares[there].mean(0)[free] == pytest.approx(came[free], abs=2e-3), "nearly free of a price"


def test_the_price_is_chosen_by_the_stories_for_choosing(problem, windows):
    """Where words come at random in these, the heaviest price is the best."""
    start = minimise(problem, 1e-6, 500).weights
    generator = np.random.default_rng(1)
    random = replace(windows, labels=generator.integers(CLASSES, size=WINDOWS))
    heavy, _ = refitted(problem, random, start, (0.1, 1e-4))
    light, _ = refitted(problem, windows, start, (0.1, 1e-4))
    assert np.abs(heavy).sum() < np.abs(light).sum()


def test_a_fit_that_misses_its_gap_says_so(problem, monkeypatch):
    monkeypatch.setattr(support_fit, "MAX_ITERATIONS", 1)
    with pytest.raises(InvalidInstrument, match="duality gap"):
        Support(problem, np.ones((VOCABULARY * CONTEXT, CLASSES))).fit(1e-4, np.zeros((VOCABULARY * CONTEXT, CLASSES)))
