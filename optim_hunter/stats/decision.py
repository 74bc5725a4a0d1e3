"""Numbers of all seeds → tested conditions, the search for a candidate included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import Claim, Condition, UserError
from optim_hunter.stats.conditions import Result, bootstrap_test, seeds_test, without_bias
from optim_hunter.stats.pooled import pseudo_values, statistic
from optim_hunter.stats.search import find_candidate, halves, lowest_mean
from optim_hunter.stats.verdict import Combined, combine, with_losses

ALIKE = "return as many numbers for every seed"

FEWER = (
    "the test of a claim about resamples must return one number",
    "return one number, or one row of them; more are for a claim with `search=True`",
)
"""By the most dimensions that numbers of a condition may have."""


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
    """The number of a seed from those of its queries; `reasons` tell of each query without one.

    Raises:
        UserError: a condition has more numbers in one query than in another.
    """
    if not queries:
        return SeedNumber(seed, None, reasons[0], 1.0)
    for name in queries[0]:
        if len({np.shape(query[name]) for query in queries}) > 1:
            raise UserError(f"{name} has more numbers in one query of seed {seed} than in another: {ALIKE}")
    numbers = {name: np.array([query[name] for query in queries], dtype=float) for name in queries[0]}
    means, lowest, highest = (
        {name: summary(values, axis=0) for name, values in numbers.items()} for summary in (np.mean, np.min, np.max)
    )
    lost = len(reasons) / (len(queries) + len(reasons))
    return SeedNumber(seed, means, next(iter(reasons), ""), lost, lowest, highest)


@dataclass(frozen=True)
class Tested:
    """The tested conditions of one claim on one model.

    `columns` names, for a condition that has several numbers a seed, the one that is nearest to failing; `values`
    are its numbers, of the seeds that confirm; `by_seed` has them for every seed that gave one. Of a condition with a
    statistic over seeds the numbers are pseudo-values, and `pooled` is the statistic itself. `roles` says which seeds
    found the candidate (`find`) and which confirmed it (`confirm`); without a search every seed confirms. `losses` is
    the same test with missing seeds scored as losses.
    """

    conditions: Mapping[str, Result]
    combined: Combined
    losses: Combined
    candidate: tuple[int, ...] | None
    roles: Mapping[int, str]
    columns: Mapping[str, int | None]
    values: Mapping[str, np.ndarray]
    by_seed: Mapping[str, Mapping[int, float]]
    pooled: Mapping[str, float]
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

    Raises:
        UndefinedStatisticError: a statistic over seeds cannot be computed on these.
        UserError: a condition has more numbers in one seed than in another, or more than its claim can do with.
    """
    _check_shapes(claim, numbers, named)
    split = _split(claim, numbers, named)
    candidate = _search(claim, split.finders) if split.finding else named
    if not split.used or (claim.search and candidate is None):
        return None
    return _tested(claim, split, candidate, estimate)


def _check_shapes(claim: Claim, numbers: Sequence[SeedNumber], named: tuple[int, ...] | None) -> None:
    """As many numbers in every seed; several of them only where a candidate is picked, or one row to hold for each."""
    for one in claim.quantities:
        shapes = {np.shape(number.values[one.name]) for number in numbers if number.values is not None}
        if len(shapes) > 1:
            few, many = sorted(shapes)[0], sorted(shapes)[-1]
            raise UserError(f"{claim.id}: {one.name} has the shape {few} in one seed and {many} in another: {ALIKE}")
        most = 0 if claim.bootstrap else 1
        if not one.statistic and not claim.search and named is None and any(len(shape) > most for shape in shapes):
            raise UserError(f"{claim.id}: {one.name} has the shape {shapes.pop()} in each seed: {FEWER[most]}")


@dataclass(frozen=True)
class _Split:
    """Seeds that find and that confirm, and the numbers of those among them that gave one."""

    finding: tuple[int, ...]
    confirming: tuple[int, ...]
    finders: Sequence[SeedNumber]
    used: Sequence[SeedNumber]


def _split(claim: Claim, numbers: Sequence[SeedNumber], named: tuple[int, ...] | None) -> _Split:
    seeds = [number.seed for number in numbers]
    finding, confirming = halves(seeds) if claim.search and named is None else ((), tuple(seeds))
    found = {number.seed: number for number in numbers if number.values is not None}
    finders, used = ([found[seed] for seed in half if seed in found] for half in (finding, confirming))
    return _Split(finding, confirming, finders, used)


def _tested(
    claim: Claim, split: _Split, candidate: tuple[int, ...] | None, estimate: Mapping[str, float] | None
) -> Tested:
    """The conditions on the seeds that confirm, as they are and with what is missing scored as lost."""
    values = _arrays(claim, split.used, candidate)
    wholes = _wholes(claim, split.used, candidate)
    biases = {name: whole - values[name].mean(axis=0) for name, whole in wholes.items()}
    missing = len(split.confirming) - len(split.used)
    # The bias is that of the resamples there are: losses have none, and would move all others up.
    compared = values if estimate is None else {name: without_bias(one, estimate[name]) for name, one in values.items()}
    tested = _tests(claim, compared, estimate, biases)
    if_lost = tested
    if missing or any(one.lost for one in split.used):
        if_lost = _tests(claim, _scored(claim, split.used, compared, missing, candidate), estimate, biases)
    columns = {name: column for name, (_, column) in tested.items()}
    return Tested(
        conditions={name: result for name, (result, _) in tested.items()},
        combined=_combine(claim, tested),
        losses=_combine(claim, if_lost),
        candidate=candidate,
        roles=dict.fromkeys(split.finding, "find") | dict.fromkeys(split.confirming, "confirm"),
        columns=columns,
        values={name: _column(array, columns[name]) for name, array in values.items()},
        by_seed=_by_seed(claim, (split.finders, split.used), candidate, columns),
        pooled={
            name: float(whole if columns[name] is None else whole[columns[name]]) for name, whole in wholes.items()
        },
        missing=missing,
    )


