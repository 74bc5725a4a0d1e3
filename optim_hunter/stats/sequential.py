"""A claim looked at after every seed: settled or not, and what its conditions are by then.

Each condition is tested by `betting` on its numbers clipped to declared bounds. What is tested is therefore the mean
of the clipped numbers. Levels are α over the family's registered size (Bonferroni), since the members of a family do
not stop at the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import MINIMUM_SEEDS, Claim, Condition, Verdict
from optim_hunter.stats.betting import lower_bound, p_above, p_below
from optim_hunter.stats.conditions import Result
from optim_hunter.stats.decision import SeedNumber, Tested, examine
from optim_hunter.stats.verdict import combine, too_many_missing, verdict_of

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Looks:
    """How a claim is looked at: the bounds of its conditions, and the registered size of its family."""

    claim: Claim
    bounds: Mapping[str, Bounds]
    family_size: int

    @property
    def level(self) -> float:
        """α of one claim of the family."""
        return self.claim.alpha / self.family_size


def obstacle(claim: Claim, bounds: Mapping[str, Bounds], measured: Sequence[Mapping[str, Any]]) -> str:
    """Why a claim cannot be looked at seed by seed; empty where it can. `measured` is what the seeds so far gave."""
    if claim.bootstrap:
        return "its seeds resample one corpus and are no replicates"
    if claim.search or claim.named:
        return "its candidate is found on one half of all seeds"
    if any(condition.statistic for condition in claim.conditions):
        return "it states a statistic of all seeds at once"
    lacking = [condition.name for condition in claim.conditions if condition.name not in bounds]
    if lacking:
        return f"no bounds are declared for {', '.join(lacking)}"
    several = [name for name in bounds for values in measured if np.ndim(values.get(name, 0.0))]
    return f"bounds are declared for {several[0]}, which has several numbers a seed: remove them" if several else ""


def settles(looks: Looks, numbers: Sequence[SeedNumber]) -> bool:
    """Whether the numbers so far, in order, decide the claim: at least 20, and at most a tenth of them missing."""
    found = sum(number.values is not None for number in numbers)
    lost = sum(number.lost for number in numbers)
    if found < MINIMUM_SEEDS or too_many_missing(lost, len(numbers)):
        return False
    p_values = {one.name: _p_values(looks, one, numbers) for one in looks.claim.conditions}
    both = combine({name: Result(np.nan, None, found, *pair) for name, pair in p_values.items()})
    return verdict_of(both.p, both.p_refuted, found, looks.level) is not Verdict.INCONCLUSIVE


def examine_sequentially(looks: Looks, numbers: Sequence[SeedNumber]) -> Tested | None:
    """The conditions on the numbers so far, tested by betting; None where no seed gave a number.

    Quantities without bounds are shown by their mean alone: an ordinary interval does not hold at a look that
    was chosen by the data.
    """
    tested = examine(looks.claim, numbers, None, None)
    if tested is None:
        return None
    results = {
        one.name: _result(looks, one, numbers)
        if one.name in looks.bounds
        else replace(tested.conditions[one.name], interval=None, p=1.0, p_refuted=1.0)
        for one in looks.claim.quantities
    }
    both = combine({one.name: results[one.name] for one in looks.claim.conditions})
    return replace(tested, conditions=results, combined=both, losses=both)


def clipped(bounds: Bounds, numbers: Sequence[SeedNumber], name: str) -> int:
    """How many numbers of a condition lie outside its bounds."""
    values = [float(number.values[name]) for number in numbers if number.values is not None]
    return sum(not bounds[0] <= value <= bounds[1] for value in values)


def _p_values(looks: Looks, condition: Condition, numbers: Sequence[SeedNumber]) -> tuple[float, float]:
    bounds = looks.bounds[condition.name]
    given, scored = _scaled(condition, bounds, numbers)
    smallest = (condition.smallest_effect - bounds[0]) / (bounds[1] - bounds[0])
    return p_above(scored, smallest, looks.level), p_below(given, smallest, looks.level)


def _result(looks: Looks, condition: Condition, numbers: Sequence[SeedNumber]) -> Result:
    """Mean, bounds and p values of one condition.

    A missing seed counts as the lower bound for what speaks for the claim, and not at all for what speaks against it.
    """
    bounds, alpha = looks.bounds[condition.name], looks.claim.alpha
    given, scored = _scaled(condition, bounds, numbers)
    low = lower_bound(scored, alpha, looks.level)
    high = 1 - lower_bound(1 - given, alpha, looks.level)
    ends = [bounds[0] + (bounds[1] - bounds[0]) * share for share in (float(given.mean()), low, high)]
    return Result(ends[0], (ends[1], ends[2]), len(given), *_p_values(looks, condition, numbers))


def _scaled(
    condition: Condition, bounds: Bounds, numbers: Sequence[SeedNumber]
) -> tuple[Float[np.ndarray, "look"], Float[np.ndarray, "look_or_loss"]]:
    """Clipped numbers as shares of the way between the bounds: those there are; all, with losses at the lower bound."""
    values = [None if number.values is None else number.values[condition.name] for number in numbers]
    given = np.array([value for value in values if value is not None], dtype=float)
    shares = (np.clip(given, *bounds) - bounds[0]) / (bounds[1] - bounds[0])
    scored = np.zeros(len(numbers))
    scored[[value is not None for value in values]] = shares
    return shares, scored * (1 - np.array([number.lost for number in numbers]))
