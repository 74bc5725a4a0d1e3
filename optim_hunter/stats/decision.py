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
    examples, so that they count as one number and not as many. `lost` is the share of its queries without a value.
    """

    seed: int
    values: Mapping[str, Any] | None
    missing: str = ""
    lost: float = 0.0


def mean_of_queries(seed: int, queries: Sequence[Mapping[str, Any]], reasons: Sequence[str]) -> SeedNumber:
    """The number of a seed from those of its queries; `reasons` tell of each query without one."""
    if not queries:
        return SeedNumber(seed, None, reasons[0], 1.0)
    means = {name: np.mean([query[name] for query in queries], axis=0) for name in queries[0]}
    return SeedNumber(seed, means, next(iter(reasons), ""), len(reasons) / (len(queries) + len(reasons)))


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
    found = {number.seed: number.values for number in numbers if number.values is not None}
    candidate = named
    if finding:
        candidate = _search(claim, [found[seed] for seed in finding if seed in found])
    used = [found[seed] for seed in confirming if seed in found]
    lost = np.array([number.lost for number in numbers if number.seed in confirming and number.seed in found])
    if not used or (claim.search and candidate is None):
        return None
    values = {
        condition.name: np.array([_pick(entry[condition.name], candidate) for entry in used], dtype=float)
        for condition in claim.quantities
    }
    missing = len(confirming) - len(used)
    roles = dict.fromkeys(finding, "find") | dict.fromkeys(confirming, "confirm")
    tested = {one.name: _test(claim, one, values[one.name], estimate) for one in claim.quantities}
    scored = {
        one.name: _test(claim, one, with_losses(values[one.name], missing, one.smallest_effect, lost), estimate)
        for one in claim.quantities
    }
    columns = {name: column for name, (_, column) in tested.items()}
    shown = {name: numbers if columns[name] is None else numbers[:, columns[name]] for name, numbers in values.items()}
    results = {name: result for name, (result, _) in tested.items()}
    return Tested(
        results, _combine(claim, tested), _combine(claim, scored), candidate, roles, columns, shown, missing
    )  # fmt: skip


def _search(claim: Claim, found: Sequence[Mapping[str, Any]]) -> tuple[int, ...] | None:
    if len(found) < 2:
        return None
    arrays = {condition.name: np.array([entry[condition.name] for entry in found]) for condition in claim.conditions}
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
