"""How many seeds would likely settle a claim."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from jaxtyping import Float

from optim_hunter.stats.skewness import critical_t, possible_skewnesses

POWER = 0.8
FEWEST_SEEDS, MOST_SEEDS = 3, 100_000


def seeds_to_settle(
    values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float, power: float = POWER
) -> int | None:
    """Seeds that `mean_test` needs for `power`, if effect, spread and skewness are as seen (statsmodels).

    The power of Student's t at its critical value, which the skewness moves. None where the effect is too close to
    the smallest effect to be told apart with 100,000 seeds.
    """
    from scipy import stats
    from statsmodels.stats.power import TTestPower

    above = np.asarray(values) - smallest_effect
    spread = float(np.std(above, ddof=1)) if len(above) > 1 else 0.0
    mean = float(np.mean(above))
    if spread == 0 or mean == 0:
        return None
    skewness = float(stats.skew(np.sign(mean) * (above - mean) / spread, bias=False))

    def power_of(seeds: int) -> float:
        level = stats.t.sf(critical_t(alpha, possible_skewnesses(skewness, seeds), seeds), seeds - 1)
        return float(TTestPower().power(abs(mean) / spread, seeds, level, alternative="larger"))

    if power_of(MOST_SEEDS) < power:
        return None
    return FEWEST_SEEDS + bisect_left(range(FEWEST_SEEDS, MOST_SEEDS), power, key=power_of)
