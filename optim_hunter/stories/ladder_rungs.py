"""The rungs of the ladder: models of more and more machinery, and what each loses on the same held-out windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.models.ngrams import fit_ngrams
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.observe.one_layer import among
from optim_hunter.tasks.next_tokens import NextTokens
from optim_hunter.tasks.stories import Windows, word_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ALL = "all tokens"
AT_ONCE = 4096
"""Windows that are answered at once: 32 MB of log-probabilities."""

Say = Callable[[Int[np.ndarray, "window position"]], Float[np.ndarray, "window token"]]
"""Windows → log-probabilities (nats) of all tokens."""

Losses = Float[np.ndarray, "window"]


@dataclass(frozen=True)
class Question:
    """Held-out windows and what came after them: any token, or the words of a group among themselves.

    `labels` are tokens, or places among `words`, which are the tokens of the group.
    """

    name: str
    tokens: Int[np.ndarray, "window position"]
    labels: Int[np.ndarray, "window"]
    story: Int[np.ndarray, "window"]
    words: Int[np.ndarray, "class"] | None = None


def question_of_all(held_out: NextTokens, most: int) -> Question:
    """Which token comes, at no more than `most` of the places of the held-out stories: a sample drawn from all."""
    places = np.arange(len(held_out.places))
    if len(places) > most:
        places = np.sort(np.random.default_rng(0).choice(len(places), most, replace=False))
    return Question(ALL, held_out.windows(places), held_out.following(places), held_out.story[places])


def windows_of_group(linear: LinearChooser, most: int) -> Windows:
    """The windows of the first held-out stories, in the split's random order, until there are `most` or more."""
    held_out = linear.windows.of_stories(linear.split.held_out)
    counts = np.bincount(held_out.story, minlength=len(linear.corpus.stories))[linear.split.held_out]
    needed = int(np.searchsorted(np.cumsum(counts), most)) + 1
    return held_out.of_stories(linear.split.held_out[:needed])


def question_of_group(name: str, windows: Windows, group: Sequence[str]) -> Question:
    """Which word of the group comes."""
    return Question(name, windows.tokens, windows.labels, windows.story, word_tokens(windows.tokenizer, group))


def losses_of(say: Say, question: Question) -> Losses:
    """Negative log-likelihood (nats) of what came."""
    return np.concatenate(list(_losses(say, question)))


def _losses(say: Say, question: Question) -> Iterator[Losses]:
    for first in range(0, len(question.labels), AT_ONCE):
        said = say(question.tokens[first : first + AT_ONCE])
        yield losses_among(said if question.words is None else among(said, question.words), question, first)


def losses_among(said: Float[np.ndarray, "window class"], question: Question, first: int = 0) -> Losses:
    """Of log-probabilities of the classes, from window `first` on."""
    return np.asarray(-said[np.arange(len(said)), question.labels[first : first + len(said)]], dtype=np.float64)


def uniform(vocabulary: int) -> Say:
    """All tokens alike."""
    return lambda windows: np.full((len(windows), vocabulary), -np.log(vocabulary))


def ngrams(examples: NextTokens, tokenizer: Tokenizer, order: int) -> Say:
    """N-grams of the stories for fitting, with Kneser–Ney smoothing."""
    model = fit_ngrams(examples.tokens, examples.lengths, order, tokenizer.get_vocab_size())
    return lambda windows: np.log(model.probabilities(windows))


NGRAMS: Mapping[str, int] = {"unigrams": 1, "bigrams": 2, "trigrams": 3, "4-grams": 4, "5-grams": 5}
LINEAR, LINEAR_OF_GROUP = "linear, all tokens", "linear, of the group"
VARIANTS: Mapping[str, str | None] = {
    "one-layer without attention": "attention",
    "one-layer without MLP": "mlp",
    "one-layer": None,
}
"""Rung → the part that the model was trained without."""

PIECES: Sequence[tuple[str, str, str]] = (
    ("how frequent each is", "unigrams", "uniform"),
    ("the last token", "bigrams", "unigrams"),
    ("the three before it", "5-grams", "bigrams"),
    ("16 tokens, each for itself", LINEAR, "bigrams"),
    ("the same, fitted to the group alone", LINEAR_OF_GROUP, LINEAR),
    ("attention", "one-layer", "one-layer without attention"),
    ("the MLP", "one-layer", "one-layer without MLP"),
    ("what no sum over tokens says", "one-layer", LINEAR),
    ("the same, against the fit to the group", "one-layer", LINEAR_OF_GROUP),
)
"""A piece of machinery, the rung that has it, and the one that has all but it."""
