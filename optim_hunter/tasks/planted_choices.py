"""Synthetic stories in which a known rule draws the word of a group from the 16 words before it.

What a model that knew the rule would say is known too, so that it can stand in a language model's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.corpus import SEPARATOR, Corpus, corpus_of

STORIES, CHOICES, CONTEXT, SEED = 9000, 2, 16, 0
FILLERS = tuple(f"{first}{vowel}{last}" for first in "gkvz" for vowel in "aeiou" for last in "bd")
"""Words that are in no group and that no token but their own begins with a space."""

CERTAIN, SURE, STRONG = 0.95, 0.8, 0.6

Words = Int[np.ndarray, "choice 16"]
Logits = Float[np.ndarray, "choice class"]


@dataclass(frozen=True)
class Rule:
    """What is planted, in words, and the logarithms of probabilities (up to a constant) after 16 fillers by number."""

    what: str
    logits: Callable[[Words, int], Logits]


def favouring(favourite: Int[np.ndarray, "choice"], classes: int, probability: float) -> Logits:
    """One class with this probability, the others alike."""
    probabilities = np.full((len(favourite), classes), (1 - probability) / (classes - 1))
    probabilities[np.arange(len(favourite)), favourite] = probability
    return np.log(probabilities)


def one_cue(words: Words, classes: int) -> Logits:
    """The last word tells."""
    return favouring(words[:, -1] % classes, classes, CERTAIN)


def two_cues(words: Words, classes: int) -> Logits:
    """The last two words tell together, each alone nothing: whether both are odd or both even, or not."""
    return favouring((words[:, -1] + words[:, -2]) % 2, classes, SURE)


def no_cue(words: Words, classes: int) -> Logits:
    """No word tells anything."""
    return np.zeros((len(words), classes))


def weights(words: Words, classes: int, positions: slice, spread: float) -> Logits:
    """Sums of normal weights, one for each filler at each of these positions and class."""
    drawn = np.random.default_rng(SEED).normal(0, spread, (CONTEXT, len(FILLERS), classes))
    return np.asarray(drawn[np.arange(CONTEXT), words][:, positions].sum(1))


def weak_cues(words: Words, classes: int) -> Logits:
    """Every filler at every position has a small weight of its own for each class."""
    return weights(words, classes, slice(None), 0.5)


def strong_cue(words: Words, classes: int) -> Logits:
    """The last word tells much, the two before it so little that it is worth less than 1 % of the loss."""
    return favouring(words[:, -1] % classes, classes, STRONG) + weights(words, classes, slice(-3, -1), 0.12)


RULES: Mapping[str, Rule] = {
    "planted:one-cue": Rule("the last of 16 words tells the next in 95 %", one_cue),
    "planted:two-cues": Rule("the last two words tell the next together, each alone nothing", two_cues),
    "planted:no-cue": Rule("each word of the group is as likely as any other, whatever is before it", no_cue),
    "planted:strong-cue": Rule("the last word tells the next in 60 %, the two before it a little", strong_cue),
    "planted:weak-cues": Rule("each of 640 words at positions tells a little of the next", weak_cues),
}
"""Name of the registry → rule."""


@dataclass(frozen=True)
class PlantedChoices:
    """A corpus of a rule, and the log-probabilities (nats) that the rule gave to the words of each story's choices."""

    corpus: Corpus
    log_probabilities: Float[np.ndarray, "story choice class"]


def planted_choices(name: str, group: Sequence[str]) -> PlantedChoices:
    """Stories of 2 choices, each after 16 fillers of its own.

    Raises:
        UserError: no such rule.
    """
    if name not in RULES:
        raise UserError(f"no planted rule {name!r}: choose one of {', '.join(RULES)}")
    return stories_of_rule(name, RULES[name], group)


def stories_of_rule(name: str, rule: Rule, group: Sequence[str]) -> PlantedChoices:
    """The same of a rule that is given."""
    from scipy.special import log_softmax

    generator = np.random.default_rng(SEED)
    words = generator.integers(len(FILLERS), size=(STORIES * CHOICES, CONTEXT))
    said = log_softmax(rule.logits(words, len(group)), axis=1)
    drawn = (said + generator.gumbel(size=said.shape)).argmax(1)  # Gumbel's maximum draws with these probabilities
    clauses = [" ".join(FILLERS[word] for word in row) for row in words]
    sentences = [clause + group[place] for clause, place in zip(clauses, drawn, strict=True)]
    stories = [" ".join(sentences[first : first + CHOICES]) for first in range(0, len(sentences), CHOICES)]
    corpus = corpus_of(name, f"\n{SEPARATOR}\n".join(stories), f"synthetic: {rule.what}")
    return PlantedChoices(corpus, said.reshape(STORIES, CHOICES, len(group)))
