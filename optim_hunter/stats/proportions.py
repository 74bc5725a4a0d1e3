"""Shares of right answers: exact intervals, and how much so many answers can decide."""

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


def most_correct(bound: float, n: int, alpha: float) -> int:
    """The most right answers out of `n` at which the exact test says that the true share is below `bound`.

    −1 where none are few enough.
    """
    from scipy.stats import binom

    place = int(binom.ppf(alpha, n, bound))
    return place if binom.cdf(place, n, bound) <= alpha else place - 1


def noninferiority_power(share: float, margin: float, n: int, alpha: float) -> float:
    """How often a chooser whose share is known is shown to be no worse than a person of the same true `share`.

    The person answers `n` questions, and must be shown to lie below share + margin by the exact one-sided binomial
    test: all of the uncertainty is the person's.
    """
    from scipy.stats import binom

    return float(binom.cdf(most_correct(min(1.0, share + margin), n, alpha), n, share))
