"""People, linear models and language models on the same examples: right answers, and whom they agree with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from optim_hunter.observe.choices import LINEAR_VIEWS, LinearChooser
from optim_hunter.stats.families import holm
from optim_hunter.stories.examples import Examples
from optim_hunter.stories.labelling import Labelling
from optim_hunter.stories.language_views import own_remedy

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel

ALPHA = 0.05

Choices = Int[np.ndarray, "example"]
"""Places in the group of the words that somebody chose."""


@dataclass(frozen=True)
class Answers:
    """What somebody chose in each of the examples."""

    who: str
    choices: Choices

    def correct(self, labels: Choices) -> int:
        """How many are the words that came."""
        return int((self.choices == labels).sum())


@dataclass(frozen=True)
class Comparison:
    """Two on the same examples: alike answers, right ones that only one gave, McNemar's exact p adjusted by Holm."""

    first: str
    second: str
    alike: int
    only_first: int
    only_second: int
    p: float


def person_answers(labelling: Labelling, name: str) -> Answers:
    """The answers of a complete labelling."""
    group: list[str] = labelling.identity["group"]
    return Answers(name, np.array([group.index(word) for word in labelling.answers]))


def linear_answers(chooser: LinearChooser, examples: Examples) -> list[Answers]:
    """What the linear model of the corpus chooses, and the word that came most often in the stories it was fitted to.

    Raises:
        InvalidInstrument: a fit that does not reach its gap.
    """
    linear, prior = (LINEAR_VIEWS[view](chooser.path, examples.windows).argmax(axis=1) for view in ("linear", "prior"))
    commonest = examples.group[int(prior[0])].strip()
    return [Answers("linear model", linear), Answers(f'always "{commonest}"', prior)]


def language_answers(model: LanguageModel, examples: Examples) -> list[Answers]:
    """What a language model chooses, shown the window alone and the story from its beginning.

    Raises:
        UserError: its weights cannot be opened, or memory does not suffice.
        InvalidInstrument: its pass does not compute what the model's own code does.
    """
    from optim_hunter.observe.choices_language import LANGUAGE_VIEWS, language_choices
    from optim_hunter.observe.engine import Engine

    answered = []
    with own_remedy():
        engine = Engine(model)
        for view in LANGUAGE_VIEWS:
            said = language_choices(engine, examples.windows, examples.corpus, examples.group, view)
            answered.append(Answers(f"{model.name}, {view}", said.argmax(axis=1)))
        engine.close()
    return answered


def compare(people: Sequence[Answers], others: Sequence[Answers], labels: Choices) -> list[Comparison]:
    """Each person with each who stands behind: first the further people, then the others.

    The p-values are of one family, adjusted by Holm.
    """
    pairs = [(first, second) for place, first in enumerate(people) for second in [*people[place + 1 :], *others]]
    counted = [_only_one_right(first, second, labels) for first, second in pairs]
    p_values = {str(place): mcnemar(*counts) for place, counts in enumerate(counted)}
    adjusted = holm(p_values, len(p_values)).values()
    return [
        Comparison(first.who, second.who, int((first.choices == second.choices).sum()), *counts, p)
        for (first, second), counts, p in zip(pairs, counted, adjusted, strict=True)
    ]


def _only_one_right(first: Answers, second: Answers, labels: Choices) -> tuple[int, int]:
    """How many each of two has right where the other is wrong."""
    right, other_right = first.choices == labels, second.choices == labels
    return int((right & ~other_right).sum()), int((other_right & ~right).sum())


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact p, two-sided, of examples that one of two has right and the other wrong (McNemar 1947; SciPy)."""
    from scipy.stats import binomtest

    decided = only_first + only_second
    return float(binomtest(only_first, decided).pvalue) if decided else 1.0


def least_lead(comparisons: int) -> int:
    """By how many right answers one of two must lead for the smallest p of so many to be ≤ 0.05 after Holm.

    That suffices where no example counts against the lead; else it takes more.
    """
    return next(lead for lead in itertools.count(1) if mcnemar(lead, 0) <= ALPHA / comparisons)
