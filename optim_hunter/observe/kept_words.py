"""What a language model said of words after texts, kept by what it was shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from optim_hunter.claim import UserError
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.next_words import NextWords, Prompt, next_words, word_tokens
from optim_hunter.observe.store import Store
from optim_hunter.observe.versions import words_engine

if TYPE_CHECKING:
    from optim_hunter.observe.engine import Engine

Text = tuple[str, int]
"""What stands before a word, and the character from which on it is shown."""


def prompt_from(model: LanguageModel, before: str, start: int) -> Prompt:
    """The model's tokens of the text before a word, from the first that begins at character `start` or later.

    BOS stands where the tokenizer has one and the text's beginning is shown, and nowhere else: in the middle of a story
    it would say that a new one begins. Of more tokens than the model's context holds, the last are read.

    Raises:
        UserError: no token begins there.
    """
    encoded = model.encode(before)
    kept = [token for token, (begin, _) in zip(encoded.ids, encoded.offsets, strict=True) if begin >= start]
    if not kept:
        raise UserError(f"{model.name}: no token to read before a word", "ask for a larger context")
    return tuple(kept[-model.context :])


def prompts_from(model: LanguageModel, texts: Iterable[Text]) -> list[Prompt]:
    """The model's tokens of each text.

    Raises:
        UserError: as `prompt_from`.
    """
    return [prompt_from(model, *text) for text in texts]


class KeptWords:
    """What one language model said, by the texts that it was shown; kept in a store too, where there is one.

    `taken` counts what the store had.
    """

    def __init__(self, store: Store | None, model: LanguageModel) -> None:
        self._store, self._seen = store, dict[str, NextWords]()
        self.taken = 0
        self._model = {"kind": "words", **model.identity, "engine": words_engine()}

    def get(self, texts: Sequence[Text], group: Sequence[str]) -> NextWords | None:
        """What is known of the words after these texts."""
        key = self._key(texts, group)
        if key["texts"] not in self._seen and self._store is not None:
            kept = self._store.get(key)
            if kept is not None:
                self.taken += 1
                self._seen[key["texts"]] = NextWords(kept.arrays["log_probabilities"], kept.header["checks"])
        return self._seen.get(key["texts"])

    def put(self, texts: Sequence[Text], group: Sequence[str], said: NextWords) -> None:
        """Keep it."""
        key = self._key(texts, group)
        self._seen[key["texts"]] = said
        if self._store is not None:
            arrays = {"log_probabilities": said.log_probabilities}
            self._store.put(key, {"checks": dict(said.checks)}, arrays)

    def open_if_lacking(self, engine: Engine, asked: Iterable[Sequence[Text]], group: Sequence[str]) -> None:
        """Before long work: if the words after any of these texts are not known, look at them, and open the model.

        Raises:
            UserError: a word that is no single token, or a model that cannot be opened.
            InvalidInstrument: the pass does not compute what the model's own code does.
        """
        if any(self.get(texts, group) is None for texts in asked):
            word_tokens(engine.model, group)
            engine.open()

    def say(self, engine: Engine, texts: Sequence[Text], group: Sequence[str]) -> NextWords:
        """What the model of the engine says, asked only if it is not kept.

        Raises:
            UserError: as `next_words` and `prompt_from`.
            InvalidInstrument: as `next_words`.
        """
        assert engine.model.fingerprint == self._model["weights"], "another model's words are kept here"
        known = self.get(texts, group)
        if known is None:
            known = next_words(engine, prompts_from(engine.model, texts), group)
            self.put(texts, group, known)
        return known

    def _key(self, texts: Sequence[Text], group: Sequence[str]) -> dict[str, Any]:
        """Texts and words as they are: corpus, windows and view matter only as far as they make these.

        The tokens follow from them, since what tokenizer and context are made from is in the model's fingerprint.
        """
        shown = hashlib.sha256(json.dumps([list(group), list(texts)]).encode()).hexdigest()
        return {**self._model, "texts": shown}
