"""Which word of a group comes next in held-out stories: what a language model says, shown the window or the story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.choices import ChoiceObservation, with_views
from optim_hunter.observe.kept_words import KeptWords, Text, prompts_from
from optim_hunter.observe.next_words import NextWords, Prompt, next_words
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

    In the view `story` these are all its tokens, in the view `window` those that begin in the window; see
    `kept_words.prompt_from`.

    Raises:
        UserError: a window in which no token of the model begins.
    """
    return prompts_from(model, texts_before(windows, corpus, view))


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
        self._texts = cache(self._texts_before)

    def prepare(self, seeds: Iterable[int]) -> None:
        """Before long work: look at the seeds and, if anything is lacking, at the words, and open the model.

        Raises:
            UserError: a seed beyond the held-out stories or, if anything is lacking, a word that is no single token or
                a model that cannot be opened.
            InvalidInstrument: the pass does not compute what the model's own code does.
        """
        if not self._views:
            return
        self._seeds |= set(seeds)
        self.linear.split.part(self.linear.task, max(self._seeds))
        asked = (self._texts(seed, view) for seed in self._seeds for view in self._views)
        self._kept.open_if_lacking(self.engine, asked, self.linear.task.group)

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of a seed, and what the views of the task say of them.

        Raises:
            UserError: as `next_words` and `prompt_from`.
            InvalidInstrument: as `next_words`.
        """
        observation = self.linear.observe(seed)
        assert seed is not None
        said = {view: self._said(seed, view) for view in self._views}
        checks = _worst([one.checks for one in said.values()])
        return with_views(observation, {view: one.log_probabilities for view, one in said.items()}, checks)

    def _texts_before(self, seed: int, view: str) -> list[Text]:
        """What stands before the words of a seed's windows, as a view shows it; kept as long as the chooser is."""
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
        said = next_words(self.engine, prompts_from(self.engine.model, chain.from_iterable(texts)), group)
        ends = np.cumsum([len(of_seed) for of_seed in texts])[:-1]
        for of_seed, found in zip(texts, np.split(said.log_probabilities, ends), strict=True):
            self._kept.put(of_seed, group, NextWords(found, said.checks))


def _worst(checks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The largest error of each check; a NaN stays one."""
    return {name: float(np.max([one[name] for one in checks])) for one in checks for name in one}
