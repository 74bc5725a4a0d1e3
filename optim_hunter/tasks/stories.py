"""The question put to a stories model: which of five words comes after these 16 tokens?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Bool, Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.corpus import Corpus

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES = 256
BATCH = 1024
"""Stories encoded at once: enough for all cores, without the encodings of a whole corpus in memory."""

KEPT_CORPORA = 2
"""Whose tokens stay in memory: the one that claims are about, and that of the control between them."""

CONJUNCTIONS = (" and", " but", " for", " so", " or")


class Choice(Protocol):
    """What every task about a group of words says."""

    @property
    def group(self) -> tuple[str, ...]:
        """The words, each with the space before it."""

    @property
    def vocabulary(self) -> int:
        """Tokens of the tokenizer, at most."""

    @property
    def context(self) -> int:
        """Tokens of a window."""

    @property
    def minimum_windows(self) -> int:
        """Windows of each word that a corpus must have."""


@dataclass(frozen=True)
class StoriesTask:
    """Choose among the words of `group` after a window of `context` tokens of a `vocabulary` of byte pairs.

    `l1` is the price of a weight in nats. The gradient of a token's weight is at most the share of windows
    that hold it, so 1e-4 leaves out just what fewer than one window in 10,000 shows.
    """

    group: tuple[str, ...] = CONJUNCTIONS
    vocabulary: int = 1024
    context: int = 16
    l1: float = 1e-4
    minimum_windows: int = 100


@dataclass(frozen=True)
class LastTokenTask:
    """Count which word of `group` comes after which last token of the same windows: no model, nothing is fitted."""

    group: tuple[str, ...] = CONJUNCTIONS
    vocabulary: int = 1024
    context: int = 16
    minimum_windows: int = 100


@dataclass(frozen=True)
class Windows:
    """Windows that end just before a word of the group.

    `labels` are places in the group; `story` is the place of the window's story in the corpus, and `place` that of
    the word in its story, in tokens.
    """

    tokens: Int[np.ndarray, "window 16"]
    labels: Int[np.ndarray, "window"]
    story: Int[np.ndarray, "window"]
    place: Int[np.ndarray, "window"]
    tokenizer: Tokenizer

    def of_stories(self, stories: Int[np.ndarray, "story"]) -> Windows:
        """The windows of these stories alone, in the same order."""
        held = np.isin(self.story, stories)
        return Windows(self.tokens[held], self.labels[held], self.story[held], self.place[held], self.tokenizer)


def train_tokenizer(corpus: Corpus, vocabulary: int) -> Tokenizer:
    """Byte-level BPE of at most `vocabulary` tokens (fewer where the text has no more pairs to merge).

    The training draws nothing at random: one corpus gives one tokenizer.

    Raises:
        UserError: the vocabulary has no room for more than the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocabulary <= BYTES:
        raise UserError(f"a vocabulary of {vocabulary} tokens: the {BYTES} bytes alone take that; ask for more")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus.stories, trainer)
    return tokenizer


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """Identity of a tokenizer: the hash of its JSON."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def token_texts(tokenizer: Tokenizer) -> tuple[str, ...]:
    """The text of each token; a token that is part of a character keeps its name in the byte alphabet."""
    texts = _decoded(tokenizer)
    names = token_names(tokenizer)
    return tuple(name if "\ufffd" in text else text for name, text in zip(names, texts, strict=True))


def _decoded(tokenizer: Tokenizer) -> list[str]:
    """Each token decoded on its own; a part of a character is U+FFFD."""
    return list(tokenizer.decode_batch([[token] for token in range(tokenizer.get_vocab_size())]))


def token_names(tokenizer: Tokenizer) -> list[str]:
    """Tokens as the tokenizer's file writes them: bytes that are no printed ASCII stand as other letters."""
    by_token = {token: name for name, token in tokenizer.get_vocab().items()}
    return [by_token[token] for token in range(len(by_token))]


def word_tokens(tokenizer: Tokenizer, group: Sequence[str]) -> Int[np.ndarray, "class"]:
    """The single token of each word of the group.

    Raises:
        UserError: fewer than two words, one that is there twice, has no space before it, or is no single token.
    """
    if len(group) < 2:
        raise UserError(f"word group {list(group)}: a choice needs two words or more")
    if twice := sorted({word for word in group if list(group).count(word) > 1}):
        raise UserError(f"word group: {twice[0]!r} is in it twice; name each word once")
    for word in group:
        if not (word.startswith(" ") and word[1:].isalnum()):
            raise UserError(f"word group: {word!r} is no word with one space before it, as in ' and'")
        if len(pieces := tokenizer.encode(word).tokens) != 1:
            raise UserError(
                f"word group: {word!r} is no single token of this corpus's tokenizer of {tokenizer.get_vocab_size()} "
                f"tokens ({len(pieces)} pieces); take a more frequent word, or a larger corpus"
            )
    return np.array([tokenizer.token_to_id(tokenizer.encode(word).tokens[0]) for word in group])


