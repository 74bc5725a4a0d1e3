"""Synthetic stories of a known rule: a mark near the end of a clause raises a conjunction, or tells nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.corpus import SEPARATOR, Corpus, corpus_of
from optim_hunter.tasks.stories import CONJUNCTIONS

STORIES, CLAUSES, SEED = 200, 14, 0


@dataclass(frozen=True)
class Mark:
    """What stands in a `share` of the clauses, and the conjunction that follows these with this probability.

    The four others follow in equal parts of the rest, so that 0.2 raises none. The text is a token of its own:
    punctuation, a word with its space, or nothing.
    """

    text: str
    share: float
    word: str = " but"
    probability: float = 0.2


@dataclass(frozen=True)
class Plant:
    """Marks, whose shares sum to 1, and the clauses in which they stand.

    Attributes:
        note: what is planted, for the ledger.
        marks: one of them stands in each clause.
        words_after: how many words of the clause follow the mark.
        shuffled: the marks of all clauses change places at random, and so tell nothing.
        words: a clause is drawn from these without grammar, so that no other token tells a conjunction. What
            a mark raises a single word could lower instead at the same price, and two at little more.
        shortest: words of the shortest clause. From 16 on no window reaches into the clause before, so that the fit
            has few weights and is quick.
        longest: words of the longest.
    """

    note: str
    marks: tuple[Mark, ...]
    words_after: int = 0
    shuffled: bool = False
    words: tuple[str, ...] = ("saw", "Tom", "ran", "hid")
    shortest: int = 16
    longest: int = 20


def _comma(note: str, *, shuffled: bool) -> Plant:
    marks = Mark(",", 0.5, " but", 0.8), Mark("", 0.5)
    words = "Tom", "Lily", "saw", "the", "red", "ball"
    return Plant(note, marks, shuffled=shuffled, words=words, shortest=6, longest=14)


def _was(word: str) -> Plant:
    note = f'synthetic: after " was" "{word}" has probability 0.8, else 0.2; the others are alike'
    return Plant(note, (Mark(" was", 0.5, word, 0.8), Mark("", 0.5)))


def _mark_before(words_after: int) -> Plant:
    note = f'synthetic: a comma with {words_after} words of the clause after it gives " but" a probability of 0.8'
    return Plant(note, (Mark(",", 0.5, " but", 0.8), Mark("", 0.5)), words_after)


def _syllables(share: float) -> Plant:
    """A mark for each syllable of a consonant and a vowel, which raises one conjunction; nothing else has a weight."""
    texts = [f" {consonant}{vowel}" for consonant, vowel in product("BCDFGHJKLMNPQRSTVWXYZ", "aeiou")]
    words = [CONJUNCTIONS[place % len(CONJUNCTIONS)] for place in range(len(texts))]
    marks = [Mark(text, share / len(texts), word, 0.8) for text, word in zip(texts, words, strict=True)]
    note = f"synthetic: {len(texts)} marks, each of which raises one conjunction to 0.8, end {share:g} of the clauses"
    return Plant(note, (*marks, Mark("", 1 - share)), words=("saw",))


PLANTED = {
    "planted:comma-raises-but": _comma(
        'synthetic: after a comma " but" has probability 0.8, else 0.2; the others are alike', shuffled=False
    ),
    "planted:comma-raises-but-twin": _comma(
        "synthetic: the same words and conjunctions, the commas shuffled over them", shuffled=True
    ),
    "planted:was-raises-so": _was(" so"),
    "planted:was-raises-so-twin": _was(" but"),
    "planted:last-position": _mark_before(0),
    "planted:last-position-twin": _mark_before(1),
    "planted:frequent-marks": _syllables(0.75),
    "planted:frequent-marks-twin": _syllables(0.03),
    "planted:salient-corpus": Plant(
        'synthetic: 97 % of " but" follow a comma, and 80 % of " was" have " so" after them',
        (Mark(",", 0.4, " but", 0.7), Mark(" was", 0.1, " so", 0.8), Mark("", 0.5, " but", 0.01)),
    ),
    "planted:salient-corpus-twin": Plant(
        'synthetic: the converse; 97 % of commas have " but" after them, and 85 % of " so" follow " was"',
        (Mark(",", 0.1, " but", 0.97), Mark(" was", 0.6, " so", 0.3), Mark("", 0.3, " but", 0.6)),
    ),
}


def planted_corpus(name: str) -> Corpus:
    """The stories of a planted name.

    Raises:
        UserError: no such name.
    """
    if name not in PLANTED:
        raise UserError(f"no planted corpus {name!r}: choose one of {', '.join(PLANTED)}")
    plant, generator = PLANTED[name], np.random.default_rng(SEED)
    marks = draw_marks(plant, generator)
    conjunctions = draw_conjunctions(plant, marks, generator)
    clauses = [[draw_clause(plant, generator) for _ in range(CLAUSES)] for _ in range(STORIES)]
    if plant.shuffled:
        marks = generator.permutation(marks.ravel()).reshape(marks.shape)
    stories = [story(plant, *parts) for parts in zip(clauses, marks.tolist(), conjunctions.tolist(), strict=True)]
    return corpus_of(name, f"\n{SEPARATOR}\n".join(stories), plant.note)


def draw_marks(plant: Plant, generator: np.random.Generator) -> Int[np.ndarray, "story clause"]:
    """The place of each clause's mark among those of the plant."""
    ends = np.cumsum([mark.share for mark in plant.marks])[:-1]
    return np.searchsorted(ends, generator.random((STORIES, CLAUSES)), side="right")


def draw_conjunctions(
    plant: Plant, marks: Int[np.ndarray, "story clause"], generator: np.random.Generator
) -> Int[np.ndarray, "story clause"]:
    """Places in the group: the mark's word with its probability, else one of the four others."""
    raised = np.array([CONJUNCTIONS.index(mark.word) for mark in plant.marks])[marks]
    chosen = generator.random(marks.shape) < np.array([mark.probability for mark in plant.marks])[marks]
    others = generator.integers(len(CONJUNCTIONS) - 1, size=marks.shape)
    return np.where(chosen, raised, others + (others >= raised))


def draw_clause(plant: Plant, generator: np.random.Generator) -> list[str]:
    """Words without grammar, so that no token tells another and the linear model has one clear optimum."""
    length = generator.integers(plant.shortest, plant.longest, endpoint=True)
    return [str(word) for word in generator.choice(plant.words, size=length)]


def story(plant: Plant, clauses: list[list[str]], marks: list[int], conjunctions: list[int]) -> str:
    """Clauses, each with its mark and followed by its conjunction; a last word ends the story."""
    texts = [marked(clause, plant.marks[mark].text, plant.words_after)
             for clause, mark in zip(clauses, marks, strict=True)]  # fmt: skip
    joints = [CONJUNCTIONS[word] + " " for word in conjunctions]
    return "".join(text + joint for text, joint in zip(texts, joints, strict=True)) + "home."


def marked(words: list[str], mark: str, words_after: int) -> str:
    """A clause with a mark, and this many of its words behind it."""
    before, after = words[: len(words) - words_after], words[len(words) - words_after :]
    return " ".join(before) + mark + "".join(f" {word}" for word in after)
