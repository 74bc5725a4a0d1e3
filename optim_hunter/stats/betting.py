"""Tests and intervals of a bounded mean that hold at every look, by betting against it.

Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting", Journal of the Royal
Statistical Society B 86(1): the hedged capital process with θ = 1/2 and the predictable plug-in bets of the paper's
empirical Bernstein sequence. Numbers lie in [0, 1]. Against "the mean is at most m" the capital after t numbers is

    K⁺ₜ(m) = Πᵢ (1 + λᵢ (xᵢ − m)),   λᵢ = min(√(2 ln(1/α) / (σ̂²ᵢ₋₁ i ln(1 + i))), c / m),

    μ̂ᵢ = (1/2 + Σⱼ≤ᵢ xⱼ) / (i + 1),   σ̂²ᵢ = (1/4 + Σⱼ≤ᵢ (xⱼ − μ̂ⱼ)²) / (i + 1).

A bet is made before its number is seen, so that under the null the capital is a nonnegative supermartingale: by
Ville's inequality it ever reaches 1/α with probability α at most. Each side is tested at α; both together are the
paper's two-sided sequence at 2α, which is where its ln(2/·) becomes ln(1/α).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

TRUNCATION = 0.75
"""c: no number can take more than this share of the capital; one of the two values that the paper proposes."""

HALVINGS = 50
"""Of the interval in which a bound is searched: far below the precision of any number."""

Numbers = Float[np.ndarray, "look"]


def log_capital(numbers: Numbers, mean: float, alpha: float) -> Float[np.ndarray, "look"]:
    """ln K⁺ after each number.

    Args:
        numbers: in the order in which they came, in [0, 1].
        mean: m, in [0, 1].
        alpha: the level that the bets are tuned to; the capital is fair with any.
    """
    look = np.arange(1, len(numbers) + 1)
    centre = (0.5 + np.cumsum(numbers)) / (look + 1)
    variance = (0.25 + np.cumsum(np.square(numbers - centre))) / (look + 1)
    before = np.concatenate([[0.25], variance[:-1]])[: len(numbers)]
    plug_in = np.sqrt(2 * np.log(1 / alpha) / (before * look * np.log1p(look)))
    bets = plug_in if mean <= 0 else np.minimum(plug_in, TRUNCATION / mean)
    return np.cumsum(np.log1p(bets * (numbers - mean)))


def p_above(numbers: Numbers, mean: float, alpha: float) -> float:
    """p of "the mean is at most m", valid whenever one stops: 1 / the largest capital so far, 1 without numbers."""
    return float(np.exp(-max(0.0, *log_capital(numbers, mean, alpha)))) if len(numbers) else 1.0


def p_below(numbers: Numbers, mean: float, alpha: float) -> float:
    """p of "the mean is at least m": the same bets on the mirrored numbers."""
    return p_above(1 - numbers, 1 - mean, alpha)


def lower_bound(numbers: Numbers, alpha: float, tuned_to: float | None = None) -> float:
    """The largest mean that `p_above` excludes at α; 0 where it excludes none.

    The capital falls with m, so that the excluded means are those below a bound. `tuned_to` is the level of the bets,
    α by default.
    """
    tuned = alpha if tuned_to is None else tuned_to
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if p_above(numbers, middle, tuned) <= alpha else (low, middle)
    return low
