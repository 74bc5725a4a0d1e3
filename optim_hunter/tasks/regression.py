"""In-context regression: data sets by seed, and the task that a claim puts to a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import UserError

PUBLISHED_EXAMPLES = 50
"""Examples that the published runs drew for a seed; a shorter prompt takes the first of them."""


@dataclass(frozen=True)
class RegressionTask:
    """`examples` in-context examples of `dataset`, then one test case whose output is asked for.

    `pair` says whose answer tokens the logit difference compares: `own`, the mean baseline's and the
    model's own answer of the same seed; `seed 0`, the pair of seed 0 for every seed (as published).
    """

    dataset: str = "friedman_2"
    examples: int = 25
    pair: str = "own"

    def __post_init__(self) -> None:
        if self.pair not in ("own", "seed 0"):
            raise UserError(f"no pair {self.pair!r}: choose 'own' or 'seed 0'")


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


def friedman_2(seed: int, examples: int = PUBLISHED_EXAMPLES) -> Episode:
    """Friedman's second data set without noise, rounded to two decimals, one test case split off.

    y = sqrt(x0² + (x1·x2 − 1/(x1·x3))²) with x0 in [0, 100], x1 in [40π, 560π], x2 in [0, 1], x3 in [1, 11]
    (Friedman 1991, as in `sklearn.datasets.make_friedman2`).
    """
    from sklearn.datasets import make_friedman2
    from sklearn.model_selection import train_test_split

    features, outputs = make_friedman2(n_samples=examples + 1, noise=0.0, random_state=seed)
    x_train, x_test, y_train, y_test = train_test_split(
        features.round(2), outputs.round(2), test_size=1, random_state=seed
    )
    return Episode(seed, x_train, y_train, x_test[0], float(y_test[0]))


DATASETS: dict[str, Callable[[int], Episode]] = {"friedman_2": friedman_2}


def draw(task: RegressionTask, seed: int) -> Episode:
    """The episode of a seed under a task.

    Raises:
        UserError: no such data set.
    """
    if task.dataset not in DATASETS:
        raise UserError(f"no data set {task.dataset!r}: choose one of {', '.join(DATASETS)}")
    return DATASETS[task.dataset](seed).first(task.examples)
