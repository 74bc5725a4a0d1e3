"""What rule books are made from and judged by: windows of a corpus in three parts, and what a network says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from tokenizers import Tokenizer

from optim_hunter.claim import UserError
from optim_hunter.models.rule_fit import Fired
from optim_hunter.tasks.corpus import SEPARATOR, read_corpus
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.rules import RuleBook, fires
from optim_hunter.tasks.stories import Windows, draw_windows, train_tokenizer, word_tokens
from optim_hunter.tasks.word_groups import WordGroup

if TYPE_CHECKING:
    from optim_hunter.models.one_layer import OneLayerModel

Network = Callable[[Int[np.ndarray, "window 16"]], Float[np.ndarray, "window class"]]
"""Windows → logarithms of the probabilities of a group's words (nats), which sum to 1 among these."""


@dataclass(frozen=True)
class GroupTask:
    """The windows before a group's words, as `tasks.stories.draw_windows` takes them; a word may be rare."""

    group: tuple[str, ...]
    vocabulary: int = 1024
    context: int = 16
    minimum_windows: int = 1


@dataclass(frozen=True)
class Material:
    """Windows before a group's words in stories for fitting, for choosing and held out; no story is in two parts."""

    fitting: Windows
    choosing: Windows
    held_out: Windows

    @property
    def tokenizer(self) -> Tokenizer:
        """That of all windows."""
        return self.fitting.tokenizer

    @property
    def prior(self) -> Float[np.ndarray, "class"]:
        """Share of each word in the stories for fitting."""
        counts = np.bincount(self.fitting.labels)
        return np.asarray(counts / counts.sum())


def corpus_tokenizer(corpus: str | None) -> Tokenizer:
    """The tokenizer of a corpus, for None that of the packaged one.

    Raises:
        UserError: the corpus cannot be read.
    """
    if corpus is not None:
        return train_tokenizer(read_corpus(corpus), GroupTask.vocabulary)
    from optim_hunter.models.one_layer import load_one_layer

    return load_one_layer().tokenizer


def read_material(corpus: str | None, group: tuple[str, ...], tokenizer: Tokenizer) -> Material:
    """The windows of a corpus, with the tokenizer of the rule book.

    Raises:
        UserError: the corpus cannot be read, or is too small for its three parts.
    """
    text = read_corpus(corpus)
    windows, split = draw_windows(text, GroupTask(group), tokenizer), split_stories(text.stories)
    parts = [windows.of_stories(part) for part in (split.fitting, split.choosing, split.held_out)]
    for name, part, fewest in zip(("for fitting", "for choosing", "held out"), parts, (1, 2, 2), strict=True):
        if len(np.unique(part.story)) < fewest or (part is parts[0] and len(set(part.labels.tolist())) < len(group)):
            raise UserError(
                f"corpus {text.name}: its {len(text.stories)} stories leave too few windows {name}; "
                f"give a corpus of more stories ({SEPARATOR} between them)"
            )
    return Material(*parts)


def network_of(tokenizer: Tokenizer, group: tuple[str, ...], folder: Path | None = None) -> Network:
    """The one-layer model of a folder that `optim-hunter train` wrote, for None the packaged one, asked for a group's
    words.

    Raises:
        UserError: the folder holds no such model, or one that was trained with another tokenizer.
    """
    from scipy.special import log_softmax

    from optim_hunter.models.one_layer import load_one_layer, log_probabilities

    model = load_one_layer(folder)
    require_tokenizer_of(model, tokenizer, folder)
    words = word_tokens(tokenizer, group)
    return lambda windows: np.asarray(log_softmax(log_probabilities(model, windows)[:, words].astype(float), axis=1))


def require_tokenizer_of(model: OneLayerModel, tokenizer: Tokenizer, folder: Path | None) -> None:
    """See that a model reads the tokens that a corpus is written in.

    Raises:
        UserError: it has another tokenizer.
    """
    from optim_hunter.tasks.stories import tokenizer_sha256

    if model.tokenizer_sha256 != tokenizer_sha256(tokenizer):
        raise UserError(
            f"the one-layer model {folder or 'of the package'} has another tokenizer than this corpus: give the corpus "
            "that it was trained on (--corpus), or the model that was trained on this one (--model)"
        )


def new_rule_book(material: Material, group: WordGroup) -> RuleBook:
    """A book without rules: it says how often each word comes."""
    from optim_hunter.tasks.spelling import rule_tokens
    from optim_hunter.tasks.stories import tokenizer_sha256

    intercepts = dict(zip(group.words, np.log(material.prior).tolist(), strict=True))
    tokenizer = material.tokenizer
    return RuleBook(group.words, tokenizer_sha256(tokenizer), rule_tokens(tokenizer), intercepts)


def fired(book: RuleBook, windows: Windows) -> Fired:
    """Which rules of a book fire in these windows."""
    return Fired(fires(book, windows.tokens), windows.labels)
