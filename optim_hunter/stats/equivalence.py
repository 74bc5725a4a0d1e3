"""Two one-sided tests: is a mean so near to 0 that the difference does not matter?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.stats.conditions import mean_test

ALPHA = 0.05
"""Of the intervals, which nobody asks for here; p does not depend on it."""


def equivalence_p(values: Float[np.ndarray, "seed"], margin: float) -> float:
    """p against "the mean lies at or beyond ± `margin`": two one-sided tests (Schuirmann 1987), each a `mean_test`.

    It is the larger p of those at −margin and margin, so that it is at most α exactly where the interval of level
    1 − 2α lies between them.
    """
    above, below = (mean_test(values, end, ALPHA) for end in (-margin, margin))
    return max(above.p, below.p_refuted)
