"""Windows in which a rule fires, shown with what meets its condition replaced, and how far an answer moves with it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float, Int

from optim_hunter.tasks.rules import CONTEXT, Rule, RuleBook, TokenIn

Say = Callable[[Int[np.ndarray, "window 16"]], Float[np.ndarray, "window class"]]
"""Windows → log-probabilities (nats) of a group's words."""

SIGNS = {1: (-1,), 2: (-1, -1, 1)}
"""How what is said of each arm counts beside what is said of the windows as they are, by the parts of a condition."""


class RuleReplacer:
    """Replaces what meets a rule's condition by tokens as frequent, or nearly, that meet no part of it.

    Of a condition with one part there is one arm, in which its tokens are replaced. Of a conjunction there are three:
    its first part replaced, its second, and both. The arms are then taken as a difference of differences, which leaves
    nothing of what either part does by itself, in a network as in a book: a rule about "," alone that the network
    follows half does not pass for a part of the rule about "," and " Tom".

    Args:
        book: whose rules are asked for; words of its group replace nothing.
        counts: how often each token stands in the windows for fitting.
        replacements: as many tokens, the nearest in frequency, stand in for one.
    """

    def __init__(self, book: RuleBook, counts: Int[np.ndarray, "token"], replacements: int = 3) -> None:
        self.book, self.counts, self.replacements = book, counts, replacements
        self._nearest: dict[int, list[int]] = {}

    def lost(self, rule: Rule, windows: Int[np.ndarray, "window 16"], say: Say) -> Float[np.ndarray, "window class"]:
        """What an answer loses with the rule's condition in windows that meet it (nats), mean over the replacements."""
        parts = len(rule.condition.atoms)
        if not len(windows):
            return say(windows)
        lost = say(windows)
        for sign, arm in zip(SIGNS[parts], self.arms(rule, windows), strict=True):
            said = say(arm.reshape(-1, CONTEXT))
            lost = lost + sign * said.reshape(*arm.shape[:2], -1).mean(0)
        return lost

    def arms(self, rule: Rule, windows: Int[np.ndarray, "window 16"]) -> Int[np.ndarray, "arm replacement window 16"]:
        """The windows with the tokens replaced."""
        barred = {self.book.place[token] for token in self._barred(rule) if token in self.book.place}
        atoms = rule.condition.atoms
        first, *second = (self._with(atom, windows, barred, windows) for atom in atoms)
        if not second:
            return first[None]
        both = np.stack([self._with(atoms[1], windows, barred, shown)[number] for number, shown in enumerate(first)])
        return np.stack([first, *second, both])

    def _barred(self, rule: Rule) -> set[str]:
        return {token for atom in rule.condition.atoms for token in atom.tokens} | set(self.book.group)

    def _with(
        self,
        atom: TokenIn,
        windows: Int[np.ndarray, "window 16"],
        barred: set[int],
        shown: Int[np.ndarray, "window 16"],
    ) -> Int[np.ndarray, "replacement window 16"]:
        """`shown` with what meets a part of the condition in `windows` replaced."""
        met = places_met(atom, self.book, windows)
        last = CONTEXT - 1 - met[:, ::-1].argmax(1)
        tokens = windows[np.arange(len(windows)), last]
        others = np.array([self._alike(int(token), barred) for token in tokens]).T
        return np.where(met, others[:, :, None], shown)

    def _alike(self, token: int, barred: set[int]) -> list[int]:
        """Tokens as frequent as this one, the nearest first."""
        if token not in self._nearest:
            distance = np.abs(np.log(np.maximum(self.counts, 1) / max(self.counts[token], 1)))
            self._nearest[token] = np.argsort(distance, kind="stable").tolist()
        return list(islice((other for other in self._nearest[token] if other not in barred), self.replacements))


def places_met(atom: TokenIn, book: RuleBook, windows: Int[np.ndarray, "window 16"]) -> Bool[np.ndarray, "window 16"]:
    """Where in windows the tokens stand that meet a part of a condition."""
    positions = np.arange(CONTEXT, 0, -1)
    within = (positions >= atom.near) & (positions <= atom.far)
    return np.asarray(np.isin(windows, [book.place[token] for token in atom.tokens]) & within)


def direction_of(rule: Rule, group: tuple[str, ...]) -> Float[np.ndarray, "class"]:
    """A rule's shifts about their mean: log-odds that all words share move none of them."""
    shifts = np.array([rule.shifts.get(word, 0.0) for word in group])
    return np.asarray(shifts - shifts.mean())
