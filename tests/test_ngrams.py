"""Kneser–Ney n-grams: against a dictionary that follows the formulas, and where the answer is known."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import UserError
from optim_hunter.models.ngrams import FALLBACK, discounts, fit_ngrams

VOCABULARY = 5
STORIES = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30), min_size=1, max_size=8)


def fitted(stories, order):
    return fit_ngrams(np.concatenate(stories).astype(int), np.array([len(one) for one in stories]), order, VOCABULARY)


def naive(stories, order):
    """Probability of a token after a context, by the formulas of Chen and Goodman, one n-gram at a time."""
    grams = Counter(tuple(one[end - order : end]) for one in stories for end in range(order, len(one) + 1))
    counts = [grams]
    for _ in range(order - 1):
        counts.insert(0, Counter(gram[1:] for gram in counts[0]))

    def probability(context, token):
        if context is None:
            return 1 / VOCABULARY
        lower = probability(context[1:] if context else None, token)
        after = {gram[-1]: count for gram, count in counts[len(context)].items() if gram[:-1] == context}
        if not after:
            return lower
        taken = naive_discounts(counts[len(context)].values())
        left = sum(taken[min(count, 3)] for count in after.values())
        own = after[token] - taken[min(after[token], 3)] if token in after else 0
        return (own + left * lower) / sum(after.values())

    return probability


def naive_discounts(counts):
    of = defaultdict(int, Counter(counts))
    if not (of[1] and of[2] and of[3]):
        return 0, *FALLBACK
    y = of[1] / (of[1] + 2 * of[2])
    found = 1 - 2 * y * of[2] / of[1], 2 - 3 * y * of[3] / of[2], 3 - 4 * y * of[4] / of[3]
    return (0, *found) if all(0 <= one <= most for one, most in zip(found, (1, 2, 3), strict=True)) else (0, *FALLBACK)


@given(STORIES, st.integers(1, 4), st.data())
def test_probabilities_are_those_of_the_formulas_and_sum_to_one(stories, order, data):
    if max(map(len, stories)) < order:
        with pytest.raises(UserError, match=f"no story has the {order} tokens"):
            fitted(stories, order)
        return
    windows = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, VOCABULARY - 1)] * 4), min_size=1, max_size=5)))
    found = fitted(stories, order).probabilities(windows)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found > 0).all()
    probability = naive(stories, order)
    expected = [[probability(tuple(window[5 - order :]), token) for token in range(VOCABULARY)] for window in windows]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_what_is_always_said_after_two_tokens_is_likelier_the_longer_the_context():
    generator = np.random.default_rng(0)
    first, second = generator.integers(VOCABULARY, size=(2, 2000))
    stories = [[int(a), int(b), int(a + b) % VOCABULARY] for a, b in zip(first, second, strict=True)]
    windows = np.array([story[:2] for story in stories[:50]])
    labels = np.array([story[2] for story in stories[:50]])
    losses = [
        -np.log(fitted(stories, order).probabilities(windows)[np.arange(50), labels]).mean() for order in (1, 2, 3)
    ]
    assert losses[2] < 0.02
    np.testing.assert_allclose(losses[:2], np.log(VOCABULARY), atol=0.1)


def test_discounts_that_counts_do_not_tell_are_the_fallback():
    np.testing.assert_array_equal(discounts(np.array([1, 1, 2, 5])), (0, *FALLBACK))
    counts = np.repeat([1, 2, 3, 4], [8, 4, 2, 1])
    np.testing.assert_allclose(discounts(counts), (0, 1 - 0.5, 2 - 1.5 * 2 / 4, 3 - 2 * 1 / 2))


def test_an_n_gram_without_a_key_is_refused():
    with pytest.raises(UserError, match="choose a smaller order"):
        fit_ngrams(np.zeros(10, int), [10], 7, 1024)