def encode(tokenizer: Tokenizer, stories: Sequence[str]) -> tuple[Int[np.ndarray, "token"], Int[np.ndarray, "story"]]:
    """Tokens of all stories in one row, and the length of each story."""
    parts: list[Int[np.ndarray, "token"]] = []
    for first in range(0, len(stories), BATCH):
        encodings = tokenizer.encode_batch_fast(list(stories[first : first + BATCH]), add_special_tokens=False)
        parts += [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
    return np.concatenate(parts), np.array([len(part) for part in parts])


def word_ends(
    tokenizer: Tokenizer, tokens: Int[np.ndarray, "token"], following: Int[np.ndarray, "occurrence"]
) -> Bool[np.ndarray, "occurrence"]:
    """Whether the token at each of these places does *not* continue the word before it with a letter or digit."""
    first = [text[:1] for text in _decoded(tokenizer)]
    ends = ~np.array([letter.isalnum() for letter in first])[tokens[following]]
    # A byte of a longer character is a letter or not only together with those that follow; no character has over four.
    unclear = np.array([letter == "\ufffd" for letter in first])[tokens[following]]
    for place in np.flatnonzero(unclear):
        text = tokenizer.decode(tokens[following[place] : following[place] + 4].tolist())
        ends[place] = not text[:1].isalnum()
    return np.asarray(ends)


@lru_cache(KEPT_CORPORA)
def _encoded(
    tokenizer_json: str, stories: tuple[str, ...]
) -> tuple[Int[np.ndarray, "token"], Int[np.ndarray, "story"]]:
    """`encode`, once for all groups and tasks of a corpus; a tokenizer has no hash, its JSON has."""
    from tokenizers import Tokenizer

    tokens, lengths = encode(Tokenizer.from_str(tokenizer_json), stories)
    for shared in (tokens, lengths):
        shared.setflags(write=False)
    return tokens, lengths


def find_windows(tokenizer: Tokenizer, stories: Sequence[str], group: Sequence[str], context: int) -> Windows:
    """Every whole word of the group that has `context` tokens before it in its own story."""
    tokens, lengths = _encoded(tokenizer.to_str(), tuple(stories))
    words = word_tokens(tokenizer, group)
    story = np.repeat(np.arange(len(lengths)), lengths)
    starts, stops = (np.cumsum(lengths) - lengths)[story], np.cumsum(lengths)[story]
    places = np.flatnonzero(np.isin(tokens, words))
    places = places[places - starts[places] >= context]
    inside = places + 1 < stops[places]
    whole = ~inside
    whole[inside] = word_ends(tokenizer, tokens, places[inside] + 1)
    places = places[whole]
    labels = np.argmax(tokens[places, None] == words, axis=1)
    before = tokens[places[:, None] + np.arange(-context, 0)]
    return Windows(before, labels, story[places], places - starts[places], tokenizer)


def draw_windows(corpus: Corpus, task: Choice, tokenizer: Tokenizer | None = None) -> Windows:
    """Cut all windows of the task, with the corpus's own tokenizer, trained here where none is given.

    Raises:
        UserError: a word that is no single token, or a class with fewer windows than the task asks for.
    """
    tokenizer = tokenizer or train_tokenizer(corpus, task.vocabulary)
    windows = find_windows(tokenizer, corpus.stories, task.group, task.context)
    counts = np.bincount(windows.labels, minlength=len(task.group))
    if counts.min() < task.minimum_windows:
        found = ", ".join(f"{word!r} {count}" for word, count in zip(task.group, counts, strict=True))
        raise UserError(
            f"corpus {corpus.name}: too few windows before a word, {task.minimum_windows} of each are needed "
            f"({found}); give a larger corpus"
        )
    return windows


def story_counts(stories: int, seed: int) -> Int[np.ndarray, "story"]:
    """How often each story is drawn when as many are drawn with replacement (the bootstrap by story)."""
    return np.random.default_rng(seed).multinomial(stories, np.full(stories, 1 / stories))
