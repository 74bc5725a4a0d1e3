"""Two one-sided tests: is a mean so near to 0 that the difference does not matter?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def equivalence_p(values: Float[np.ndarray, "seed"], margin: float) -> float:
    """p against "the mean lies at or beyond ± `margin`" (Schuirmann 1987; statsmodels' `ttost_mean`).

    It is the larger p of the two one-sided t tests at −margin and margin, so that it is at most α exactly where the
    interval of level 1 − 2α lies between them. Numbers without any spread (beyond rounding) are decided by their common
    value; a single number shows nothing.
    """
    from statsmodels.stats.weightstats import DescrStatsW

    if len(values) < 2:
        return 1.0
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return float(abs(np.mean(values)) >= margin)
    return float(DescrStatsW(values).ttost_mean(-margin, margin)[0])
