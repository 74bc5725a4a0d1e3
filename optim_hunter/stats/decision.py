"""Numbers of all seeds → tested conditions, the search for a candidate included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optim_hunter.claim import Claim, Condition
from optim_hunter.stats.conditions import Result, bootstrap_test, t_test
from optim_hunter.stats.search import find_candidate, halves
from optim_hunter.stats.verdict import Combined, combine, with_losses


@dataclass(frozen=True)
class SeedNumber:
    """What a seed gave: a value for each condition (an array over candidates in a search), or a reason for none.

    Of a seed with several queries the values are the means over those that gave some: queries of one seed share their
    examples, so that they count as one number and not as many. `lost` is the share of its queries without a value,
    `lowest` and `highest` are those of its queries.
    """

    seed: int
    values: Mapping[str, Any] | None
    missing: str = ""
    lost: float = 0.0
    lowest: Mapping[str, Any] | None = None
    highest: Mapping[str, Any] | None = None


def mean_of_queries(seed: int, queries: Sequence[Mapping[str, Any]], reasons: Sequence[str]) -> SeedNumber:
    """The number of a seed from those of its queries; `reasons` tell of each query without one."""
    if not queries:
        return SeedNumber(seed, None, reasons[0], 1.0)
    numbers = {name: np.array([query[name] for query in queries]) for name in queries[0]}
    means, lowest, highest = (
        {name: summary(values, axis=0) for name, values in numbers.items()} for summary in (np.mean, np.min, np.max)
    )
    lost = len(reasons) / (len(queries) + len(reasons))
    return SeedNumber(seed, means, next(iter(reasons), ""), lost, lowest, highest)


@dataclass(frozen=True)
class Tested:
    """The tested conditions of one claim on one model.

    `columns` names, for a condition that has several numbers a seed, the one that is nearest to failing; `values`
    are its numbers. `roles` says which seeds found the candidate (`find`) and which confirmed it (`confirm`); without
    a search
    every seed confirms. `losses` is the same test with missing seeds scored as losses.
    """

    conditions: Mapping[str, Result]
    combined: Combined
    losses: Combined
    candidate: tuple[int, ...] | None
    roles: Mapping[int, str]
    columns: Mapping[str, int | None]
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
    found = {number.seed: number for number in numbers if number.values is not None}
    candidate = named
    if finding:
        candidate = _search(claim, [found[seed].values for seed in finding if seed in found])
    used = [found[seed] for seed in confirming if seed in found]
    if not used or (claim.search and candidate is None):
        return None
    values = _arrays(claim, [one.values for one in used], candidate)
    missing = len(confirming) - len(used)
    tested = {one.name: _test(claim, one, values[one.name], estimate) for one in claim.quantities}
    scored = _scored(claim, used, missing, candidate)
    if_lost = {one.name: _test(claim, one, scored[one.name], estimate) for one in claim.quantities}
    columns = {name: column for name, (_, column) in tested.items()}
    return Tested(
        conditions={name: result for name, (result, _) in tested.items()},
        combined=_combine(claim, tested),
        losses=_combine(claim, if_lost),
        candidate=candidate,
        roles=dict.fromkeys(finding, "find") | dict.fromkeys(confirming, "confirm"),
        columns=columns,
        values={name: array if columns[name] is None else array[:, columns[name]] for name, array in values.items()},
        missing=missing,
    )


def _arrays(
    claim: Claim, entries: Sequence[Mapping[str, Any] | None], candidate: tuple[int, ...] | None
) -> dict[str, np.ndarray]:
    """The numbers of each condition, seed by seed."""
    return {
        one.name: np.array([_pick(entry[one.name], candidate) for entry in entries if entry is not None], dtype=float)
        for one in claim.quantities
    }


def _scored(
    claim: Claim, used: Sequence[SeedNumber], missing: int, candidate: tuple[int, ...] | None
) -> dict[str, np.ndarray]:
    """The numbers of each condition, with missing seeds and lost queries scored as losses."""
    values, lowest, highest = (
        _arrays(claim, entries, candidate)
        for entries in (
            [one.values for one in used],
            [one.lowest or one.values for one in used],
            [one.highest or one.values for one in used],
        )
    )
    lost = np.array([one.lost for one in used])
    return {
        one.name: with_losses(values[one.name], missing, one.smallest_effect, lost, lowest[one.name], highest[one.name])
        for one in claim.quantities
    }


def _search(claim: Claim, found: Sequence[Mapping[str, Any] | None]) -> tuple[int, ...] | None:
    if len(found) < 2:
        return None
    arrays = {
        condition.name: np.array([entry[condition.name] for entry in found if entry]) for condition in claim.conditions
    }
    return find_candidate(arrays, {condition.name: condition.smallest_effect for condition in claim.conditions})


def _pick(value: Any, candidate: tuple[int, ...] | None) -> Any:
    return value if candidate is None else value[candidate]


def _test(
    claim: Claim, condition: Condition, values: np.ndarray, estimate: Mapping[str, float] | None
) -> tuple[Result, int | None]:
    """A condition with several numbers a seed must hold for each (intersection-union), and any of them may refute it
    (Bonferroni); the result is that of the number nearest to failing, with its column."""
    if estimate is not None:
        return bootstrap_test(values, estimate[condition.name], condition.smallest_effect, claim.alpha), None
    if values.ndim == 1:
        return t_test(values, condition.smallest_effect, claim.alpha), None
    results = [t_test(column, condition.smallest_effect, claim.alpha) for column in values.T]
    worst = max(range(len(results)), key=lambda column: (results[column].p, -results[column].effect))
    p_refuted = min(1.0, len(results) * min(result.p_refuted for result in results))
    return replace(results[worst], p_refuted=p_refuted), worst


def _combine(claim: Claim, tested: Mapping[str, tuple[Result, int | None]]) -> Combined:
    return combine({condition.name: tested[condition.name][0] for condition in claim.conditions})
