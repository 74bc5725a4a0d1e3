"""One condition: numbers of all seeds → effect, interval, two one-sided p values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Result:
    """What the numbers of one condition say.

    `p` is one-sided against "the effect is not above the smallest effect", `p_refuted` against "it is not
    below it". `interval` has level 1 − 2α: a bound excludes the smallest effect exactly when one of the two
    tests at α does; a single number has none.
    """

    effect: float
    interval: tuple[float, float] | None
    n: int
    p: float
    p_refuted: float


def t_test(values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float) -> Result:
    """Student's one-sample t test of the mean of independent seeds (SciPy), both one-sided ways.

    Numbers without any spread (beyond rounding) are decided by their common value.
    """
    from scipy import stats

    effect = float(np.mean(values))
    if len(values) < 2:
        return Result(effect, None, len(values), 1.0, 1.0)
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        settled = float(effect <= smallest_effect), float(effect >= smallest_effect)
        return Result(effect, (effect, effect), len(values), *settled)
    above = stats.ttest_1samp(values, smallest_effect, alternative="greater")
    below = stats.ttest_1samp(values, smallest_effect, alternative="less")
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(1 - 2 * alpha)
    bounds = float(interval.low), float(interval.high)
    return Result(effect, bounds, len(values), float(above.pvalue), float(below.pvalue))


def seeds_test(values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float) -> Result:
    """The test of independent seeds: exact for wins and losses, Student's t for all other numbers.

    Numbers that take two values, one on each side of the smallest effect, are counted: on them the t test is too often
    wrong (5.9 % at 50 seeds, docs/calibration.md).
    """
    low, high = values.min(), values.max()
    counted = len(values) > 2 and low < smallest_effect < high and np.all((values == low) | (values == high))
    return (binomial_test if counted else t_test)(values, smallest_effect, alpha)


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


def bootstrap_test(values: Float[np.ndarray, "seed"], estimate: float, smallest_effect: float, alpha: float) -> Result:
    """Percentiles of the resamples, moved by their bias, give interval and p; never divided by √seeds.

    The bias (mean of the resamples minus the estimate) is taken off, since a fit to a resample sees stories twice
    and believes them too much. The +1 counts the estimate itself, so that no p is 0 (Davison and Hinkley 1997,
    chapters 4 and 5).
    """
    centred = values - (np.mean(values) - estimate)
    low, high = np.quantile(centred, [alpha, 1 - alpha])
    p = (1 + np.count_nonzero(centred <= smallest_effect)) / (len(values) + 1)
    p_refuted = (1 + np.count_nonzero(centred >= smallest_effect)) / (len(values) + 1)
    return Result(estimate, (float(low), float(high)), len(values), float(p), float(p_refuted))
