"""Rule books: readable rules that raise or lower the words of a group, and where in a window each of them fires.

A window is the 16 tokens before a word. Positions are counted from the word, as one reads them: 1 is the token just
before it, 16 the farthest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from optim_hunter.claim import UserError

CONTEXT = 16


@dataclass(frozen=True)
class TokenIn:
    """One of these tokens at some position from `near` to `far` before the word; both are the same for one position."""

    tokens: tuple[str, ...]
    near: int
    far: int

    def __post_init__(self) -> None:
        if not self.tokens:
            raise UserError("a condition without a token: name one or more")
        if twice := sorted({token for token in self.tokens if self.tokens.count(token) > 1}):
            raise UserError(f"the token {twice[0]!r} is in a condition twice; name each once")
        for position in (self.near, self.far):
            if not 1 <= position <= CONTEXT:
                raise UserError(f"no position {position}: they go from 1, just before the word, to {CONTEXT}")
        if self.near > self.far:
            raise UserError(f"a span from {self.near} to {self.far}: write the nearer position first")

    @property
    def atoms(self) -> tuple[TokenIn, ...]:
        """The parts that must all be met: this one alone."""
        return (self,)


@dataclass(frozen=True)
class Both:
    """Two conditions on tokens, both of which must be met."""

    first: TokenIn
    second: TokenIn

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise UserError("a conjunction of a condition with itself: write the condition alone")

    @property
    def atoms(self) -> tuple[TokenIn, ...]:
        """The parts that must all be met."""
        return self.first, self.second


Condition = TokenIn | Both


@dataclass(frozen=True)
class Rule:
    """A condition and what it adds to the logits of words (nats) where it is met.

    Attributes:
        name: unlike all others of its book.
        sentence: what it says, for people.
        shifts: nats by word; the words that are left out are not moved.
        examples: windows in which it fires, as text, the word that came in them included.
    """

    name: str
    sentence: str
    condition: Condition
    shifts: Mapping[str, float]
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """A rule that nobody has accepted yet: its gain (nats per window) on stories that did not propose it, and how sure.

    `p` is one-sided against "it gains nothing", adjusted over all that were proposed with it.
    """

    rule: Rule
    gain: float
    p: float


@dataclass(frozen=True)
class RuleBook:
    """Rules about one group of words, for the tokens of one tokenizer.

    logits = intercepts + the sum of the shifts of all rules that fire.

    Attributes:
        group: the words, each with the space before it.
        vocabulary: the text of each token (`tasks.spelling.rule_tokens`).
        intercepts: nats by word.
        suggested: what `suggest` found and nobody has accepted or refused.
        refused: conditions that are not to be suggested again.
    """

    group: tuple[str, ...]
    tokenizer_sha256: str
    vocabulary: tuple[str, ...] = field(repr=False)
    intercepts: Mapping[str, float]
    rules: tuple[Rule, ...] = ()
    suggested: tuple[Suggestion, ...] = ()
    refused: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        rules = (*self.rules, *(suggestion.rule for suggestion in self.suggested))
        if twice := first_twice([rule.name for rule in rules]):
            raise UserError(f"two rules are called {twice!r}: give each a name of its own")
        if set(self.intercepts) != set(self.group):
            raise UserError(f"intercepts of {sorted(self.intercepts)}: give one for each of {list(self.group)}")
        for condition in self.refused:
            self._check_tokens(condition, "a refused condition")
        for rule in rules:
            self._check_tokens(rule.condition, f"rule {rule.name!r}")
            if foreign := [word for word in rule.shifts if word not in self.group]:
                raise UserError(f"rule {rule.name!r}: {foreign[0]!r} is not of the group {list(self.group)}")

    def _check_tokens(self, condition: Condition, whose: str) -> None:
        for atom in condition.atoms:
            if unknown := [token for token in atom.tokens if token not in self.place]:
                raise UserError(f"{whose}: the tokenizer has no token {unknown[0]!r}; mind the space before a word")

    @cached_property
    def place(self) -> Mapping[str, int]:
        """The number of each token."""
        return {token: place for place, token in enumerate(self.vocabulary)}

    @property
    def shifts(self) -> Float[np.ndarray, "rule class"]:
        """All shifts as one array (nats)."""
        rows = [[rule.shifts.get(word, 0.0) for word in self.group] for rule in self.rules]
        return np.array(rows).reshape(len(self.rules), len(self.group))

    @property
    def offsets(self) -> Float[np.ndarray, "class"]:
        """The intercepts as an array (nats)."""
        return np.array([self.intercepts[word] for word in self.group])

    def rule(self, name: str) -> Rule:
        """The rule of a name.

        Raises:
            UserError: there is none.
        """
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise UserError(f"no rule {name!r} in this book; optim-hunter rules list shows the names")


def fires(book: RuleBook, windows: Int[np.ndarray, "window 16"]) -> sparse.csr_array:
    """Which rules fire in which windows: booleans [window, rule]."""
    return conditions_met([rule.condition for rule in book.rules], book.place, windows)


def rule_book_log_probabilities(
    book: RuleBook, windows: Int[np.ndarray, "window 16"]
) -> Float[np.ndarray, "window class"]:
    """Logarithms of the probabilities of the group's words (nats); they sum to 1 among these."""
    return log_probabilities_of(fires(book, windows), book.shifts, book.offsets)


