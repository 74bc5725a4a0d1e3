"""One-layer models with set weights, beside the synthetic stories whose rule they follow: what each part does is known.

In all of them the last token's embedding, the attention and the MLP each write something; which of these the
unembedding reads is what was planted. So a part that writes as much as another may matter or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import OneLayerModel, OneLayerShape
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.planted_choices import (
    CERTAIN,
    FILLERS,
    SURE,
    Logits,
    Rule,
    Words,
    favouring,
    one_cue,
    stories_of_rule,
    two_cues,
)
from optim_hunter.tasks.planted_commas import CUE_REACH, CUES, MANY, PlantedCommas, ends_in, has_cue
from optim_hunter.tasks.rules import Rule as RuleOfBook
from optim_hunter.tasks.rules import RuleBook, TokenIn
from optim_hunter.tasks.stories import token_texts, tokenizer_sha256, train_tokenizer, word_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Read = Literal["own", "carried", "parity"]
"""What the unembedding reads: the last token itself, what attention carries, or what the MLP makes of both."""

OWN: Read = "own"
CARRIED: Read = "carried"

SHARP = 30.0
"""Attention score of a token that is heeded; all others have 0."""

STEEP = 10.0
"""By so much the neurons' inputs are scaled, so that GELU is a ramp."""


@dataclass(frozen=True)
class PlantedNetwork:
    """A corpus for a group of words, and what its network does.

    Attributes:
        note: what was planted.
        corpus: the stories for the words of a group.
        codes: what each of some tokens says: the place of the word that it raises.
        span: positions, from the nearest to the farthest before the word, at which attention heeds those tokens.
        reads: what the unembedding reads.
        probability: of the word that is raised.
        mark: what stands just before most words that are raised, and the word.
    """

    note: str
    corpus: Callable[[str, Sequence[str]], Corpus]
    codes: Callable[[Sequence[str]], Mapping[str, int]]
    span: tuple[int, int]
    reads: Read
    probability: float
    mark: tuple[str, str] | None = None

    @torch.no_grad()
    def build(self, corpus: Corpus, group: Sequence[str]) -> OneLayerModel:
        """The network, for the corpus's own tokenizer.

        Raises:
            UserError: the word that it raises is not in the group.
        """
        tokenizer = train_tokenizer(corpus, 1024)
        codes = torch.from_numpy(codes_of_tokens(token_texts(tokenizer), self.codes(group), len(group)))
        places = Places(codes.shape[1])
        shape = OneLayerShape(vocabulary=len(codes), width=places.width, heads=1, neurons=2)
        model = OneLayerModel(shape, tokenizer, torch.Generator().manual_seed(0))
        for weights in model.parameters():
            weights.zero_()
        self._embed(model, codes, places)
        _compute(model, places)
        self._read(model, group, places)
        return model

    def book(self, name: str, tokenizer: Tokenizer, group: Sequence[str]) -> RuleBook:
        """A book of one rule: the mark raises the word.

        Raises:
            UserError: nothing stands before the words that are raised.
        """
        if self.mark is None:
            raise UserError(f"{self.note}: it has no rule about a mark")
        return mark_book(name, *self.mark, tokenizer, group)

    def _embed(self, model: OneLayerModel, codes: Float[Tensor, "token code"], places: Places) -> None:
        shape, (near, far) = model.shape, self.span
        symbols = model.embedding.view(shape.context, shape.vocabulary, shape.width)
        symbols[-1, :, places.own], symbols[-1, :, places.constant] = codes, 1.0
        span = slice(shape.context - far, shape.context - near + 1)
        symbols[span, :, places.heeded], symbols[span, :, places.key] = codes, codes[:, -1]

    def _read(self, model: OneLayerModel, group: Sequence[str], places: Places) -> None:
        """Let the unembedding read what is planted."""
        words = torch.from_numpy(word_tokens(model.tokenizer, group))
        raised = raised_by(self.probability, len(words))
        if self.reads == "parity":
            model.unembedding[places.parity, words[:2]] = raised * torch.tensor([-1.0, 1.0])
            model.bias[words[0]] = raised
        else:
            first = (places.own if self.reads == OWN else places.carried).start
            model.unembedding[first : first + len(words), words] = raised * torch.eye(len(words))


def raised_by(probability: float, classes: int) -> float:
    """How far the logit of a word with this probability lies above the others, which are alike (nats)."""
    return float(np.log(probability / (1 - probability) * (classes - 1)))


