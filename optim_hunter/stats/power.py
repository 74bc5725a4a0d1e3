"""How many seeds would likely settle a claim."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

POWER = 0.8
MOST_SEEDS = 100_000


def seeds_to_settle(
    values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float, power: float = POWER
) -> int | None:
    """Seeds that a one-sided t test needs for `power`, if effect and spread are as seen (statsmodels).

    None where the effect is too close to the smallest effect to be told apart with 100,000 seeds.
    """
    from statsmodels.stats.power import TTestPower

    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    distance = abs(float(np.mean(values)) - smallest_effect)
    if spread == 0 or distance == 0:
        return None
    standardised = distance / spread
    if TTestPower().power(standardised, MOST_SEEDS, alpha, alternative="larger") < power:
        return None
    if TTestPower().power(standardised, 3, alpha, alternative="larger") >= power:
        return 3
    seeds = TTestPower().solve_power(standardised, alpha=alpha, power=power, alternative="larger")
    return int(np.ceil(np.atleast_1d(seeds)[0]))
