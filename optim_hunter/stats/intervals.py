"""Means over seeds with their intervals, for figures: nothing is decided by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

LEVEL = 0.90
"""Of all intervals of figures: that of the claims at α = 0.05, 1 − 2α."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """Means over the seeds that gave a number, with the ends of their intervals and how many seeds these were.

    Fewer than two seeds have no interval, none have no mean: NaN.
    """

    mean: Float[np.ndarray, "*quantity"]
    low: Float[np.ndarray, "*quantity"]
    high: Float[np.ndarray, "*quantity"]
    n: Int[np.ndarray, "*quantity"]


def student(values: Float[np.ndarray, "seed *quantity"]) -> Estimate:
    """Student's t interval of the mean of independent seeds (SciPy); NaN is a seed without a number."""
    from scipy import stats

    n = np.count_nonzero(~np.isnan(values), axis=0)
    mean = _divide(np.nansum(values, axis=0), n)
    squares = np.nansum((values - mean) ** 2, axis=0)
    error = np.sqrt(_divide(squares, n * (n - 1.0)))
    reach = stats.t.ppf((1 + LEVEL) / 2, np.where(n > 1, n - 1.0, np.nan)) * error
    return Estimate(mean, mean - reach, mean + reach, n)


def bootstrap(values: Float[np.ndarray, "seed"], level: float = LEVEL) -> Estimate:
    """Bias-corrected, accelerated bootstrap interval of the mean (SciPy), for skewed numbers such as squared errors."""
    from scipy import stats

    found = values[~np.isnan(values)]
    n = np.array(len(found))
    if len(found) < 2 or np.ptp(found) <= 1e-12 * np.abs(found).max():
        return student(values)
    interval = stats.bootstrap(
        (found,), np.mean, confidence_level=level, n_resamples=RESAMPLES, rng=np.random.default_rng(0)
    ).confidence_interval
    return Estimate(np.mean(found), np.array(interval.low), np.array(interval.high), n)


def correlation(first: Float[np.ndarray, "seed"], second: Float[np.ndarray, "seed"]) -> Estimate:
    """Pearson's correlation over the seeds on which both have a number, with Fisher's interval (SciPy).

    NaN with fewer than two seeds, or where one of both is constant; fewer than four seeds have no interval.
    """
    from scipy import stats

    both = np.isfinite(first) & np.isfinite(second)
    n = np.array(both.sum())
    if n < 2 or np.ptp(first[both]) == 0 or np.ptp(second[both]) == 0:
        return Estimate(np.array(np.nan), np.array(np.nan), np.array(np.nan), n)
    found = stats.pearsonr(first[both], second[both])
    low, high = found.confidence_interval(LEVEL) if n > 3 else (np.nan, np.nan)
    return Estimate(np.array(found.statistic), np.array(low), np.array(high), n)


def stacked(estimates: Sequence[Estimate]) -> Estimate:
    """Several as one, along a first axis."""
    return Estimate(*(np.stack([np.asarray(getattr(one, part)) for one in estimates])
                      for part in ("mean", "low", "high", "n")))  # fmt: skip


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to divide by."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0)
