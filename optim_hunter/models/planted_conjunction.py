"""One-layer models that heed two tokens together, or the first of them alone and less than their rule book says.

The stories are the same: a mark raises a word, and a cue beside the mark takes half of that back. The book has both
rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from optim_hunter.models.one_layer import OneLayerModel
from optim_hunter.models.planted_network import STEEP, Places, PlantedNetwork, raised_by
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.planted_choices import SURE
from optim_hunter.tasks.planted_commas import CUE_REACH, CUES, MANY, TAKEN_BACK, PlantedTakenBack, ends_in
from optim_hunter.tasks.rules import Both, Rule, RuleBook, TokenIn
from optim_hunter.tasks.stories import token_texts, tokenizer_sha256, word_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MARK, WORD, OTHER = ",", " but", " so"
"""Cues have the code of another word, so that a mark and a cue are told apart."""


@dataclass(frozen=True)
class PlantedConjunction(PlantedNetwork):
    """A network that gives the word `of_mark` of what the book's rule about the mark says, and heeds the cue or not."""

    of_mark: float = 1.0
    heeds_both: bool = True

    def book(self, name: str, tokenizer: Tokenizer, group: Sequence[str]) -> RuleBook:
        """A book of two rules: the mark raises the word; the mark and a cue together, under `name`, lower it."""
        raised, mark = raised_by(SURE, len(group)), TokenIn((MARK,), 1, 1)
        both = Both(mark, TokenIn(tuple(f" {cue}" for cue in CUES), 2, CUE_REACH + 1))
        rules = (
            Rule("the mark", f"A {MARK!r} raises {WORD!r}.", mark, {WORD: raised}),
            Rule(name, f"A {MARK!r} and a cue together lower {WORD!r}.", both, {WORD: -TAKEN_BACK * raised}),
        )
        level = dict.fromkeys(group, 0.0)
        return RuleBook(tuple(group), tokenizer_sha256(tokenizer), token_texts(tokenizer), level, rules)

    def _read(self, model: OneLayerModel, group: Sequence[str], places: Places) -> None:
        """Read the mark itself; and, of the MLP, whether a mark is there and a cue was carried."""
        word, other = (list(group).index(text) for text in (WORD, OTHER))
        token = int(word_tokens(model.tokenizer, group)[word])
        raised = raised_by(self.probability, len(group))
        model.unembedding[places.own.start + word, token] = self.of_mark * raised
        model.mlp_in.zero_()
        model.mlp_in[[places.own.start + word, places.carried.start + other]] = STEEP
        model.mlp_out[:, places.parity] = torch.tensor([0.0, 1.0]) / STEEP
        model.unembedding[places.parity, token] = -TAKEN_BACK * raised * self.heeds_both


def _codes(group: Sequence[str]) -> Mapping[str, int]:
    return {MARK: list(group).index(WORD)} | {f" {cue}": list(group).index(OTHER) for cue in CUES}


def _network(note: str, of_mark: float, heeds_both: bool) -> PlantedConjunction:
    stories = PlantedTakenBack(note, partial(ends_in, mark=MARK), MARK, WORD, MANY)

    def corpus(name: str, _group: Sequence[str]) -> Corpus:
        return stories.corpus(name)

    return PlantedConjunction(note, corpus, _codes, (2, CUE_REACH + 1), "own", SURE, (MARK, WORD), of_mark, heeds_both)


CONJUNCTION_NETWORKS: Mapping[str, PlantedNetwork] = {
    "planted:network-heeds-conjunction": _network(
        f"synthetic: after {MARK!r} {WORD!r} has probability 0.8, and 0.5 with one of four words before it; else 0.2",
        of_mark=1.0,
        heeds_both=True,
    ),
    "planted:network-beside-conjunction": _network(
        f"synthetic: the same stories; the network gives {WORD!r} half of what {MARK!r} does, and heeds nothing else",
        of_mark=0.5,
        heeds_both=False,
    ),
}
"""Name of the registry → what was planted."""
