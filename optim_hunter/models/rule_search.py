"""Conditions that a rule book lacks: where it errs and a network does not.

With p what the book says, q what the network says and y the word that came, all summed over the n windows in which a
condition is met, the shift δ = log(q / p) takes the book to the network there. By the words that came it gains at least
y · δ − n log(p · exp(δ) / n), by Jensen's inequality, and just that where the book says the same of all these windows.
So a condition scores where the network knows what the book does not, and is right. The sums are sparse products, for
all tokens at all positions at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from optim_hunter.tasks.rules import CONTEXT, Both, Condition, TokenIn, conditions_met

SPANS = (
    *((position, position) for position in range(1, CONTEXT + 1)),
    *((1, 2), (1, 4), (1, 8), (1, 16), (2, 4), (2, 8), (2, 16), (4, 16), (8, 16)),
)
"""Positions, and stretches of them, at which tokens are looked for."""

FEWEST_WINDOWS = 20
"""A condition that is met in fewer proposing windows is not looked at."""

PRIOR_WINDOWS = 4.0
"""So many windows in which the network says what the book says are added to those of a condition: few tell little."""

TINY = 1e-9

MOST_TOKENS = 12
"""Tokens of a set: more, and nobody reads them."""

SPANS_OF_SECONDS = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (1, 4), (2, 8), (1, 16), (8, 16))
"""The same for what is joined with another condition."""

SEEDS, FIRSTS, SECONDS = 4, 16, 4
"""At each place the best so many tokens are candidates, and each begins a set; so many conditions are joined with
others, and so many of those are kept."""

ALIKE = 0.8
"""The shift of a set gives each of its tokens at least this share of what a shift of its own would gain."""

FEWEST_OF_SET = 3
"""A token that stands in fewer windows is put in no set."""

LOOKED_AT = 300
"""The candidates of the highest scores, which are scored again one after the other."""

LEAST_GAIN = 0.1
"""What gains less (nats, summed over the proposing windows) is not proposed."""

PLAINNESS = 0.9
"""A set, and a second condition, must each bring so much more that this share of the gain is not less."""

WORTH = 0.25
"""A round ends when the next candidate has less than this share of the gain of its first."""


@dataclass(frozen=True)
class Said:
    """Of the proposing windows: logits of the book, probabilities of the network, and the words that came (one-hot)."""

    logits: Float[np.ndarray, "window class"]
    network: Float[np.ndarray, "window class"]
    came: Float[np.ndarray, "window class"]

    @cached_property
    def columns(self) -> Float[np.ndarray, "window sum"]:
        """What is summed over the windows of a condition: p, q and y."""
        from scipy.special import softmax

        return np.hstack([softmax(self.logits, axis=1), self.network, self.came])

    def of(self, windows: Int[np.ndarray, "place"]) -> Said:
        """Those of some windows alone."""
        return Said(self.logits[windows], self.network[windows], self.came[windows])

    def shifted(self, windows: Int[np.ndarray, "place"], shift: Float[np.ndarray, "class"]) -> Said:
        """With a shift added in some windows."""
        logits = self.logits.copy()
        logits[windows] += shift
        return Said(logits, self.network, self.came)


@dataclass(frozen=True)
class Sums:
    """p, q and y summed over the windows of many conditions."""

    book: Float[np.ndarray, "condition class"]
    network: Float[np.ndarray, "condition class"]
    came: Float[np.ndarray, "condition class"]

    @classmethod
    def of(cls, columns: Float[np.ndarray, "condition sum"]) -> Sums:
        """From the sums of `Said.columns`."""
        return cls(*np.split(np.atleast_2d(columns), 3, axis=1))

    @property
    def windows(self) -> Float[np.ndarray, "condition"]:
        """How many windows each condition is met in."""
        return np.asarray(self.came.sum(1))

    @property
    def shifts(self) -> Float[np.ndarray, "condition class"]:
        """What takes the book to the network (nats)."""
        windows = np.maximum(self.windows, 1)[:, None]
        added = PRIOR_WINDOWS * self.book / windows
        return np.log((self.network + added) / np.maximum(self.book + added, TINY))

    def gains(self, shifts: Float[np.ndarray, "#condition class"]) -> Float[np.ndarray, "condition"]:
        """What shifts gain at least by the words that came (nats, summed over windows)."""
        return self._gains(self.came, shifts)

    def gains_by_network(self, shifts: Float[np.ndarray, "#condition class"]) -> Float[np.ndarray, "condition"]:
        """What they would gain if the words came as the network says."""
        return self._gains(self.network, shifts)

    def _gains(
        self, truth: Float[np.ndarray, "condition class"], shifts: Float[np.ndarray, "#condition class"]
    ) -> Float[np.ndarray, "condition"]:
        windows = np.maximum(self.windows, 1)
        normalisers = np.log((self.book * np.exp(shifts)).sum(1) / windows)
        return np.asarray((truth * shifts).sum(1) - windows * normalisers)


@dataclass(frozen=True)
class Proposal:
    """A condition that the book lacks, with the shift it asks for (nats) and its gain where it was found (nats)."""

    condition: Condition
    shift: Float[np.ndarray, "class"]
    gain: float


def propose(
    windows: Int[np.ndarray, "window 16"],
    said: Said,
    vocabulary: Sequence[str],
    joined: Sequence[Condition],
    excluded: Iterable[Condition],
    most: int,
) -> list[Proposal]:
    """Conditions that the book lacks, the best first; each after the first counts with the shifts of those before it.

    Args:
        joined: conditions of the book, which are tried together with others.
        excluded: conditions that are not to be proposed: those of the book, and those that were refused.
        most: how many at most; fewer where the gains fall below `WORTH` of the first.
    """
    place = {token: number for number, token in enumerate(vocabulary)}
    barred = set(excluded)
    scored = {
        condition: score
        for condition, score in candidates(windows, said, vocabulary, joined)
        if condition not in barred and score > 0
    }
    best = sorted(scored, key=lambda condition: -scored[condition])[:LOOKED_AT]
    if not best:
        return []
    return list(_pursued(best, sparse.csc_array(conditions_met(best, place, windows)), said, most))


def _pursued(conditions: Sequence[Condition], met: sparse.csc_array, said: Said, most: int) -> Iterator[Proposal]:
    """The condition of the largest gain, then that of the largest gain beside it, and so on."""
    first, taken = 0.0, np.zeros(len(conditions), dtype=bool)
    weighed, plain = met.T.astype(float), np.array([plainness(condition) for condition in conditions])
    for _ in range(min(most, len(conditions))):
        sums = Sums.of(weighed @ said.columns)
        shifts = sums.shifts
        gains = np.where(taken, -np.inf, sums.gains(shifts))
        at = int((gains * plain).argmax())
        first = first or gains[at]
        if gains[at] <= max(LEAST_GAIN, WORTH * first):
            return
        taken[at] = True
        said = said.shifted(met[:, [at]].indices, shifts[at])
        yield Proposal(conditions[at], shifts[at], float(gains[at]))


def plainness(condition: Condition) -> float:
    """By how much the gain of a condition counts: 1 for a single token, less for sets and for two parts."""
    sets = sum(len(atom.tokens) > 1 for atom in condition.atoms)
    return PLAINNESS ** (sets + len(condition.atoms) - 1)


def candidates(
    windows: Int[np.ndarray, "window 16"],
    said: Said,
    vocabulary: Sequence[str],
    joined: Sequence[Condition],
) -> Iterator[tuple[Condition, float]]:
    """Tokens and sets of tokens at places, and those of the book and the best of these joined with others; with what
    each gains (nats, summed over windows)."""
    alone = list(_atoms(windows, said, vocabulary, SPANS))
    yield from alone
    firsts = [condition for condition in joined if isinstance(condition, TokenIn)]
    firsts += [atom for atom, _ in sorted(alone, key=lambda pair: -pair[1])]
    firsts = list(dict.fromkeys(firsts))[:FIRSTS]
    place = {token: number for number, token in enumerate(vocabulary)}
    met = sparse.csc_array(conditions_met(firsts, place, windows))
    for column, first in enumerate(firsts):
        held = np.sort(met[:, [column]].indices)
        if len(held) >= FEWEST_WINDOWS:
            found = _atoms(windows[held], said.of(held), vocabulary, SPANS_OF_SECONDS)
            seconds = sorted((pair for pair in found if pair[0] != first), key=lambda pair: -pair[1])[:SECONDS]
            yield from ((Both(first, second), gain) for second, gain in seconds)


def _atoms(
    windows: Int[np.ndarray, "window 16"], said: Said, vocabulary: Sequence[str], spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[TokenIn, float]]:
    """The best single tokens of every place, and sets of tokens there that push alike."""
    columns = said.columns
    for near, far in spans:
        held = sparse.csc_array(tokens_held(windows, near, far, len(vocabulary)))
        known = np.flatnonzero(np.diff(held.indptr) >= FEWEST_OF_SET)
        held = held[:, known]
        sums = Sums.of(held.T @ columns)
        gains = np.where(sums.windows >= FEWEST_WINDOWS, sums.gains(sums.shifts), 0.0)
        for token in np.argsort(-gains)[:SEEDS].tolist():
            if gains[token] > 0:
                yield TokenIn((vocabulary[known[token]],), near, far), float(gains[token])
                tokens = _set_about(sums, token)
                either = np.unique(held[:, tokens].indices)
                together = Sums.of(columns[either].sum(0))
                texts = tuple(vocabulary[known[one]] for one in tokens)
                yield TokenIn(texts, near, far), float(together.gains(together.shifts)[0])


def _set_about(sums: Sums, token: int) -> list[int]:
    """Tokens that the same shift suits, begun with that of one token; the most frequent first, as one would name them.

    Who belongs to it is the network's to say, whose probabilities waver less than the words of a few windows.
    """
    tokens, columns = np.array([token]), np.hstack([sums.book, sums.network, sums.came])
    least = ALIKE * sums.gains_by_network(sums.shifts)
    for _ in range(2):
        each = sums.gains_by_network(Sums.of(columns[tokens].sum(0)).shifts)
        each[each < least] = 0
        each[token] = np.inf
        tokens = np.argsort(-each)[:MOST_TOKENS]
        tokens = tokens[each[tokens] > 0]
    return sorted(tokens.tolist(), key=lambda one: (-sums.windows[one], one))


def tokens_held(windows: Int[np.ndarray, "window 16"], near: int, far: int, vocabulary: int) -> sparse.csr_array:
    """Which tokens stand somewhere from `near` to `far` before the word: 1 in [window, token], however often."""
    span = windows[:, CONTEXT - far : CONTEXT - near + 1]
    starts = np.arange(0, span.size + 1, span.shape[1])
    held = sparse.csr_array((np.ones(span.size), span.flatten(), starts), shape=(len(windows), vocabulary))
    held.sum_duplicates()
    held.data[:] = 1
    return held
