"""Whether a network uses a rule: what meets its condition is replaced, and the network's log-odds must move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.observe.rule_replacements import RuleReplacer, direction_of
from optim_hunter.stats.conditions import Result, mean_test
from optim_hunter.stories.rule_gains import ALPHA, Judged, bootstrap_interval, judged
from optim_hunter.stories.rule_material import Material, Network
from optim_hunter.tasks.rules import Rule, RuleBook, conditions_met, rule_book_log_probabilities

SMALLEST_SHARE = 0.25
"""The network uses a rule if it moves by more than a quarter of what the rule says, and ignores it if by less."""

MOST_STORIES, SEED = 100, 0


class RuleUse:
    """Puts rules of a book to a network, on the held-out stories.

    What the network's log-odds lose with a rule's condition (`observe.rule_replacements`) along the rule's shifts, less
    what all *other* rules of the book lose with it, is the network's share of the rule: 1 where it moves just as the
    rule says.
    """

    def __init__(self, book: RuleBook, material: Material, network: Network) -> None:
        self.book, self.windows, self.network = book, material.held_out, network
        counts = np.bincount(material.fitting.tokens.ravel(), minlength=len(book.vocabulary))
        self.replacer = RuleReplacer(book, counts)
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
        direction = direction_of(rule, self.book.group)
        windows = self._drawn(rule)
        if not direction.any() or not len(windows):
            return np.empty(0)
        others = replace(self.book, rules=tuple(one for one in self.book.rules if one != rule))
        by_network, by_others = (
            self.replacer.lost(rule, windows, say)
            for say in (self.network, partial(rule_book_log_probabilities, others))
        )
        return np.asarray((by_network - by_others) @ direction / (direction @ direction))

    def _drawn(self, rule: Rule) -> Int[np.ndarray, "window 16"]:
        met = conditions_met([rule.condition], self.book.place, self.windows.tokens)
        order = self.generator.permutation(np.flatnonzero(np.diff(met.indptr)))
        _, firsts = np.unique(self.windows.story[order], return_index=True)
        chosen = order[np.sort(firsts)[:MOST_STORIES]]
        return self.windows.tokens[chosen]


NOTHING = Result(float("nan"), None, 0, 1.0, 1.0)


def _ends(shares: Float[np.ndarray, "story"]) -> tuple[float, float]:
    if len(shares) < 2:
        return float("nan"), float("nan")
    low, high = bootstrap_interval(shares[:, None])
    return float(low[0]), float(high[0])
