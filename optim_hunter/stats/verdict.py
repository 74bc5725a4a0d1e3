"""Results of the conditions → one verdict, by rules that are fixed before the data is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import MINIMUM_SEEDS, MISSING_LIMIT, Verdict
from optim_hunter.stats.conditions import Result


@dataclass(frozen=True)
class Combined:
    """All conditions of a claim as one: it holds where all hold, and is refuted where one is.

    `p` is the largest of theirs (intersection-union test); `p_refuted` is the smallest times their number
    (Bonferroni), since any of them may refute. `decisive` names the condition that is nearest to failing.
    """

    p: float
    p_refuted: float
    n: int
    decisive: str


def combine(results: Mapping[str, Result]) -> Combined:
    """The conditions of a claim as one test."""
    decisive = max(results, key=lambda name: (results[name].p, -results[name].p_refuted))
    return Combined(
        p=max(result.p for result in results.values()),
        p_refuted=min(1.0, len(results) * min(result.p_refuted for result in results.values())),
        n=min(result.n for result in results.values()),
        decisive=decisive,
    )


def too_many_missing(missing: float, seeds: int) -> bool:
    """Whether so many seeds gave no number that the rest say nothing."""
    return missing > MISSING_LIMIT * seeds


def verdict_of(p_adjusted: float, p_refuted_adjusted: float, n: int, alpha: float) -> Verdict:
    """Supported or refuted at α with at least 20 numbers, otherwise inconclusive."""
    if n < MINIMUM_SEEDS:
        return Verdict.INCONCLUSIVE
    if p_adjusted <= alpha:
        return Verdict.SUPPORTED
    if p_refuted_adjusted <= alpha:
        return Verdict.REFUTED
    return Verdict.INCONCLUSIVE


def with_losses(
    values: Float[np.ndarray, "seed *column"],
    missing: int,
    smallest_effect: float,
    lost: Float[np.ndarray, "seed"] | float = 0.0,
    lowest: Float[np.ndarray, "seed *column"] | None = None,
    highest: Float[np.ndarray, "seed *column"] | None = None,
) -> Float[np.ndarray, "seed_or_loss *column"]:
    """The numbers with every missing seed, and the lost share of the others' queries, scored as losses.

    A loss is the worst number seen, or as far below the smallest effect as the best one is above it,
    whichever is lower. `lowest` and `highest` are those of a seed's queries, which spread more than their means.
    """
    low, high = (values if lowest is None else lowest).min(axis=0), (values if highest is None else highest).max(axis=0)
    worst = np.minimum(low, 2 * smallest_effect - high)
    share = np.asarray(lost).reshape(-1, *[1] * (values.ndim - 1))
    return np.concatenate([values + share * (worst - values), np.tile(worst, (missing, *[1] * (values.ndim - 1)))])
