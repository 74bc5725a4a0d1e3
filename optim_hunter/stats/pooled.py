"""Statistics over all seeds at once, and the jackknife that gives each seed its part in them.

Tukey's pseudo-value of seed i is n·θ − (n−1)·θ₋ᵢ, where θ is the statistic of all n seeds and θ₋ᵢ that of all but i.
For a smooth θ the pseudo-values behave nearly as independent numbers whose mean is θ less its bias of order 1/n, so
that the test of means of `conditions` holds for them (Efron and Tibshirani 1993, An Introduction to the Bootstrap,
chapter 11). Where θ is less smooth, as the best split, that mean varies more than its spread over the seeds says, and θ
itself less: a verdict needs both. docs/statistics.md states the rates that were measured for each statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import Claim, UserError

Statistic = Callable[[Float[np.ndarray, "seed *raw"]], Float[np.ndarray, "*column"]]

LEAST_GROUP = 5
"""Seeds that each of two groups must hold; with fewer the jackknife's spread says little."""


class UndefinedStatisticError(Exception):
    """A statistic that cannot be computed on these seeds; the text says why."""


def low_minus_high(values: Float[np.ndarray, "seed 2 *candidate"]) -> Float[np.ndarray, "*candidate"]:
    """Mean number of the low group minus that of the high group, candidate by candidate.

    Args:
        values: of each seed row 0 its group (1 low, 0 high, the same for every candidate), row 1 its numbers.

    Raises:
        UndefinedStatisticError: a group holds fewer than 4 seeds (of all it must hold 5: each is left out once).
    """
    groups = values[:, 0].reshape(len(values), -1)[:, 0]
    low, high = values[groups == 1, 1], values[groups == 0, 1]
    if len(low) + len(high) < len(values):
        raise UndefinedStatisticError("the group of a seed is neither 1 (low) nor 0 (high)")
    if min(len(low), len(high)) < LEAST_GROUP - 1:
        raise UndefinedStatisticError(f"one of the two groups of seeds has fewer than {LEAST_GROUP}")
    return np.asarray(low.mean(axis=0) - high.mean(axis=0))


def ratio_of_sums(values: Float[np.ndarray, "seed 2 *column"]) -> Float[np.ndarray, "*column"]:
    """Sum of row 0 over that of row 1 of all seeds: a mean in which a seed counts by its row 1, or a relative change.

    Raises:
        UndefinedStatisticError: the lower sum is 0.
    """
    above, below = values.sum(axis=0)
    if np.any(below == 0):
        raise UndefinedStatisticError("what is divided by sums to 0")
    return np.asarray(above / below)


def steadiness(values: Float[np.ndarray, "seed *column"]) -> Float[np.ndarray, "*column"]:
    """Share of the mean square that is the squared mean: 1 where all seeds are alike, 0 where their mean is 0.

    It is 1 / (1 + v²) for the coefficient of variation v, but stays bounded, and its jackknife sound, where the mean
    comes near 0. Where all numbers are 0 it is 0: they are steadily nothing, which is not what is looked for.
    """
    squares = np.square(values).mean(axis=0)
    return np.divide(np.square(values.mean(axis=0)), squares, out=np.zeros_like(squares), where=squares > 0)


def steadiness_lead(values: Float[np.ndarray, "seed 2 *rival"]) -> Float[np.ndarray, "*rival"]:
    """Steadiness of row 0 minus that of row 1 (a rival, or several)."""
    return steadiness(values[:, 0]) - steadiness(values[:, 1])


def split_share(values: Float[np.ndarray, "seed *column"]) -> Float[np.ndarray, "*column"]:
    """Share of the variance that lies between two groups, split where it is largest (Otsu 1979; 2-means on a line).

    2/π ≈ 0.64 for a normal distribution, 0.75 for a uniform one, 1 for two points.

    Raises:
        UndefinedStatisticError: a column has no spread.
    """
    ordered = np.sort(values, axis=0)
    spread = ordered.var(axis=0)
    if np.any(spread <= 1e-12):
        raise UndefinedStatisticError("the errors of a predictor are the same for all seeds: there is nothing to split")
    below = np.arange(1, len(values)).reshape(-1, *[1] * (values.ndim - 1))
    above = len(values) - below
    sums = ordered.cumsum(axis=0)
    gaps = (sums[-1] - sums[:-1]) / above - sums[:-1] / below
    between = below * above / len(values) ** 2 * np.square(gaps)
    return np.asarray(between.max(axis=0) / spread)


def split_share_lead(values: Float[np.ndarray, "seed predictor"]) -> Float[np.ndarray, "rival"]:
    """`split_share` of predictor 0 minus that of each other predictor."""
    shares = split_share(values)
    return np.asarray(shares[0] - shares[1:])


STATISTICS: Mapping[str, Statistic] = {
    "low minus high": low_minus_high,
    "ratio of sums": ratio_of_sums,
    "steadiness lead": steadiness_lead,
    "split share lead": split_share_lead,
}


def statistic(name: str) -> Statistic:
    """The statistic of a name.

    Raises:
        UserError: there is none.
    """
    if name not in STATISTICS:
        raise UserError(f"no statistic {name!r}: choose one of {', '.join(STATISTICS)}")
    return STATISTICS[name]


def check_statistics(claim: Claim) -> None:
    """Look up the statistics that a claim states, before anything is measured.

    Raises:
        UserError: one does not exist, or the claim's seeds resample one corpus.
    """
    for condition in claim.quantities:
        if condition.statistic:
            statistic(condition.statistic)
            if claim.bootstrap:
                raise UserError("seeds that resample one corpus give one statistic each: take bootstrap or a statistic")


def pseudo_values(name: str, values: Float[np.ndarray, "seed *raw"]) -> Float[np.ndarray, "seed *column"]:
    """The jackknife's pseudo-values of a statistic, one a seed (and column); their mean is the effect.

    Raises:
        UndefinedStatisticError: the statistic cannot be computed on these seeds, or on all but one of them.
        UserError: there is no such statistic.
    """
    compute, n = statistic(name), len(values)
    if n < 2:
        raise UndefinedStatisticError("a statistic over seeds needs at least two")
    without = np.array([compute(np.delete(values, seed, axis=0)) for seed in range(n)])
    return np.asarray(n * compute(values) - (n - 1) * without)