def log_probabilities_of(
    fired: sparse.csr_array, shifts: Float[np.ndarray, "rule class"], offsets: Float[np.ndarray, "class"]
) -> Float[np.ndarray, "window class"]:
    """The same from what fires."""
    from scipy.special import log_softmax

    return np.asarray(log_softmax(fired.astype(float) @ shifts + offsets, axis=1))


def conditions_met(
    conditions: Sequence[Condition], place: Mapping[str, int], windows: Int[np.ndarray, "window 16"]
) -> sparse.csr_array:
    """Which conditions are met in which windows: booleans [window, condition].

    Args:
        place: the number of each token.
        windows: token numbers, the token just before the word last.

    Raises:
        UserError: windows of another length.
    """
    if windows.ndim != 2 or windows.shape[1] != CONTEXT:
        raise UserError(f"windows of shape {windows.shape}: rules look at the {CONTEXT} tokens before a word")
    atoms = {atom: column for column, atom in enumerate(dict.fromkeys(a for c in conditions for a in c.atoms))}
    met = (one_hot(windows, len(place)) @ _atom_columns(tuple(atoms), place)).astype(bool).astype(np.int8)
    parts = [(atoms[atom], column) for column, condition in enumerate(conditions) for atom in condition.atoms]
    rows, columns = np.array(parts, dtype=np.int64).reshape(-1, 2).T
    needs = sparse.csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(atoms), len(conditions)))
    counted = sparse.csr_array(met @ needs)
    counted.data = counted.data == np.bincount(columns, minlength=len(conditions))[counted.indices]
    counted.eliminate_zeros()
    counted.sort_indices()
    return counted.astype(bool)


def one_hot(windows: Int[np.ndarray, "window 16"], vocabulary: int) -> sparse.csr_array:
    """Windows as sparse rows: column (position − 1) · vocabulary + token, positions counted from the word."""
    columns = windows[:, ::-1] + vocabulary * np.arange(CONTEXT)
    starts = np.arange(0, windows.size + 1, CONTEXT)
    return sparse.csr_array(
        (np.ones(windows.size, np.int32), columns.ravel(), starts), shape=(len(windows), CONTEXT * vocabulary)
    )


def _atom_columns(atoms: Sequence[TokenIn], place: Mapping[str, int]) -> sparse.csr_array:
    """The columns of `one_hot` that meet each of these."""
    entries = [
        (len(place) * (position - 1) + place[token], column)
        for column, atom in enumerate(atoms)
        for position in range(atom.near, atom.far + 1)
        for token in atom.tokens
    ]
    rows, columns = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    shape = (CONTEXT * len(place), len(atoms))
    return sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)


def first_twice(names: Sequence[str]) -> str | None:
    """The first name that is there more than once; None where there is none."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
