"""Exact intervals of shares of right answers."""

from __future__ import annotations

LEVEL = 0.95


def exact_interval(correct: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a share of right answers (Clopper and Pearson 1934; SciPy): never covers less often than `level`.

    Raises:
        ValueError: no answers, or more right ones than there are.
    """
    from scipy.stats import binomtest

    interval = binomtest(correct, n).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)
