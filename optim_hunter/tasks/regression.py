"""In-context regression: data sets by seed, and the task that a claim puts to a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from numbers import Integral

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import ADDED_LATER, UserError
from optim_hunter.tasks.datasets import dataset
from optim_hunter.tasks.templates import named_template

MOST_QUERIES = 32

KEPT_EPISODES = 4096
"""Episodes that are not drawn again when they are asked for again; their arrays cannot be written to."""


@dataclass(frozen=True)
class RegressionTask:
    """`examples` in-context examples of `dataset`, then one test case whose output is asked for.

    `pair` says whose answer tokens the logit difference compares: `own`, the mean baseline's and the
    model's own answer of the same seed; `seed 0`, the pair of seed 0 for every seed (as published).
    `queries_per_seed` test cases are asked of the same examples, each in a prompt of its own; the number of a seed
    is the mean over them. `template` words the prompt (`optim_hunter.tasks.templates`). `outputs` that are `permuted`
    stand with other examples than their own, in an order that the seed draws.
    """

    dataset: str = "friedman_2"
    examples: int = 25
    pair: str = "own"
    queries_per_seed: int = field(default=1, metadata=ADDED_LATER)
    template: str = field(default="published", metadata=ADDED_LATER)
    outputs: str = field(default="in place", metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if self.pair not in ("own", "seed 0"):
            raise UserError(f"no pair {self.pair!r}: choose 'own' or 'seed 0'")
        if not 1 <= self.queries_per_seed <= MOST_QUERIES:
            raise UserError(f"{self.queries_per_seed} queries a seed: choose 1 to {MOST_QUERIES}")
        drawn = dataset(self.dataset).examples
        if not (isinstance(self.examples, Integral) and 1 <= self.examples <= drawn):
            raise UserError(f"{self.examples} examples: choose 1 to {drawn}, which a seed of {self.dataset} draws")
        named_template(self.template)
        if self.outputs not in ("in place", "permuted"):
            raise UserError(f"no outputs {self.outputs!r}: choose 'in place' or 'permuted'")

    @property
    def stem(self) -> str:
        """What prompts of a seed must have in common to start alike: data set, template and order of the outputs."""
        return f"{self.dataset}, {self.template}" + (", permuted" if self.outputs == "permuted" else "")


@dataclass(frozen=True, eq=False)
class Episode:
    """The data of one seed: in-context examples, a test case, and its true output. It is equal to itself alone."""

    seed: int
    features: Float[np.ndarray, "example feature"]
    outputs: Float[np.ndarray, "example"]
    test_features: Float[np.ndarray, "feature"]
    gold: float

    def first(self, examples: int) -> Episode:
        """The same test case after the first `examples` examples only."""
        return Episode(self.seed, self.features[:examples], self.outputs[:examples], self.test_features, self.gold)

    def permuted(self) -> Episode:
        """The same with the outputs permuted among the examples, by a generator of the seed's own."""
        order = np.random.default_rng([self.seed, len(self.outputs)]).permutation(len(self.outputs))
        outputs = self.outputs[order]
        outputs.setflags(write=False)
        return replace(self, outputs=outputs)


@lru_cache(KEPT_EPISODES)
def episode(name: str, seed: int, query: int = 0) -> Episode:
    """All examples of a data set's seed, and one test case: query 0 is the first of the published split."""
    data = dataset(name)
    features, outputs, cases, golds = data.table(seed)
    if query < data.tests:
        case, gold = cases[query], float(golds[query])
    else:
        case, gold = data.further_case(seed, query)
    for drawn_once in (features, outputs, case):
        drawn_once.setflags(write=False)
    return Episode(seed, features, outputs, case, gold)


@lru_cache(KEPT_EPISODES)
def draw(task: RegressionTask, seed: int, query: int = 0) -> Episode:
    """The episode of a seed under a task: its examples with the test case of a query.

    Raises:
        UserError: the seed is none.
    """
    drawn = episode(task.dataset, seed, query).first(task.examples)
    return drawn.permuted() if task.outputs == "permuted" else drawn


def with_another_last_example(task: RegressionTask, seed: int, query: int = 0) -> Episode:
    """The episode with the seed's next row, which the prompt does not show, in the place of its last example.

    Raises:
        UserError: the seed draws no further row.
    """
    plain, whole = draw(task, seed, query), episode(task.dataset, seed, query)
    if len(whole.outputs) <= task.examples:
        raise UserError(
            f"a seed of {task.dataset} draws {task.examples} examples and no further one to put in the last one's "
            "place: choose fewer examples"
        )
    features, outputs = plain.features.copy(), plain.outputs.copy()
    features[-1], outputs[-1] = whole.features[task.examples], whole.outputs[task.examples]
    return replace(plain, features=features, outputs=outputs)
