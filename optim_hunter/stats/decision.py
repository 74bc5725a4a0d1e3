"""Numbers of all seeds → tested conditions, the search for a candidate included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optim_hunter.claim import Claim
from optim_hunter.stats.conditions import Result, bootstrap_test, t_test
from optim_hunter.stats.search import find_candidate, halves
from optim_hunter.stats.verdict import Combined, combine, with_losses


@dataclass(frozen=True)
class SeedNumber:
    """What a seed gave: a value for each condition (an array over candidates in a search), or a reason for none."""

    seed: int
    values: Mapping[str, Any] | None
    missing: str = ""


@dataclass(frozen=True)
class Tested:
    """The tested conditions of one claim on one model.

    `roles` says which seeds found the candidate (`find`) and which confirmed it (`confirm`); without a search
    every seed confirms. `losses` is the same test with missing seeds scored as losses.
    """

    conditions: Mapping[str, Result]
    combined: Combined
    losses: Combined
    candidate: tuple[int, ...] | None
    roles: Mapping[int, str]
    values: Mapping[str, np.ndarray]
    missing: int


def examine(
    claim: Claim, numbers: Sequence[SeedNumber], estimate: Mapping[str, float] | None, named: tuple[int, ...] | None
) -> Tested | None:
    """Test every condition of a claim; None where no seed that confirms gave a number.

    Args:
        claim: its conditions, α and kind.
        numbers: one for each seed, in order.
        estimate: the values on the whole corpus, which a bootstrap claim reports as its effect.
        named: the candidate that the paper named for this model, where it did.
    """
    seeds = [number.seed for number in numbers]
    finding, confirming = halves(seeds) if claim.search and named is None else ((), tuple(seeds))
    found = {number.seed: number.values for number in numbers if number.values is not None}
    candidate = named if claim.search else None
    if finding:
        candidate = _search(claim, [found[seed] for seed in finding if seed in found])
    used = [found[seed] for seed in confirming if seed in found]
    if not used or (claim.search and candidate is None):
        return None
    values = {
        condition.name: np.array([_pick(entry[condition.name], candidate) for entry in used])
        for condition in claim.quantities
    }
    missing = len(confirming) - len(used)
    roles = dict.fromkeys(finding, "find") | dict.fromkeys(confirming, "confirm")
    results = _test(claim, values, estimate)
    lost = {
        condition.name: with_losses(values[condition.name], missing, condition.smallest_effect)
        for condition in claim.quantities
    }
    losses = _combine(claim, _test(claim, lost, estimate))
    return Tested(results, _combine(claim, results), losses, candidate, roles, values, missing)


def _search(claim: Claim, found: Sequence[Mapping[str, Any]]) -> tuple[int, ...] | None:
    if len(found) < 2:
        return None
    arrays = {condition.name: np.array([entry[condition.name] for entry in found]) for condition in claim.conditions}
    return find_candidate(arrays, {condition.name: condition.smallest_effect for condition in claim.conditions})


def _pick(value: Any, candidate: tuple[int, ...] | None) -> float:
    return float(value if candidate is None else value[candidate])


def _test(claim: Claim, values: Mapping[str, np.ndarray], estimate: Mapping[str, float] | None) -> dict[str, Result]:
    return {
        condition.name: bootstrap_test(
            values[condition.name], estimate[condition.name], condition.smallest_effect, claim.alpha
        )
        if estimate is not None
        else t_test(values[condition.name], condition.smallest_effect, claim.alpha)
        for condition in claim.quantities
    }


def _combine(claim: Claim, results: Mapping[str, Result]) -> Combined:
    return combine({condition.name: results[condition.name] for condition in claim.conditions})
