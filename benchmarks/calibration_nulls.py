"""Whole claims drawn from a generator, whose true effect is the smallest effect exactly: what `calibrate.py` decides.

A draw takes the generator and a `shift`, in units that each case states: 0 is the null, more is an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from optim_hunter.claim import Claim, Condition, Protocol
from optim_hunter.measures.prediction import RIVAL_ERRORS
from optim_hunter.models.registry import recorded_predictions
from optim_hunter.stats.decision import SeedNumber, mean_of_queries
from optim_hunter.tasks.regression import RegressionTask, draw

RECORDED = "recorded:llama-3.1-8b"
SMALLEST = 36.0
"""The smallest effect of beats-average, in units of the output; what is drawn for other claims takes 0."""

BOUNDS = (-1200.0, 1200.0)
"""Those of beats-average in claims/bounds.toml."""

Numbers = Sequence[SeedNumber]
Draw = Callable[[np.random.Generator, float], tuple[Numbers, Mapping[str, float] | None]]
"""generator, shift → the numbers of the seeds, and the estimate of a bootstrap claim."""


@dataclass(frozen=True)
class Null:
    """A claim at its smallest effect.

    Attributes:
        test: what decides it.
        name: what its numbers are.
        draw: draws them.
        claim: what is claimed.
        shift: the effect at which power is asked for, in units of the draw.
        runs: how often it is drawn.
        bounds: where it is looked at after every seed.
        size: the registered size of its family.
    """

    test: str
    name: str
    draw: Draw
    claim: Claim
    shift: float = 0.5
    runs: int = 5000
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    size: int = 1


def claim_of(smallest: float = 0.0, names: str = "a", statistic: str = "", **changes: Any) -> Claim:
    """A claim with these conditions, one a letter."""
    conditions = tuple(Condition(name, "", "", smallest, statistic) for name in names)
    return Claim(
        id="calibration/null", statement="", source="", conditions=conditions, family="calibration",
        protocols=(Protocol("corrected", None, ()),), **changes,
    )  # fmt: skip


@cache
def recorded_gains() -> np.ndarray:
    """Gains of the recorded Llama over the mean of its examples (units of the output, skew −0.26), with mean 0."""
    record = recorded_predictions(RECORDED)
    task = RegressionTask("friedman_2", examples=record["examples"])
    gains = []
    for seed, prediction in zip(record["seeds"], record["predictions"]["llama"], strict=True):
        episode = draw(task, seed, 0)
        gains.append(RIVAL_ERRORS["average"](episode) - abs(prediction - episode.gold))
    return np.array(gains) - np.mean(gains)


def gains(generator: np.random.Generator, size: Any, shift: float) -> np.ndarray:
    """Recorded gains drawn anew around the smallest effect; `shift` in standard deviations."""
    return SMALLEST + shift * recorded_gains().std() + generator.choice(recorded_gains(), size)


def single(values: np.ndarray, name: str = "a") -> list[SeedNumber]:
    """One number a seed, or a row of numbers."""
    return [SeedNumber(seed, {name: value}) for seed, value in enumerate(values)]


def skewed(n: int) -> Draw:
    """Recorded gains of so many seeds."""
    return lambda generator, shift: (single(gains(generator, n, shift)), None)


def normal(n: int) -> Draw:
    """Normal numbers of so many seeds; `shift` in standard deviations."""
    return lambda generator, shift: (single(generator.normal(shift, 1, n)), None)


def exponential(n: int) -> Draw:
    """Exponential losses of so many seeds (skew −2, which misleads a t test into support); `shift` as of `normal`."""
    return lambda generator, shift: (single(shift + 1 - generator.exponential(1, n)), None)


def heavy(n: int) -> Draw:
    """Numbers with the tails of Student's t₃, of so many seeds; `shift` as of `normal`."""
    return lambda generator, shift: (single(shift + generator.standard_t(3, n) / np.sqrt(3)), None)


