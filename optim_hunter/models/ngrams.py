"""N-gram models over token ids with interpolated, modified Kneser–Ney smoothing.

Written here since no kept library gives the probabilities of all next tokens at once (NLTK's walks Python dictionaries
token by token, KenLM's is a compiler's build and scores whole texts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from optim_hunter.claim import UserError

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the counts do not tell them, as in KenLM's `--discount_fallback`."""

Keys = Int[np.ndarray, "gram"]
"""N-grams as numbers with the vocabulary as base, the last token as last digit."""


@dataclass(frozen=True)
class _Order:
    """What one order adds: the discounted probability of each token seen after a context, and what is left over.

    `contexts` are sorted keys; `left` is the probability that the next lower order shares out.
    """

    contexts: Keys
    discounted: sparse.csr_array
    left: Float[np.ndarray, "context"]


@dataclass(frozen=True)
class NgramModel:
    """Probabilities of the next token from the last `order` − 1 tokens; `fit_ngrams` makes it."""

    orders: tuple[_Order, ...]
    vocabulary: int

    def probabilities(self, windows: Int[np.ndarray, "window position"]) -> Float[np.ndarray, "window vocabulary"]:
        """Of every token after each window, of which the last `order` − 1 tokens count; each row sums to 1."""
        found = np.full((len(windows), self.vocabulary), 1 / self.vocabulary)
        for length, order in enumerate(self.orders):
            keys = _keys(windows[:, windows.shape[1] - length :].T, self.vocabulary)
            place = np.minimum(np.searchsorted(order.contexts, keys), len(order.contexts) - 1)
            known = np.flatnonzero(order.contexts[place] == keys)
            seen = place[known]
            found[known] = order.left[seen, None] * found[known] + order.discounted[seen].toarray()
        return found


def fit_ngrams(
    tokens: Int[np.ndarray, "token"], lengths: Sequence[int] | Int[np.ndarray, "story"], order: int, vocabulary: int
) -> NgramModel:
    """Count the n-grams of stories that lie one behind the other in `tokens`, and smooth them (Chen and Goodman 1999).

    The highest order takes counts, every lower one the number of different tokens seen before its n-grams; one
    discount for what was seen once, twice, and more often, at each order; below unigrams all tokens are alike.

    Raises:
        UserError: no story has `order` tokens, or so long an n-gram of so many tokens has no key.
    """
    if vocabulary**order >= 2**63:
        raise UserError(f"n-grams of {order} out of {vocabulary} tokens: choose a smaller order")
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.flatnonzero(np.arange(len(tokens)) - starts >= order - 1)
    if not len(places):
        raise UserError(f"no story has the {order} tokens of an n-gram; give longer stories, or choose a smaller order")
    grams = _keys(tokens[places[:, None] + np.arange(1 - order, 1)].T, vocabulary)
    orders = []
    for length in range(order, 0, -1):
        keys, counts = np.unique(grams, return_counts=True)
        orders.append(_smoothed(keys, counts, vocabulary))
        grams = keys % vocabulary ** (length - 1)  # each n-gram once: what is counted next is what stood before
    return NgramModel(tuple(reversed(orders)), vocabulary)


def discounts(counts: Int[np.ndarray, "gram"]) -> Float[np.ndarray, "4"]:
    """What is taken off a count of 0, 1, 2, and 3 or more: the estimates of Chen and Goodman (1999, equation 26).

    Where a number of counts that they divide by is 0, or one of them lies outside of what can be taken off, all are
    `FALLBACK`.
    """
    of = np.bincount(counts, minlength=5)[1:5].astype(float)
    if not of[:3].all():
        return np.array((0.0, *FALLBACK))
    share = of[0] / (of[0] + 2 * of[1])
    times = np.arange(1, 4)
    found = times - (times + 1) * share * of[1:] / of[:3]
    return np.array((0.0, *(found if np.all((found >= 0) & (found <= times)) else FALLBACK)))


def _smoothed(keys: Keys, counts: Int[np.ndarray, "gram"], vocabulary: int) -> _Order:
    contexts, row = np.unique(keys // vocabulary, return_inverse=True)
    taken = discounts(counts)[np.minimum(counts, 3)]
    totals = np.bincount(row, counts)
    kept = (counts - taken) / totals[row]
    discounted = sparse.csr_array((kept, (row, keys % vocabulary)), shape=(len(contexts), vocabulary))
    return _Order(contexts, discounted, np.bincount(row, taken) / totals)


def _keys(grams: Int[np.ndarray, "position gram"], vocabulary: int) -> Keys:
    keys = np.zeros(grams.shape[1], dtype=np.int64)
    for column in grams:
        keys = keys * vocabulary + column
    return keys
