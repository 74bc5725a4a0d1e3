"""How often the test of jackknife pseudo-values is wrong where the statistic is its smallest effect exactly.

    python benchmarks/pooled_rates.py [DRAWS]

Prints, for each statistic over seeds and kind of numbers, the shares of draws in which it calls *supported* and
*refuted* at α = 5 %; both should be 5 %. docs/statistics.md has the table of 1,000 draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from optim_hunter.stats.conditions import mean_test
from optim_hunter.stats.pooled import STATISTICS, UndefinedStatisticError, pseudo_values

ALPHA = 0.05
SEEDS = (24, 50, 100)
POPULATION = 1_000_000
GENERATOR = np.random.default_rng(0)

Draw = Callable[[int], np.ndarray]


def groups(share: float, spread: float = 1.0, skewed: bool = False) -> Draw:
    """Two groups of one mean; `share` are low, with `spread` times the standard deviation of the others."""

    def draw(n: int) -> np.ndarray:
        low = GENERATOR.random(n) < share
        numbers = GENERATOR.exponential(1, n) - 1 if skewed else GENERATOR.normal(0, 1, n)
        return np.stack([low, numbers * np.where(low, spread, 1)], axis=1)

    return draw


def pairs(means: tuple[float, float]) -> Draw:
    """Two quantities with these means and a standard deviation of 1."""
    return lambda n: GENERATOR.normal(means, 1, (n, 2))


def sums(windows: float, scale: Callable[[int], np.ndarray]) -> Draw:
    """Sums over a Poisson number of windows whose values are normal around what `scale` draws for the seed."""

    def draw(n: int) -> np.ndarray:
        counts = GENERATOR.poisson(windows, n)
        return np.stack([GENERATOR.normal(counts * scale(n), np.sqrt(counts)), counts], axis=1)

    return draw


def errors(model: Draw, rival: Draw, rivals: int = 1) -> Draw:
    """Generalised logarithms of errors, in units of 30, of a model and of rivals."""

    def draw(n: int) -> np.ndarray:
        columns = [model(n), *(rival(n) for _ in range(rivals))]
        return np.arcsinh(np.abs(np.stack(columns, axis=1)) / 30)

    return draw


def normal(n: int) -> np.ndarray:
    return GENERATOR.normal(0, 200, n)


def exponential(n: int) -> np.ndarray:
    return GENERATOR.exponential(250, n)


def heavy(n: int) -> np.ndarray:
    return 150 * GENERATOR.standard_t(3, n)


def two_groups(n: int) -> np.ndarray:
    return np.where(GENERATOR.random(n) < 0.5, GENERATOR.normal(0, 3, n), GENERATOR.normal(400, 60, n))


CASES: tuple[tuple[str, str, Draw], ...] = (
    ("low minus high", "normal, groups alike", groups(0.5)),
    ("low minus high", "normal, groups 1 : 4", groups(0.2)),
    ("low minus high", "normal, groups 1 : 9", groups(0.1)),
    ("low minus high", "normal, groups 1 : 4, spreads 3 : 1", groups(0.2, 3.0)),
    ("low minus high", "normal, groups 4 : 1, spreads 3 : 1", groups(0.8, 3.0)),
    ("low minus high", "exponential, groups alike", groups(0.5, skewed=True)),
    ("low minus high", "exponential, groups 1 : 4", groups(0.2, skewed=True)),
    ("steadiness lead", "normal, means 1 and 1", pairs((1, 1))),
    ("steadiness lead", "normal, means 2 and 1", pairs((2, 1))),
    ("steadiness lead", "normal, means 1 and 0", pairs((1, 0))),
    ("steadiness lead", "normal, means 0.3 and 0", pairs((0.3, 0))),
    ("steadiness lead", "log-normal (0.8), alike", lambda n: GENERATOR.lognormal(0, 0.8, (n, 2))),
    ("split share lead", "normal errors", errors(normal, normal)),
    ("split share lead", "exponential errors", errors(exponential, exponential)),
    ("split share lead", "t₃ against normal errors", errors(heavy, normal)),
    ("split share lead", "two groups against normal errors", errors(two_groups, normal)),
    ("split share lead", "normal errors, six rivals", errors(normal, normal, 6)),
    ("split share lead", "two groups, six rivals", errors(two_groups, normal, 6)),
    ("ratio of sums", "normal, some 24 windows a seed", sums(24, lambda n: GENERATOR.normal(0, 0.3, n))),
    ("ratio of sums", "normal, some 8 windows a seed", sums(8, lambda n: GENERATOR.normal(0, 0.3, n))),
    ("ratio of sums", "exponential seeds, some 24 windows", sums(24, lambda n: GENERATOR.exponential(0.3, n))),
)


def jackknifed(name: str, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-values as [seed, column] and the statistics as [column] of one draw, or of many along the last axis."""
    pseudo = pseudo_values(name, raw)
    return pseudo.reshape(len(pseudo), -1), np.ravel(STATISTICS[name](raw))


def defined(name: str, draw: Draw, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """One draw; undefined ones are drawn again."""
    while True:
        try:
            return jackknifed(name, draw(seeds))
        except UndefinedStatisticError:
            continue


def rates(name: str, draw: Draw, seeds: int, draws: int) -> tuple[float, float]:
    """Shares of draws that end in *supported* and in *refuted* at the true value."""
    truth = np.ravel(STATISTICS[name](draw(POPULATION)))[0]
    if name == "low minus high":  # each draw has groups of its own
        pairs = [defined(name, draw, seeds) for _ in range(draws)]
        pseudo, wholes = np.hstack([pair[0] for pair in pairs]), np.hstack([pair[1] for pair in pairs])
    else:
        pseudo, wholes = jackknifed(name, np.stack([draw(seeds) for _ in range(draws)], axis=-1))
    results = [
        mean_test(column, truth, ALPHA, whole - column.mean()) for column, whole in zip(pseudo.T, wholes, strict=True)
    ]
    above, below = (np.reshape([getattr(one, p) for one in results], (-1, draws)) for p in ("p", "p_refuted"))
    return float(np.mean(above.max(axis=0) <= ALPHA)), float(np.mean(len(below) * below.min(axis=0) <= ALPHA))


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for name, what, draw in CASES:
        found = [rates(name, draw, seeds, draws) for seeds in SEEDS]
        cells = " | ".join(f"{100 * above:.1f}, {100 * below:.1f}" for above, below in found)
        print(f"| {name} | {what} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