def with_missing(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """Recorded gains of 100 seeds, of which each is missing with probability 0.05."""
    lost = generator.random(100) < 0.05
    numbers = single(gains(generator, 100, shift))
    gone = [SeedNumber(one.seed, None, "lost", 1.0) if loss else one for one, loss in zip(numbers, lost, strict=True)]
    return gone, None


def clustered(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """8 queries of each of 50 seeds, which share half of their variance; `shift` in standard deviations of a query."""
    root = np.sqrt(0.5)
    shared = root * (gains(generator, (50, 1), 0) - SMALLEST)
    queries = SMALLEST + shift * recorded_gains().std() + shared + root * (gains(generator, (50, 8), 0) - SMALLEST)
    return [mean_of_queries(seed, [{"a": value} for value in row], []) for seed, row in enumerate(queries)], None


def two_conditions(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """One condition at the smallest effect, the other a standard deviation above: 100 normal seeds, correlation 0.5."""
    shared = generator.normal(0, np.sqrt(0.5), 100)
    first, second = shared + generator.normal(0, np.sqrt(0.5), (2, 100)) + np.array([[shift], [1.0]])
    return [SeedNumber(seed, {"a": first[seed], "b": second[seed]}) for seed in range(100)], None


def six_rivals(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """Six numbers a seed, all at the smallest effect, with correlation 0.5: 100 normal seeds."""
    rows = generator.normal(shift, np.sqrt(0.5), (100, 6)) + generator.normal(0, np.sqrt(0.5), (100, 1))
    return single(rows), None


def searched(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """30 candidates of 100 normal seeds, of which the first has the effect."""
    rows = generator.normal(0, 1, (100, 30))
    rows[:, 0] += shift
    return single(rows), None


def wins(n: int) -> Draw:
    """Wins and losses as ±1/2; `shift` is the share of wins above one half."""
    return lambda generator, shift: (single((generator.random(n) < 0.5 + shift) - 0.5), None)


STORIES, BUT, OTHER = 400, 0.20, 0.30


def bootstrap_fits(generator: np.random.Generator, shift: float) -> tuple[Numbers, Mapping[str, float]]:
    """100 refits of one corpus of 400 stories, each of one window: the log odds of two words, from counts + 1/2.

    A stand-in for the linear model, whose refits take seconds: corpus and resamples are multinomial, so that the truth
    is known. `shift` in standard errors of the fit.
    """
    error = np.sqrt((1 / BUT + 1 / OTHER) / STORIES)
    odds = BUT / OTHER * np.exp(shift * error)
    shares = np.array([(BUT + OTHER) * odds / (1 + odds), (BUT + OTHER) / (1 + odds), 1 - BUT - OTHER])
    corpus = generator.multinomial(STORIES, shares)
    resamples = generator.multinomial(STORIES, corpus / STORIES, 100)
    return single(_log_odds(resamples)), {"a": float(_log_odds(corpus[np.newaxis])[0])}


def _log_odds(counts: np.ndarray) -> np.ndarray:
    return np.log(counts[:, 0] + 0.5) - np.log(counts[:, 1] + 0.5) - np.log(BUT / OTHER)


def two_groups(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """Normal numbers of 100 seeds in two groups alike; `shift` in standard deviations between them."""
    low = generator.random(100) < 0.5
    return single(np.stack([low, generator.normal(0, 1, 100) + shift * low], axis=1)), None


def steady(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """Two normal quantities of 100 seeds, with means 1 + `shift` and 1 and a standard deviation of 1."""
    return single(generator.normal((1 + shift, 1), 1, (100, 2))), None


def split_errors(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """Errors of a model and a rival on a logarithmic scale: 100 seeds, normal with 200.

    A share `shift` of the model's errors is normal with 3.
    """
    errors = generator.normal(0, 200, (100, 2))
    errors[:, 0] *= np.where(generator.random(100) < shift, 3 / 200, 1)
    return single(np.arcsinh(np.abs(errors) / 30)), None


def rare_losses(generator: np.random.Generator, shift: float) -> tuple[Numbers, None]:
    """Ones with rare deep losses: 0.9 times 1 and 0.1 times −9, the skew that harms a t test most; `shift` is added."""
    return single(np.where(generator.random(100) < 0.1, -9.0, 1.0) + shift), None


GAINS = claim_of(SMALLEST)
ZERO = claim_of()

NULLS: tuple[Null, ...] = (
    Null("mean", "normal, 24 seeds", normal(24), ZERO),
    Null("mean", "normal, 100 seeds", normal(100), ZERO),
    Null("mean", "recorded gains, 24 seeds", skewed(24), GAINS),
    Null("mean", "recorded gains, 50 seeds", skewed(50), GAINS),
    Null("mean", "recorded gains, 100 seeds", skewed(100), GAINS),
    Null("mean", "recorded gains, 100 seeds, 5 % missing", with_missing, GAINS),
    Null("mean", "exponential losses, 24 seeds", exponential(24), ZERO),
    Null("mean", "exponential losses, 50 seeds", exponential(50), ZERO),
    Null("mean", "exponential losses, 100 seeds", exponential(100), ZERO),
    Null("mean", "t₃, 50 seeds", heavy(50), ZERO),
    Null("mean, family of 3", "recorded gains, 100 seeds", skewed(100), GAINS, size=3),
    Null("mean, two conditions", "one at the smallest effect, 100 seeds", two_conditions, claim_of(names="ab")),
    Null("mean, six rivals", "normal, 100 seeds", six_rivals, ZERO),
    Null("mean, clustered queries", "recorded gains, 50 seeds of 8 queries", clustered, GAINS),
    Null("mean, search of 30", "normal, 50 + 50 seeds", searched, claim_of(search=True), shift=0.8),
    Null("wins", "even, 24 seeds", wins(24), ZERO, shift=0.2),
    Null("wins", "even, 50 seeds", wins(50), ZERO, shift=0.2),
    Null("wins", "even, 100 seeds", wins(100), ZERO, shift=0.2),
    Null("bootstrap fits", "one corpus of 400 stories, 100 refits", bootstrap_fits, claim_of(bootstrap=True),
         shift=3.0),
    Null("low minus high", "normal, groups alike, 100 seeds", two_groups, claim_of(statistic="low minus high")),
    Null("steadiness lead", "normal, means 1 and 1, 100 seeds", steady, claim_of(statistic="steadiness lead"),
         shift=1.0),
    Null("split share lead", "normal errors, 100 seeds", split_errors, claim_of(statistic="split share lead")),
    Null("sequential", "recorded gains, up to 100 seeds", skewed(100), GAINS, runs=1000, bounds={"a": BOUNDS}),
    Null("sequential, family of 3", "recorded gains, up to 100 seeds", skewed(100), GAINS, runs=1000,
         bounds={"a": BOUNDS}, size=3),
    Null("sequential", "wins, up to 100 seeds", wins(100), ZERO, shift=0.2, runs=1000, bounds={"a": (-0.5, 0.5)}),
    Null("sequential", "rare deep losses, up to 100 seeds", rare_losses, ZERO, shift=1.5, runs=1000,
         bounds={"a": (-12.0, 12.0)}),
)  # fmt: skip