def mark_book(name: str, mark: str, word: str, tokenizer: Tokenizer, group: Sequence[str]) -> RuleBook:
    """A book of one rule: a mark just before the word gives it four fifths, where all words are alike elsewhere."""
    shifts = {word: raised_by(SURE, len(group))}
    rule = RuleOfBook(name, f"After {mark!r} the word is {word!r}.", TokenIn((mark,), 1, 1), shifts)
    level = dict.fromkeys(group, 0.0)
    return RuleBook(tuple(group), tokenizer_sha256(tokenizer), token_texts(tokenizer), level, (rule,))


class Places:
    """Where in the residual stream what stands: codes of `size` entries, and three numbers."""

    def __init__(self, size: int) -> None:
        self.own, self.heeded, self.carried = (slice(part * size, (part + 1) * size) for part in range(3))
        self.constant, self.key, self.parity = range(3 * size, 3 * size + 3)
        self.size, self.width = size, 3 * size + 3


def _compute(model: OneLayerModel, places: Places) -> None:
    """Attention carries the code of what it heeds; the MLP tells whether its parity and the last token's differ."""
    model.query[places.constant, 0], model.key[places.key, 0] = SHARP * places.width**0.5, 1.0
    model.value[places.heeded, places.carried] = model.output[places.carried, places.carried] = torch.eye(places.size)
    model.mlp_in[[places.own.stop - 2, places.carried.stop - 2]] = STEEP
    model.mlp_bias[1] = -STEEP
    model.mlp_out[:, places.parity] = torch.tensor([1.0, -2.0]) / STEEP


def codes_of_tokens(texts: Sequence[str], codes: Mapping[str, int], classes: int) -> Float[np.ndarray, "token code"]:
    """What each token says: one of `classes` words that it raises, its code's parity, and 1 where it says anything."""
    said = np.zeros((len(texts), classes + 2), dtype=np.float32)
    for token, text in enumerate(texts):
        if text in codes:
            said[token, [codes[text] % classes, classes + 1]] = 1.0
            said[token, classes] = codes[text] % 2
    return said


def word_before(words: Words, classes: int) -> Logits:
    """The last word but one tells."""
    return favouring(words[:, -2] % classes, classes, CERTAIN)


def _fillers(group: Sequence[str]) -> Mapping[str, int]:  # noqa: ARG001 - fillers say the same in every group
    return {f" {filler}": place for place, filler in enumerate(FILLERS)}


def _of_words(rule: Rule, reads: Read, probability: float) -> PlantedNetwork:
    def corpus(name: str, group: Sequence[str]) -> Corpus:
        return stories_of_rule(name, rule, group).corpus

    return PlantedNetwork(f"synthetic: {rule.what}", corpus, _fillers, (2, 2), reads, probability)


def _raising(word: str, texts: Sequence[str], group: Sequence[str]) -> Mapping[str, int]:
    if word not in group:
        raise UserError(f"the planted network raises {word!r}, which is not in the group {list(group)}")
    return dict.fromkeys(texts, list(group).index(word))


def _of_mark(mark: str, word: str, *, heeded: bool) -> PlantedNetwork:
    """A network that heeds a mark, or the cues that stand beside most of them."""
    what = "the mark" if heeded else "one of four words before it, behind which 90 % of the marks stand"
    note = f"synthetic: {what} gives {word!r} a probability of 0.8, else 0.2; the mark is {mark!r}"
    stories = PlantedCommas(note, partial(ends_in, mark=mark) if heeded else has_cue, mark, word, MANY)
    texts = (mark,) if heeded else tuple(f" {cue}" for cue in CUES)
    span, reads = ((1, 1), OWN) if heeded else ((1, CUE_REACH + 1), CARRIED)
    codes = partial(_raising, word, texts)
    return PlantedNetwork(note, lambda name, _: stories.corpus(name), codes, span, reads, SURE, (mark, word))


NETWORKS: Mapping[str, PlantedNetwork] = {
    "planted:network-last-word": _of_words(Rule("the last of 16 words tells the next in 95 %", one_cue), OWN, CERTAIN),
    "planted:network-word-before": _of_words(
        Rule("the last of 16 words but one tells the next in 95 %", word_before), CARRIED, CERTAIN
    ),
    "planted:network-both-words": _of_words(
        Rule("the last two words tell the next together, each alone nothing", two_cues), "parity", SURE
    ),
    "planted:network-heeds-comma": _of_mark(",", " but", heeded=True),
    "planted:network-beside-comma": _of_mark(",", " but", heeded=False),
    "planted:network-heeds-was": _of_mark(" was", " so", heeded=True),
    "planted:network-beside-was": _of_mark(" was", " so", heeded=False),
}
"""Name of the registry → what was planted."""