def per_seed(condition: Condition, entries: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, "seed ..."]:
    """What is tested of a condition: the seeds' numbers, or their pseudo-values where it states a statistic over seeds.

    Returns:
        an array of [seed], [seed, column] or, in a search, [seed, *candidate].
    """
    raw = np.array([entry[condition.name] for entry in entries], dtype=float)
    return pseudo_values(condition.statistic, raw) if condition.statistic else raw


def _arrays(claim: Claim, used: Sequence[SeedNumber], candidate: tuple[int, ...] | None) -> dict[str, np.ndarray]:
    """The numbers of each condition, seed by seed, of the candidate where there is one."""
    entries = [one.values for one in used if one.values is not None]
    return {one.name: _pick(per_seed(one, entries), candidate) for one in claim.quantities}


def _pick(values: np.ndarray, candidate: tuple[int, ...] | None) -> np.ndarray:
    place: tuple[Any, ...] = (slice(None), *(candidate or ()))
    return values[place]


def _column(values: np.ndarray, column: int | None) -> np.ndarray:
    return values if column is None else values[:, column]


def _by_seed(
    claim: Claim,
    parts: Sequence[Sequence[SeedNumber]],
    candidate: tuple[int, ...] | None,
    columns: Mapping[str, int | None],
) -> dict[str, dict[int, float]]:
    """Condition → seed → the number that was tested; pseudo-values are made within each part of the seeds."""
    numbers: dict[str, dict[int, float]] = {one.name: {} for one in claim.quantities}
    for part in filter(None, parts):
        for name, array in _arrays(claim, part, candidate).items():
            picked = _column(array, columns[name]).tolist()
            numbers[name] |= dict(zip([one.seed for one in part], picked, strict=True))
    return numbers


def _wholes(claim: Claim, used: Sequence[SeedNumber], candidate: tuple[int, ...] | None) -> dict[str, np.ndarray]:
    """The statistics over seeds themselves, where conditions state some; one for each column."""
    wholes = {}
    for one in claim.quantities:
        if one.statistic:
            whole = statistic(one.statistic)(np.array([seed.values[one.name] for seed in used if seed.values]))
            wholes[one.name] = _pick(whole[np.newaxis], candidate)[0]
    return wholes


def _scored(
    claim: Claim,
    used: Sequence[SeedNumber],
    values: Mapping[str, np.ndarray],
    missing: int,
    candidate: tuple[int, ...] | None,
) -> dict[str, np.ndarray]:
    """The numbers of each condition, with missing seeds and lost queries scored as losses.

    Of a statistic over seeds the pseudo-values are scored: a missing seed counts as the worst of them, or worse.
    """
    lost = np.array([one.lost for one in used])
    scored = {}
    for one in claim.quantities:
        ends = [] if one.statistic else [_pick(_ends(one, used, kind), candidate) for kind in ("lowest", "highest")]
        scored[one.name] = with_losses(values[one.name], missing, one.smallest_effect, lost, *ends)
    return scored


def _ends(condition: Condition, used: Sequence[SeedNumber], kind: str) -> np.ndarray:
    """The lowest or highest number of each seed's queries."""
    entries: list[Any] = [getattr(one, kind) or one.values for one in used]
    return np.array([entry[condition.name] for entry in entries], dtype=float)


def _search(claim: Claim, finders: Sequence[SeedNumber]) -> tuple[int, ...] | None:
    """The candidate that the finding seeds name; None where fewer than two gave a number."""
    if len(finders) < 2:
        return None
    entries = [one.values for one in finders if one.values is not None]
    if claim.found_by:
        return lowest_mean(next(per_seed(one, entries) for one in claim.quantities if one.name == claim.found_by))
    arrays = {condition.name: per_seed(condition, entries) for condition in claim.sought}
    return find_candidate(arrays, {condition.name: condition.smallest_effect for condition in claim.sought})


def _tests(
    claim: Claim,
    arrays: Mapping[str, np.ndarray],
    estimate: Mapping[str, float] | None,
    biases: Mapping[str, np.ndarray],
) -> dict[str, tuple[Result, int | None]]:
    return {
        one.name: _test(claim, one, arrays[one.name], estimate, biases.get(one.name, 0.0)) for one in claim.quantities
    }


def _test(
    claim: Claim, condition: Condition, values: np.ndarray, estimate: Mapping[str, float] | None, bias: Any
) -> tuple[Result, int | None]:
    """A condition with several numbers a seed must hold for each (intersection-union), and any of them may refute it
    (Bonferroni); the result is that of the number nearest to failing, with its column."""
    smallest, alpha = condition.smallest_effect, claim.alpha
    if estimate is not None:
        return bootstrap_test(values, estimate[condition.name], smallest, alpha), None
    if values.ndim == 1:
        return seeds_test(values, smallest, alpha, float(bias)), None
    columns = zip(values.T, np.broadcast_to(bias, values.shape[1]), strict=True)
    results = [seeds_test(column, smallest, alpha, float(lost)) for column, lost in columns]
    worst = max(range(len(results)), key=lambda column: (results[column].p, -results[column].effect))
    p_refuted = min(1.0, len(results) * min(result.p_refuted for result in results))
    return replace(results[worst], p_refuted=p_refuted), worst


def _combine(claim: Claim, tested: Mapping[str, tuple[Result, int | None]]) -> Combined:
    return combine({condition.name: tested[condition.name][0] for condition in claim.conditions})
