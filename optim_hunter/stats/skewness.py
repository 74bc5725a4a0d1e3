"""Student's t freed of the skewness of the numbers it was made of.

Hall 1992, "On the removal of skewness by transformation", Journal of the Royal Statistical Society B 54(1), 221–228.
With δ = γ/√n for n numbers of skewness γ,

    g(t) = t + δ (t²/3 + 1/6) + δ² t³/27

rises with t, and g of Student's t is nearly distributed as t would be without skew: its one-sided errors are of order
1/n, where those of t are of order 1/√n. Johnson 1978 (Journal of the American Statistical Association 73, 536–544) has
the same without the cube, which need not rise. As he does, g is compared with Student's distribution.

The skewness of so few numbers is itself uncertain. All of three must therefore agree: none (Student's test), and the
skewness that the numbers show, one standard error lower and higher. docs/statistics.md compares this with others.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

LARGEST = 1e60
"""Numbers far beyond it have no finite cube; of a t that large p has long been 0 or 1."""

Skewnesses = Float[np.ndarray, "skewness"]


def possible_skewnesses(shown: float, n: int) -> Skewnesses:
    """The skewnesses that are reckoned with, where n numbers show one: none, and that ∓ its standard error.

    The error is that of normal numbers (Cramér 1946, Mathematical Methods of Statistics); fewer than three show none.
    """
    if n < 3:
        return np.zeros(1)
    error = np.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return np.array([0.0, shown - error, shown + error])


def p_above(t: float, skewnesses: Skewnesses, n: int) -> float:
    """One-sided p of Student's t of n numbers: the largest that a skewness gives.

    That of "below" is the same of −t and the mirrored skewnesses.
    """
    from scipy.special import stdtr

    delta = skewnesses / np.sqrt(n)
    t = min(max(t, -LARGEST), LARGEST)
    transformed = t + delta * (t**2 / 3 + 1 / 6) + delta**2 * t**3 / 27
    return float(stdtr(n - 1, -transformed.min()))


def critical_t(alpha: float, skewnesses: Skewnesses, n: int) -> float:
    """The least t whose `p_above` is at most α: g⁻¹ of Student's quantile, largest over the skewnesses."""
    from scipy.special import stdtrit

    delta, quantile = skewnesses / np.sqrt(n), -stdtrit(n - 1, alpha)
    root = np.cbrt(1 + delta * (quantile - delta / 6))
    return float(np.max(3 * (quantile - delta / 6) / (root**2 + root + 1)))
