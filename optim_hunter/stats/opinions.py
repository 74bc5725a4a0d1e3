"""Other tests of the numbers that the test of a mean decided: shown beside it, and deciding nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from optim_hunter.stats.conditions import Result
from optim_hunter.stats.intervals import bootstrap

FLIPS = 1999
"""Random flips of signs; with fewer than 11 numbers all are gone through."""

BothWays = tuple[float, float]
"""One-sided p against "not above the smallest effect", and against "not below it"."""


@dataclass(frozen=True)
class Opinions:
    """Beside the test of a mean: p values of the same two one-sided questions, and an interval of level 1 − 2α.

    `sign_flip` holds for any distribution that is symmetric about the smallest effect, `wilcoxon` as well (it asks for
    the pseudo-median rather than the mean); `bca` allows for skew.
    """

    sign_flip: BothWays
    wilcoxon: BothWays
    bca: tuple[float, float]

    def parting(self, result: Result, smallest_effect: float, alpha: float) -> Iterator[str]:
        """Those that call another side than the deciding test does, each at α before any adjustment."""
        low, high = self.bca
        sides = {
            "sign flips": _side(*self.sign_flip, alpha),
            "Wilcoxon": _side(*self.wilcoxon, alpha),
            "BCa interval": "above" if low > smallest_effect else "below" if high < smallest_effect else "neither",
        }
        decided = _side(result.p, result.p_refuted, alpha)
        return (f"{name}: {side}" for name, side in sides.items() if side != decided)


def second_opinions(values: Float[np.ndarray, "seed"], smallest_effect: float, alpha: float) -> Opinions | None:
    """Sign-flip permutation, Wilcoxon's signed ranks and the bias-corrected, accelerated bootstrap (SciPy).

    The flips are counted with the +1 for the numbers as they are. Randomness comes from a generator of its own with a
    fixed seed. None for numbers without spread, or fewer than two.
    """
    if len(values) < 2 or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return None
    above = values - smallest_effect
    interval = bootstrap(values, 1 - 2 * alpha)
    return Opinions(
        _sign_flips(above),
        (_wilcoxon(above), _wilcoxon(-above)),
        (float(interval.low), float(interval.high)),
    )


def _sign_flips(above: Float[np.ndarray, "seed"]) -> BothWays:
    """Both ways in one call, which makes the same flips for both."""
    from scipy import stats

    flips = stats.permutation_test(
        (np.stack([above, -above]),), np.mean, permutation_type="samples", alternative="greater", vectorized=True,
        n_resamples=FLIPS, axis=-1, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(flips.pvalue[0]), float(flips.pvalue[1])


def _wilcoxon(above: Float[np.ndarray, "seed"]) -> float:
    from scipy import stats

    return float(stats.wilcoxon(above, alternative="greater").pvalue)


def _side(p: float, p_refuted: float, alpha: float) -> str:
    return "above" if p <= alpha else "below" if p_refuted <= alpha else "neither"
