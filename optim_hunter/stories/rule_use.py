"""Whether a network uses a rule: the token that the rule names is replaced, and the network's log-odds must move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.stats.conditions import Result, mean_test
from optim_hunter.stories.rule_gains import ALPHA, Judged, bootstrap_interval, judged
from optim_hunter.stories.rule_material import Material, Network
from optim_hunter.tasks.rules import CONTEXT, Rule, RuleBook, TokenIn, conditions_met, rule_book_log_probabilities

SMALLEST_SHARE = 0.25
"""The network uses a rule if it moves by more than a quarter of what the rule says, and ignores it if by less."""

REPLACEMENTS, MOST_STORIES, SEED = 3, 100, 0


@dataclass(frozen=True)
class _Replaced:
    """Windows in which a rule fires, each with one condition's tokens replaced; `kept` is the row it was made of."""

    tokens: Int[np.ndarray, "shown 16"]
    kept: Int[np.ndarray, "shown"]


class RuleUse:
    """Puts rules of a book to a network, on the held-out stories.

    For a window in which a rule fires, the tokens that meet one of its conditions are replaced by others as frequent
    in the windows for fitting, or nearly, which meet it not and are no words of the group. What the log-odds then lose
    along the rule's shifts, less what all *other* rules of the book say of the same replacement, is the network's
    share of the rule: 1 where it moves just as the rule says.
    """

    def __init__(self, book: RuleBook, material: Material, network: Network) -> None:
        self.book, self.windows, self.network = book, material.held_out, network
        self.counts = np.bincount(material.fitting.tokens.ravel(), minlength=len(book.vocabulary))
        self.nearest: dict[int, list[int]] = {}
        self.generator = np.random.default_rng(SEED)

    def judge(self, rules: Iterable[Rule]) -> list[Judged]:
        """The network's share of each rule, held against `SMALLEST_SHARE`, with the uncertainty of the stories."""
        results: list[Result] = []
        ends: list[tuple[float, float]] = []
        for rule in rules:
            shares = self.shares(rule)
            results.append(mean_test(shares, SMALLEST_SHARE, ALPHA) if len(shares) else NOTHING)
            ends.append(_ends(shares))
        low, high = np.array(ends).reshape(-1, 2).T
        return judged(results, low, high)

    def shares(self, rule: Rule) -> Float[np.ndarray, "story"]:
        """The network's share of a rule in each of at most `MOST_STORIES` stories, one window of each.

        Nothing is said of a rule that moves no word or fires in no held-out story.
        """
        direction = direction_of(self.book, rule)
        windows = self._drawn(rule)
        if not direction.any() or not len(windows):
            return np.empty(0)
        replaced = self._replaced(rule, windows)
        moved = self._moved(self.network, windows, replaced) @ direction
        by_book = (
            self._moved(lambda tokens: rule_book_log_probabilities(self.book, tokens), windows, replaced) @ direction
        )
        size = float(direction @ direction)
        totals = np.bincount(replaced.kept, moved - (by_book - size), len(windows))
        return np.asarray(totals / np.bincount(replaced.kept, minlength=len(windows)) / size)

    def _drawn(self, rule: Rule) -> Int[np.ndarray, "window 16"]:
        met = conditions_met([rule.condition], self.book.place, self.windows.tokens)
        order = self.generator.permutation(np.flatnonzero(np.diff(met.indptr)))
        _, firsts = np.unique(self.windows.story[order], return_index=True)
        chosen = order[np.sort(firsts)[:MOST_STORIES]]
        return self.windows.tokens[chosen]

    def _moved(
        self, said: Network, windows: Int[np.ndarray, "window 16"], replaced: _Replaced
    ) -> Float[np.ndarray, "shown class"]:
        return np.asarray(said(windows)[replaced.kept] - said(replaced.tokens))

    def _replaced(self, rule: Rule, windows: Int[np.ndarray, "window 16"]) -> _Replaced:
        shown = [
            (self._with(atom, other, windows[row]), row)
            for atom in rule.condition.atoms
            for row in range(len(windows))
            for other in self._alike(atom, windows[row])
        ]
        return _Replaced(np.array([tokens for tokens, _ in shown]), np.array([row for _, row in shown]))

    def _with(self, atom: TokenIn, other: int, window: Int[np.ndarray, "16"]) -> Int[np.ndarray, "16"]:
        changed = window.copy()
        changed[_met_at(atom, self.book, window)] = other
        return changed

    def _alike(self, atom: TokenIn, window: Int[np.ndarray, "16"]) -> list[int]:
        """Tokens as frequent as that which meets the condition, the nearest first."""
        token = int(window[_met_at(atom, self.book, window)[-1]])
        barred = {self.book.place[one] for one in (*atom.tokens, *self.book.group) if one in self.book.place}
        if token not in self.nearest:
            distance = np.abs(np.log(np.maximum(self.counts, 1) / max(self.counts[token], 1)))
            self.nearest[token] = np.argsort(distance, kind="stable").tolist()
        return list(islice((other for other in self.nearest[token] if other not in barred), REPLACEMENTS))


NOTHING = Result(float("nan"), None, 0, 1.0, 1.0)


def direction_of(book: RuleBook, rule: Rule) -> Float[np.ndarray, "class"]:
    """The rule's shifts about their mean: log-odds that all words share move none of them."""
    shifts = np.array([rule.shifts.get(word, 0.0) for word in book.group])
    return np.asarray(shifts - shifts.mean())


def _met_at(atom: TokenIn, book: RuleBook, window: Int[np.ndarray, "16"]) -> Int[np.ndarray, "place"]:
    """Where in the window tokens meet a condition."""
    places = np.arange(CONTEXT - atom.far, CONTEXT - atom.near + 1)
    return places[np.isin(window[places], [book.place[token] for token in atom.tokens])]


def _ends(shares: Float[np.ndarray, "story"]) -> tuple[float, float]:
    if len(shares) < 2:
        return float("nan"), float("nan")
    low, high = bootstrap_interval(shares[:, None])
    return float(low[0]), float(high[0])
