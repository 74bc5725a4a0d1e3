"""In-context regression: data sets by seed, and the task that a claim puts to a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import ADDED_LATER, UserError

PUBLISHED_EXAMPLES = 50
"""Examples that the published runs drew for a seed; a shorter prompt takes the first of them."""

MOST_QUERIES = 32

KEPT_EPISODES = 4096
"""Episodes that are not drawn again when they are asked for again; their arrays cannot be written to."""


@dataclass(frozen=True)
class RegressionTask:
    """`examples` in-context examples of `dataset`, then one test case whose output is asked for.

    `pair` says whose answer tokens the logit difference compares: `own`, the mean baseline's and the
    model's own answer of the same seed; `seed 0`, the pair of seed 0 for every seed (as published).
    `queries_per_seed` test cases are asked of the same examples, each in a prompt of its own; the number of a seed
    is the mean over them.
    """

    dataset: str = "friedman_2"
    examples: int = 25
    pair: str = "own"
    queries_per_seed: int = field(default=1, metadata=ADDED_LATER)

    def __post_init__(self) -> None:
        if self.pair not in ("own", "seed 0"):
            raise UserError(f"no pair {self.pair!r}: choose 'own' or 'seed 0'")
        if not 1 <= self.queries_per_seed <= MOST_QUERIES:
            raise UserError(f"{self.queries_per_seed} queries a seed: choose 1 to {MOST_QUERIES}")


@dataclass(frozen=True)
class Episode:
    """The data of one seed: in-context examples, a test case, and its true output."""

    seed: int
    features: Float[np.ndarray, "example feature"]
    outputs: Float[np.ndarray, "example"]
    test_features: Float[np.ndarray, "feature"]
    gold: float

    def first(self, examples: int) -> Episode:
        """The same test case after the first `examples` examples only."""
        if examples > len(self.outputs):
            raise UserError(f"{examples} examples asked for, but a seed draws {len(self.outputs)}: ask for fewer")
        return Episode(self.seed, self.features[:examples], self.outputs[:examples], self.test_features, self.gold)


@lru_cache(KEPT_EPISODES)
def friedman_2(seed: int, query: int = 0) -> Episode:
    """Friedman's second data set without noise, rounded to two decimals, one test case split off.

    y = sqrt(x0² + (x1·x2 − 1/(x1·x3))²) with x0 in [0, 100], x1 in [40π, 560π], x2 in [0, 1], x3 in [1, 11]
    (Friedman 1991, as in `sklearn.datasets.make_friedman2`). Query 0 is the test case that the published split
    leaves; the others are the generator's next rows.
    """
    from sklearn.datasets import make_friedman2
    from sklearn.model_selection import train_test_split

    drawn = PUBLISHED_EXAMPLES + 1
    features, outputs = make_friedman2(n_samples=drawn + query, noise=0.0, random_state=seed)
    features, outputs = features.round(2), outputs.round(2)
    x_train, x_test, y_train, y_test = train_test_split(
        features[:drawn], outputs[:drawn], test_size=1, random_state=seed
    )
    case, gold = (features[-1], outputs[-1]) if query else (x_test[0], y_test[0])
    for drawn_once in (x_train, y_train, case):
        drawn_once.setflags(write=False)
    return Episode(seed, x_train, y_train, case, float(gold))


DATASETS: dict[str, Callable[[int, int], Episode]] = {"friedman_2": friedman_2}


def draw(task: RegressionTask, seed: int, query: int = 0) -> Episode:
    """The episode of a seed under a task: its examples with the test case of a query.

    Raises:
        UserError: no such data set.
    """
    if task.dataset not in DATASETS:
        raise UserError(f"no data set {task.dataset!r}: choose one of {', '.join(DATASETS)}")
    return DATASETS[task.dataset](seed, query).first(task.examples)
