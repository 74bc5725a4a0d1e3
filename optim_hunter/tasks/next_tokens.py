"""Every token of a story that has enough tokens before it: what a model of the next token is trained and scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class NextTokens:
    """Stories as tokens in one row, and the places in it that have `context` tokens before them in their own story.

    `lengths` are those of the stories, in tokens; `story` is the place of each example's story in the corpus.
    """

    tokens: Int[np.ndarray, "token"]
    lengths: Int[np.ndarray, "story"]
    places: Int[np.ndarray, "example"]
    story: Int[np.ndarray, "example"]
    context: int

    def windows(self, examples: Int[np.ndarray, "example"]) -> Int[np.ndarray, "example position"]:
        """The tokens before each of these examples."""
        return self.tokens[self.places[examples, None] + np.arange(-self.context, 0)]

    def following(self, examples: Int[np.ndarray, "example"]) -> Int[np.ndarray, "example"]:
        """The tokens that came."""
        return self.tokens[self.places[examples]]


def next_tokens(tokenizer: Tokenizer, corpus: Corpus, stories: Int[np.ndarray, "story"], context: int) -> NextTokens:
    """The examples of some stories of a corpus.

    Raises:
        UserError: none of them is longer than the context.
    """
    tokens, lengths = encode(tokenizer, [corpus.stories[story] for story in stories])
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.flatnonzero(np.arange(len(tokens)) - starts >= context)
    if not len(places):
        raise UserError(
            f"corpus {corpus.name}: none of {len(stories)} stories is longer than {context} tokens; give a corpus of "
            "more and longer stories"
        )
    return NextTokens(tokens, lengths, places, np.repeat(stories, lengths)[places], context)
