"""Stories whose conjunctions are drawn from a known rule book."""

from __future__ import annotations

import numpy as np

from optim_hunter.tasks.corpus import SEPARATOR, Corpus, corpus_of
from optim_hunter.tasks.rules import Both, Rule, RuleBook, TokenIn, rule_book_log_probabilities
from optim_hunter.tasks.stories import CONJUNCTIONS

TOKENS = (",", *(f" {word}" for word in (
    "Tom", "Lily", "saw", "ran", "hid", "ball", "tree", "cat", "dog", "bird", "cake", "lake", "red", "big", "sun",
    "moon", "jump", "sing", "walk", "home",
)))  # fmt: skip
CONTEXT = 16

PLANTED_RULES = (
    Rule("comma", "s", TokenIn((",",), 1, 1), {" but": 2.0, " so": -1.0}),
    Rule("set", "s", TokenIn((" saw", " hid", " ran"), 2, 2), {" so": 2.0}),
    Rule("span", "s", TokenIn((" cake",), 2, 8), {" or": 1.5}),
    Rule("both", "s", Both(TokenIn((",",), 1, 1), TokenIn((" Tom",), 2, 2)), {" for": 3.0}),
)


def planted_book() -> RuleBook:
    """The book that the stories follow; its token numbers are places in `TOKENS`."""
    return RuleBook(CONJUNCTIONS, "planted", TOKENS, dict.fromkeys(CONJUNCTIONS, 0.0), PLANTED_RULES)


def planted_corpus(stories: int, clauses: int = 14, seed: int = 0) -> Corpus:
    """Clauses of words without grammar, a third of them with a comma at the end, each followed by a conjunction that is
    drawn with the probabilities of the book; no window reaches into the clause before."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, len(TOKENS), size=(stories * clauses, CONTEXT))
    tokens[generator.random(len(tokens)) < 1 / 3, -1] = 0
    chances = np.exp(rule_book_log_probabilities(planted_book(), tokens))
    words = (generator.random((len(tokens), 1)) > chances.cumsum(1)[:, :-1]).sum(1)
    texts = ["".join(TOKENS[token] for token in row) + CONJUNCTIONS[word]
             for row, word in zip(tokens, words, strict=True)]  # fmt: skip
    told = ["Once" + "".join(texts[first : first + clauses]) + " end." for first in range(0, len(texts), clauses)]
    return corpus_of("planted:rules", f"\n{SEPARATOR}\n".join(told), "drawn from a known rule book")
