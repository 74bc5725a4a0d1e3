"""One-sided tests of a mean on trial: which is right where the numbers are skewed?

    python -m benchmarks.mean_tests [DRAWS]

Prints, for each distribution (variance 1) and number of seeds, the shares of draws in which a test calls *supported*
and *refuted* at α = 5 % where the mean is the smallest effect, and its power at half a standard deviation. What both
leave of 100 is the coverage of its 90 % interval. docs/statistics.md has the table of 10,000 draws, and why the suite
takes the last: Student's t and Hall's at the skewness shown ∓ its standard error, all of which must agree. The
bootstraps resample 999 times, alike for all draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import stdtr

from benchmarks.calibration_nulls import recorded_gains
from optim_hunter.stats.skewness import possible_skewnesses

ALPHA, SHIFT = 0.05, 0.5
SEEDS = (20, 24, 50, 100)
RESAMPLES, BATCH = 999, 2000
GENERATOR = np.random.default_rng(0)

BothWays = tuple[np.ndarray, np.ndarray]
"""p of "above" and of "below", one a draw."""


def rare_losses(size: tuple[int, int]) -> np.ndarray:
    """One in ten lies 10/3 standard deviations below the others, all blurred by 0.15."""
    return np.where(GENERATOR.random(size) < 0.1, -3, 1 / 3) + GENERATOR.normal(0, 0.15, size)


DRAWN: dict[str, Callable[[tuple[int, int]], np.ndarray]] = {
    "normal": lambda size: GENERATOR.normal(0, 1, size),
    "recorded gains": lambda size: GENERATOR.choice(recorded_gains() / recorded_gains().std(), size),
    "exponential gains": lambda size: GENERATOR.exponential(1, size) - 1,
    "exponential losses": lambda size: 1 - GENERATOR.exponential(1, size),
    "t₃": lambda size: GENERATOR.standard_t(3, size) / np.sqrt(3),
    "rare losses": rare_losses,
    "log-normal losses": lambda size: (np.exp(0.5) - GENERATOR.lognormal(0, 1, size)) / np.sqrt(np.e**2 - np.e),
}


def hall(t: np.ndarray, skewness: np.ndarray, n: int) -> np.ndarray:
    delta = skewness / np.sqrt(n)
    return t + delta * (t**2 / 3 + 1 / 6) + delta**2 * t**3 / 27


def by_student(highest: np.ndarray, lowest: np.ndarray, n: int) -> BothWays:
    """p of statistics that are compared with Student's distribution; the least favourable of several."""
    return stdtr(n - 1, -lowest), stdtr(n - 1, highest)


def by_bootstrap(values: np.ndarray, t: np.ndarray) -> dict[str, BothWays]:
    """Studentised and BCa bootstrap of each row (Efron and Tibshirani 1993, chapters 12 and 14)."""
    n, mean = values.shape[1], values.mean(axis=1, keepdims=True)
    centred = values - mean
    counts = GENERATOR.multinomial(n, np.full(n, 1 / n), RESAMPLES).T / n
    means = centred @ counts
    variances = np.maximum(np.square(centred) @ counts - np.square(means), 1e-12)
    studentised = means / np.sqrt(variances / (n - 1))
    above, below = (studentised >= t[:, np.newaxis]).sum(axis=1), (studentised <= t[:, np.newaxis]).sum(axis=1)
    bias = stats.norm.ppf((means < 0).mean(axis=1))
    acceleration = (centred**3).sum(axis=1) / (6 * np.square(centred).sum(axis=1) ** 1.5)
    place = stats.norm.ppf((1 + (means + mean <= 0).sum(axis=1)) / (RESAMPLES + 2)) - bias
    normal = place / (1 + acceleration * place) - bias
    return {
        "bootstrap-t": ((1 + above) / (RESAMPLES + 1), (1 + below) / (RESAMPLES + 1)),
        "BCa": (stats.norm.cdf(normal), stats.norm.sf(normal)),
    }


def by_flips(values: np.ndarray) -> BothWays:
    """Random flips of the signs with the +1."""
    signs = GENERATOR.choice([-1.0, 1.0], (values.shape[1], RESAMPLES))
    flipped, total = values @ signs, values.sum(axis=1, keepdims=True)
    counts = (flipped >= total).sum(axis=1), (flipped <= total).sum(axis=1)
    return (1 + counts[0]) / (RESAMPLES + 1), (1 + counts[1]) / (RESAMPLES + 1)


def p_values(values: np.ndarray) -> dict[str, BothWays]:
    """Every test of "the mean is 0", both one-sided ways, for each row."""
    n, skewness = values.shape[1], stats.skew(values, axis=1, bias=False)
    t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(n))
    johnson = t + skewness / np.sqrt(n) * (t**2 / 3 + 1 / 6)
    halls = hall(t, skewness, n)
    several = [t, *(hall(t, skewness + error, n) for error in possible_skewnesses(0.0, n)[1:])]
    return {
        "t": by_student(t, t, n),
        "Johnson": by_student(johnson, johnson, n),
        "Hall": by_student(halls, halls, n),
        **by_bootstrap(values, t),
        "sign flips": by_flips(values),
        "t and Hall": by_student(np.maximum(t, halls), np.minimum(t, halls), n),
        "t and Hall ∓": by_student(np.max(several, axis=0), np.min(several, axis=0), n),
    }


def rates(draw: Callable[[tuple[int, int]], np.ndarray], n: int, draws: int) -> dict[str, list[float]]:
    """Test → shares that are supported and refuted at a mean of 0, and supported at `SHIFT`."""
    called: dict[str, list[list[float]]] = {}
    for _ in range(draws // BATCH):
        values = draw((BATCH, n))
        for (test, found), (stronger, _) in zip(
            p_values(values).items(), p_values(values + SHIFT).values(), strict=True
        ):
            called.setdefault(test, []).append([float(np.mean(p <= ALPHA)) for p in (*found, stronger)])
    return {test: list(100 * np.mean(shares, axis=0)) for test, shares in called.items()}


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for name, draw in DRAWN.items():
        for n in SEEDS:
            found = rates(draw, n, draws)
            if (name, n) == ("normal", SEEDS[0]):
                print(f"| numbers | seeds | {' | '.join(found)} |\n|{'---|' * (len(found) + 2)}")
            cells = (f"{above:.1f}, {below:.1f}; {power:.0f}" for above, below, power in found.values())
            print(f"| {name} | {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
