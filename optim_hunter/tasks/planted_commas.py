"""Synthetic stories in which a word comes after a mark, with choosers that heed the mark, or words beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from jaxtyping import Float

from optim_hunter.tasks.corpus import SEPARATOR, Corpus, corpus_of
from optim_hunter.tasks.planted_choices import FILLERS, SURE
from optim_hunter.tasks.stories import CONJUNCTIONS

STORIES, MANY, CLAUSES, SEED = 1500, 3600, 6, 0
"""Stories of a corpus; many where claims look at more of them a seed."""

SHORTEST, LONGEST = 17, 20
"""Words of a clause: no window reaches into the clause before."""
CUE_REACH = 8
"""A cue is one of so many last words."""
CUES, WORDS = FILLERS[:4], FILLERS[4:]
BESIDE = 0.9
TAKEN_BACK = 0.5
"""Share of what a mark gives its word that a cue beside it takes back."""


@dataclass(frozen=True)
class PlantedCommas:
    """A corpus, and its chooser: it gives a `word` four fifths where it `heeds` a text, and all words alike elsewhere.

    `note` says what is planted.
    """

    note: str
    heeds: Callable[[str], bool]
    mark: str = ","
    word: str = " but"
    stories: int = STORIES

    def corpus(self, name: str) -> Corpus:
        """Clauses of which half have a cue; 90 % of these, and of the others 10 %, end in the mark."""
        drawn = _drawn_clauses(self.stories * CLAUSES)
        texts = [clause.words + self.mark * clause.marked for clause in drawn]
        said = np.exp(self.log_probabilities([(text, 0) for text in texts], CONJUNCTIONS))
        # As generator.choice(p=…) draws: the first word whose cumulative share exceeds the number drawn.
        uniform = np.array([[clause.uniform] for clause in drawn])
        passed = np.cumsum(said / said.sum(1, keepdims=True), axis=1) <= uniform
        clauses = [text + CONJUNCTIONS[word] for text, word in zip(texts, passed.sum(1), strict=True)]
        stories = [" ".join(clauses[first : first + CLAUSES]) + " home." for first in range(0, len(clauses), CLAUSES)]
        return corpus_of(name, f"\n{SEPARATOR}\n".join(stories), self.note)

    def log_probabilities(
        self, texts: Sequence[tuple[str, int]], group: Sequence[str]
    ) -> Float[np.ndarray, "text class"]:
        """What the chooser says after each text, shown from a character on."""
        favoured = np.array([self.heeds(text[start:]) for text, start in texts])
        rest = (1 - SURE) / (len(group) - 1)
        certain = np.where(np.array(group) == self.word, SURE, rest)
        return np.log(np.where(favoured[:, None], certain, 1 / len(group)))


@dataclass(frozen=True)
class PlantedTakenBack(PlantedCommas):
    """The same, but a cue among the last words takes back half of what the mark gives the word (in log-odds)."""

    def log_probabilities(
        self, texts: Sequence[tuple[str, int]], group: Sequence[str]
    ) -> Float[np.ndarray, "text class"]:
        """What the chooser says after each text, shown from a character on."""
        shown = [text[start:] for text, start in texts]
        given = np.array([self.heeds(text) * (1.0 - TAKEN_BACK * has_cue(text)) for text in shown])
        raised = np.log(SURE / (1 - SURE) * (len(group) - 1))
        scores = raised * given[:, None] * (np.array(group) == self.word)
        return np.asarray(scores - np.log(np.exp(scores).sum(1, keepdims=True)))


@dataclass(frozen=True)
class _Clause:
    """Words of a clause, whether a mark follows them, and a uniform number in [0, 1) that decides its conjunction."""

    words: str
    marked: bool
    uniform: float


@cache
def _drawn_clauses(number: int) -> tuple[_Clause, ...]:
    """So many, drawn with `SEED`: the same for all plants, which differ in their marks and in what heeds them."""
    generator = np.random.default_rng(SEED)
    return tuple(_clause(generator) for _ in range(number))


def _clause(generator: np.random.Generator) -> _Clause:
    length = generator.integers(SHORTEST, LONGEST, endpoint=True)
    words = [WORDS[word] for word in generator.integers(len(WORDS), size=length)]
    cued = generator.random() < 1 / 2
    if cued:
        words[-1 - int(generator.integers(CUE_REACH))] = CUES[generator.integers(len(CUES))]
    marked = generator.random() < (BESIDE if cued else 1 - BESIDE)
    return _Clause(" ".join(words), bool(marked), generator.random())


def ends_in(text: str, mark: str) -> bool:
    """With this mark just before the word."""
    return text.endswith(mark)


def has_cue(text: str) -> bool:
    """Among its last words, of which one may stand in the place of a mark."""
    return any(word.rstrip(",") in CUES for word in text.split()[-CUE_REACH - 1 :])


COMMAS: Mapping[str, PlantedCommas] = {
    "planted:comma-heeded": PlantedCommas(
        'synthetic: after a comma " but" has probability 0.8, else 0.2, whatever stands beside it',
        partial(ends_in, mark=","),
    ),
    "planted:comma-beside": PlantedCommas(
        'synthetic: after one of four words " but" has probability 0.8, else 0.2; 90 % of commas stand behind one',
        has_cue,
    ),
}
"""Name of the registry → what is planted: in the second the comma goes with " but" and causes nothing."""

ELSEWHERE: Mapping[str, PlantedCommas] = {
    "planted:rules-elsewhere": PlantedCommas(
        'synthetic: the rule, that "," raises " but", holds as where it was found',
        partial(ends_in, mark=","),
        stories=MANY,
    ),
    "planted:rules-elsewhere-twin": PlantedCommas(
        'synthetic: "," raises " so", where the rule has it raise " but"',
        partial(ends_in, mark=","),
        word=" so",
        stories=MANY,
    ),
}
"""Name of the registry → the corpus that a rule book of that rule meets."""
