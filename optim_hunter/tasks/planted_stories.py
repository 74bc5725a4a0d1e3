"""Synthetic stories of a known rule: in the plant a comma raises " but"; in its twin it tells nothing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.corpus import SEPARATOR, Corpus, corpus_of
from optim_hunter.tasks.stories import CONJUNCTIONS

PLANTED = {
    "planted:comma-raises-but": 'synthetic: after a comma " but" has probability 0.8, else 0.2; the others are alike',
    "planted:comma-raises-but-twin": "synthetic: the same words and conjunctions, the commas shuffled over them",
}
STORIES, CLAUSES, SEED = 200, 14, 0
SHORTEST, LONGEST = 6, 14
BUT_AFTER_COMMA, BUT_ELSE = 0.8, 0.2

WORDS = ("Tom", "Lily", "saw", "the", "red", "ball")


def planted_corpus(name: str) -> Corpus:
    """The stories of a planted name.

    Raises:
        UserError: no such name.
    """
    if name not in PLANTED:
        raise UserError(f"no planted corpus {name!r}: choose one of {', '.join(PLANTED)}")
    generator = np.random.default_rng(SEED)
    commas = generator.random((STORIES, CLAUSES)) < 0.5
    conjunctions = draw_conjunctions(commas, generator)
    clauses = [[draw_clause(generator) for _ in range(CLAUSES)] for _ in range(STORIES)]
    if name.endswith("-twin"):
        commas = generator.permutation(commas.ravel()).reshape(commas.shape)
    stories = [story(*parts) for parts in zip(clauses, commas.tolist(), conjunctions.tolist(), strict=True)]
    return corpus_of(name, f"\n{SEPARATOR}\n".join(stories), PLANTED[name])


def draw_clause(generator: np.random.Generator) -> str:
    """Words without grammar, so that no token tells another and the linear model has one clear optimum."""
    return " ".join(generator.choice(WORDS, size=generator.integers(SHORTEST, LONGEST, endpoint=True)))


def draw_conjunctions(
    commas: Bool[np.ndarray, "story clause"], generator: np.random.Generator
) -> Int[np.ndarray, "story clause"]:
    """Places in the group: " but" with the probability that the comma gives it, else one of the four others."""
    but = CONJUNCTIONS.index(" but")
    others = [place for place in range(len(CONJUNCTIONS)) if place != but]
    chosen = generator.random(commas.shape) < np.where(commas, BUT_AFTER_COMMA, BUT_ELSE)
    return np.where(chosen, but, generator.choice(others, size=commas.shape))


def story(clauses: list[str], commas: list[bool], conjunctions: list[int]) -> str:
    """Clauses, each followed by its conjunction, with or without a comma before it; a last word ends the story."""
    joints = ["," * comma + CONJUNCTIONS[word] + " " for comma, word in zip(commas, conjunctions, strict=True)]
    return "".join(clause + joint for clause, joint in zip(clauses, joints, strict=True)) + "home."
