"""Which word of a group comes next in held-out stories: what a language model says, shown the window or the story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.choices import ChoiceObservation, with_views
from optim_hunter.observe.kept_words import KeptWords, Text, prompt_from
from optim_hunter.observe.next_words import NextWords, Prompt, next_words, word_tokens
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import Windows

if TYPE_CHECKING:
    from optim_hunter.observe.choices import LinearChooser
    from optim_hunter.observe.engine import Engine

LANGUAGE_VIEWS = ("window", "story")
"""The views of `tasks.held_out.VIEWS` that a language model has."""

TOKENS_OF_A_STORY = 256
"""As many, roughly, so that a batch of stories is full."""


def language_choices(
    engine: Engine, windows: Windows, corpus: Corpus, group: Sequence[str], view: str
) -> Float[np.ndarray, "window class"]:
    """Log-probabilities (nats) of the group's words before which windows end, normalised over the group.

    Args:
        engine: runs the language model.
        windows: of the corpus.
        corpus: the stories.
        group: the words.
        view: `window` or `story` (`tasks.held_out.VIEWS`).

    Raises:
        UserError: as `next_words` and `prompts_before`.
        InvalidInstrument: as `next_words`.
    """
    return next_words(engine, prompts_before(engine.model, windows, corpus, view), group).log_probabilities


def prompts_before(model: LanguageModel, windows: Windows, corpus: Corpus, view: str) -> list[Prompt]:
    """The tokens that a language model reads of each window; it tokenizes the story up to the word on its own.

    In the view `story` these are all its tokens, in the view `window` those that begin in the window. BOS stands where
    the tokenizer has one and the story's beginning is shown, and nowhere else: in the middle of a story it would say
    that a new one begins. Of more tokens than the model's context holds, the last are read.

    Raises:
        UserError: a window in which no token of the model begins.
    """
    return [prompt_from(model, *text) for text in texts_before(windows, corpus, view)]


def texts_before(windows: Windows, corpus: Corpus, view: str) -> list[Text]:
    """What stands in its story before each window's word, and the character from which on the view shows it."""
    stories = {story: corpus.stories[story] for story in np.unique(windows.story).tolist()}
    offsets = {story: _offsets(windows, text) for story, text in stories.items()}
    reach = windows.tokens.shape[1] if view == "window" else None
    texts = []
    for story, place in zip(windows.story.tolist(), windows.place.tolist(), strict=True):
        first = place - reach if reach else 0
        texts.append((stories[story][: offsets[story][place][0]], _begins(offsets[story], first)))
    return texts


def _offsets(windows: Windows, story: str) -> list[tuple[int, int]]:
    """Characters of each token; of one that is part of a character, that character."""
    return list(windows.tokenizer.encode(story, add_special_tokens=False).offsets)


def _begins(offsets: Sequence[tuple[int, int]], first: int) -> int:
    """The first character of token `first` that no token before it has a part of."""
    return max(offsets[first][0], offsets[first - 1][1]) if first else 0


class LanguageChooser:
    """Asks a language model about the windows of a task's seeds; what is kept is not asked again.

    Seeds that were prepared are run side by side.
    """

    def __init__(self, engine: Engine, linear: LinearChooser, kept: KeptWords) -> None:
        self.engine, self.linear, self._kept = engine, linear, kept
        self._views = [view for view in linear.task.views if view in LANGUAGE_VIEWS]
        self._seeds: set[int] = set()
        self._texts = lru_cache(None)(self._drawn)

    def prepare(self, seeds: Iterable[int]) -> None:
        """Before long work: look at words and seeds, and open the model if anything is lacking.

        Raises:
            UserError: a word that is no single token, a seed beyond the held-out stories, or a model that cannot be
                opened.
            InvalidInstrument: the pass does not compute what the model's own code does.
        """
        if not self._views:
            return
        self._seeds |= set(seeds)
        self.linear.split.part(self.linear.task, max(self._seeds))
        if any(self._lacks(seed, view) for seed in self._seeds for view in self._views):
            word_tokens(self.engine.model, self.linear.task.group)
            self.engine.open()

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of a seed, and what the views of the task say of them.

        Raises:
            UserError: as `next_words` and `prompts_before`.
            InvalidInstrument: as `next_words`.
        """
        observation = self.linear.observe(seed)
        assert seed is not None
        said = {view: self._said(seed, view) for view in self._views}
        checks = _worst([one.checks for one in said.values()])
        return with_views(observation, {view: one.log_probabilities for view, one in said.items()}, checks)

    def _drawn(self, seed: int, view: str) -> list[Text]:
        windows = self.linear.windows.of_stories(self.linear.split.part(self.linear.task, seed))
        return texts_before(windows, self.linear.corpus, view)

    def _lacks(self, seed: int, view: str) -> bool:
        return self._kept.get(self._texts(seed, view), self.linear.task.group) is None

    def _said(self, seed: int, view: str) -> NextWords:
        if self._lacks(seed, view):
            self._ask([one for one in self._beside(seed) if self._lacks(one, view)], view)
        said = self._kept.get(self._texts(seed, view), self.linear.task.group)
        assert said is not None
        return said

    def _beside(self, seed: int) -> list[int]:
        """The seeds that run side by side: the same whichever of them is asked for first."""
        several = max(1, self.engine.tokens_at_once // (TOKENS_OF_A_STORY * self.linear.task.stories_per_seed))
        ordered = sorted(self._seeds | {seed})
        first = ordered.index(seed) // several * several
        return ordered[first : first + several]

    def _ask(self, seeds: Sequence[int], view: str) -> None:
        """Run seeds side by side, and keep what was said of each."""
        group, texts = self.linear.task.group, [self._texts(seed, view) for seed in seeds]
        prompts = [prompt_from(self.engine.model, *text) for of_seed in texts for text in of_seed]
        said = next_words(self.engine, prompts, group)
        ends = np.cumsum([len(of_seed) for of_seed in texts])[:-1]
        for of_seed, found in zip(texts, np.split(said.log_probabilities, ends), strict=True):
            self._kept.put(of_seed, group, NextWords(found, said.checks))


def _worst(checks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The largest error of each check; a NaN stays one."""
    return {name: float(np.max([one[name] for one in checks])) for one in checks for name in one}
