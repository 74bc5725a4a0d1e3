"""Windows that end in a token, shown as they are and with that token replaced: what a chooser says of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError
from optim_hunter.tasks.held_out import ReplacedTokenTask
from optim_hunter.tasks.stories import token_texts

if TYPE_CHECKING:
    from optim_hunter.observe.choices import LinearChooser
    from optim_hunter.observe.kept_words import Text
    from optim_hunter.observe.next_words import NextWords

Say = Callable[[Sequence["Text"], Sequence[str]], "NextWords"]
"""Texts and the words of a group → their log-probabilities after each text."""


@dataclass(frozen=True)
class ReplacedTokenObservation:
    """What was said of a seed's windows that end in the token.

    `kept` are log-probabilities (nats, normalised over the group) with the token in its place, `replaced` with each of
    `replacements` there.
    """

    seed: int
    group: tuple[str, ...]
    kept: Float[np.ndarray, "window class"]
    replaced: Float[np.ndarray, "replacement window class"]
    replacements: tuple[str, ...]
    checks: Mapping[str, float]


class TokenReplacer:
    """Asks a chooser about the windows of a task's seeds that end in its token."""

    def __init__(self, linear: LinearChooser, task: ReplacedTokenTask, say: Say) -> None:
        self.linear, self.task, self._say = linear, task, say

    @cached_property
    def replacements(self) -> tuple[str, ...]:
        """The tokens of like frequency, the nearest first.

        Raises:
            UserError: the corpus's tokenizer has no such token, or no window has it.
        """
        return tokens_of_like_frequency(self.linear, (self.task.token,), self.task.replacements)

    def prepare(self, seeds: Sequence[int]) -> None:
        """Before long work: look at the token, its replacements and the seeds.

        Raises:
            UserError: there is no such token, or a seed lies beyond the held-out stories.
        """
        self.linear.split.part(self.task, max(seeds))
        assert self.replacements

    def observe(self, seed: int | None) -> ReplacedTokenObservation:
        """The windows of a seed.

        Raises:
            NoValue: none of them ends in the token.
        """
        assert seed is not None
        texts = self.asked(seed)
        if not texts:
            raise NoValue(f"no word of the group after {self.task.token!r} in the stories of this seed")
        said = self._say(texts, self.task.group)
        kept, *replaced = np.split(said.log_probabilities, 1 + len(self.replacements))
        return ReplacedTokenObservation(seed, self.task.group, kept, np.array(replaced), self.replacements, said.checks)

    def asked(self, seed: int) -> list[Text]:
        """The texts of a seed that end in the token, as they are and then with each replacement; none where none do."""
        texts = [text for text in self._texts(seed) if text[0].endswith(self.task.token)]
        replacements = self.replacements if texts else ()
        return [*texts, *(self._with(text, other) for other in replacements for text in texts)]

    def _texts(self, seed: int) -> list[Text]:
        from optim_hunter.observe.choices_language import texts_before

        windows = self.linear.windows.of_stories(self.linear.split.part(self.task, seed))
        return texts_before(windows, self.linear.corpus, "window")

    def _with(self, text: Text, other: str) -> Text:
        return text[0].removesuffix(self.task.token) + other, text[1]


def tokens_of_like_frequency(linear: LinearChooser, tokens: Sequence[str], number: int) -> tuple[str, ...]:
    """Other tokens that are as frequent in the windows for fitting as these in the (geometric) mean, the nearest first.

    None of them is a word of the group; of these tokens only those count that some window has.

    Raises:
        UserError: the corpus's tokenizer has no such token, or no window has any.
    """
    texts = token_texts(linear.tokenizer)
    counts = np.bincount(linear.windows.of_stories(linear.split.fitting).tokens.ravel(), minlength=len(texts))
    for token in tokens:
        if token not in texts:
            raise UserError(f"{linear.corpus.name}: its tokenizer has no token {token!r}")
    own_counts = counts[[texts.index(token) for token in tokens]]
    if not own_counts.any():
        raise UserError(f"{linear.corpus.name}: no window has the token {', '.join(map(repr, tokens))}")
    own = np.log(own_counts[own_counts > 0]).mean()
    distance = np.abs(np.log(np.maximum(counts, 1)) - own)
    nearest = [texts[token] for token in np.argsort(distance, kind="stable")]
    return tuple(text for text in nearest if text not in (*tokens, *linear.task.group))[:number]
