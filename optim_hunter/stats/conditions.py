"""One condition: numbers of all seeds → effect, interval, two one-sided p values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from optim_hunter.stats.skewness import LARGEST, critical_t, p_above, possible_skewnesses


@dataclass(frozen=True)
class Result:
    """What the numbers of one condition say.

    `p` is one-sided against "the effect is not above the smallest effect", `p_refuted` against "it is not
    below it". `interval` has level 1 − 2α: a bound excludes the smallest effect exactly when one of the two
    tests at α does; a single number has none, nor have too few resamples for a p of α.
    """

    effect: float
    interval: tuple[float, float] | None
    n: int
    p: float
    p_refuted: float


def mean_test(values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float, bias: float = 0.0) -> Result:
    """The test of the mean of independent numbers, both one-sided ways: Student's t, with and without their skewness.

    Of the t tests that `skewness` reckons with each must agree, so that p is the largest of theirs, and the interval
    spans all of theirs. Numbers without any spread (beyond rounding) are decided by their common value, with a p of 0
    or 1: no error can be estimated from them, so that this is right only of what is deterministic.

    Args:
        values: numbers of seeds, or the pseudo-values of a statistic over seeds.
        smallest_effect: what the mean is held against.
        alpha: one-sided level.
        bias: what the pseudo-values' mean has lost of the statistic itself; the tests must agree on both.
    """
    from scipy import stats

    effect, n = float(np.mean(values)), len(values)
    if n < 2:
        return Result(effect, None, n, 1.0, 1.0)
    size = float(np.abs(values).max())  # powers of numbers so large, or so small, would be infinite or 0
    if size > LARGEST or 0 < size < 1 / LARGEST:
        return _times(size, mean_test(values / size, smallest_effect / size, alpha, bias / size))
    spread = float(np.std(values, ddof=1))
    if spread <= 1e-12 * size:
        settled = float(effect <= smallest_effect), float(effect >= smallest_effect)
        return Result(effect, (effect, effect), n, *settled)
    skewnesses = possible_skewnesses(float(stats.skew((values - effect) / spread, bias=False)), n)
    error, lowest, highest = spread / math.sqrt(n), effect + min(bias, 0.0), effect + max(bias, 0.0)
    p = p_above((lowest - smallest_effect) / error, skewnesses, n)
    p_refuted = p_above((smallest_effect - highest) / error, -skewnesses, n)
    low = lowest - critical_t(alpha, skewnesses, n) * error
    high = highest + critical_t(alpha, -skewnesses, n) * error
    return Result(effect, (low, high), n, p, p_refuted)


def _times(size: float, result: Result) -> Result:
    """The result of numbers that were divided by `size`."""
    interval = None if result.interval is None else (size * result.interval[0], size * result.interval[1])
    return replace(result, effect=size * result.effect, interval=interval)


def seeds_test(values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float, bias: float = 0.0) -> Result:
    """The test of independent seeds: exact for wins and losses, `mean_test` for all other numbers.

    Numbers that take two values, one on each side of the smallest effect, are counted: on them a t test is too often
    wrong (5.9 % at 50 seeds, docs/statistics.md).
    """
    low, high = values.min(), values.max()
    counted = len(values) > 2 and low < smallest_effect < high and np.all((values == low) | (values == high))
    if counted:
        return binomial_test(values, smallest_effect, alpha)
    return mean_test(values, smallest_effect, alpha, bias)


def binomial_test(values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float) -> Result:
    """Exact test of the share of seeds with the higher of two values (SciPy), both one-sided ways.

    The interval is that of Clopper and Pearson (1934), which belongs to the test, between the two values.
    """
    from scipy import stats

    low, spread = float(values.min()), float(np.ptp(values))
    higher, share = int(np.count_nonzero(values > low)), (smallest_effect - low) / spread
    above = stats.binomtest(higher, len(values), share, alternative="greater")
    below = stats.binomtest(higher, len(values), share, alternative="less")
    ends = above.proportion_ci(1 - alpha).low, below.proportion_ci(1 - alpha).high
    interval = low + spread * float(ends[0]), low + spread * float(ends[1])
    return Result(float(np.mean(values)), interval, len(values), float(above.pvalue), float(below.pvalue))


def without_bias(values: Float[np.ndarray, "seed"], estimate: float) -> Float[np.ndarray, "seed"]:
    """Resamples less their bias, the mean of the resamples minus the estimate.

    A fit to a resample sees stories twice and believes them too much.
    """
    return values - (np.mean(values) - estimate)


def bootstrap_test(
    unbiased: Float[np.ndarray, "seed"], estimate: float, smallest_effect: float, alpha: float
) -> Result:
    """Percentiles of the resamples, `without_bias`, give interval and p; never divided by √seeds.

    The +1 counts the estimate itself, so that no p is 0 (Davison and Hinkley 1997, chapters 4 and 5). The interval ends
    at the numbers that belong to it, at 100 resamples and α = 0.05 the 5th lowest and the 5th highest.
    """
    centred = np.sort(unbiased)
    n = len(centred)
    p = (1 + np.count_nonzero(centred <= smallest_effect)) / (n + 1)
    p_refuted = (1 + np.count_nonzero(centred >= smallest_effect)) / (n + 1)
    place = np.count_nonzero(np.arange(1, n + 1) / (n + 1) <= alpha)
    interval = (float(centred[place - 1]), float(centred[-place])) if place else None
    return Result(estimate, interval, n, float(p), float(p_refuted))
