"""A decision as an entry of the ledger: plain JSON data, free of NaN."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from optim_hunter.cases import Case
from optim_hunter.claim import Condition, Verdict
from optim_hunter.evidence.exchanges import exchanges_of
from optim_hunter.evidence.pictures import figures_of
from optim_hunter.evidence.sentences import sentence_of
from optim_hunter.run import Decision, Run
from optim_hunter.stats.decision import SeedNumber, Tested
from optim_hunter.stats.equivalence import equivalence_p
from optim_hunter.stats.opinions import second_opinions
from optim_hunter.stats.sequential import clipped

DESCRIBED = ("corpus", "source_of_model", "device", "dtype")
"""What a subject says of itself."""


def entry_of(
    decision: Decision, run: Run, expected: Verdict | None, registration: Mapping[str, Any], again: str
) -> dict[str, Any]:
    """A decision as a ledger entry: plain JSON data, NaN-free.

    Args:
        decision: the verdict and what it rests on.
        run: holds the numbers, checks and descriptions.
        expected: the verdict that `claims/expected.toml` states, if it does.
        registration: `registered`, `amended` or `unregistered`; what was registered when, and what changed since.
        again: the command that runs this case again.
    """
    case = decision.case
    numbers = run.looked_at(case)
    stated = expected if case.expected is None else case.expected
    return {
        **_claimed(case),
        "verdict": str(decision.verdict),
        "sentence": sentence_of(decision),
        "expected": None if stated is None else str(stated),
        **_effect(decision, numbers),
        "q": None,
        "q_refuted": None,
        "sequential": _sequential(decision, run, numbers),
        "family_size": decision.family_size,
        "seeds_to_settle": decision.seeds_to_settle,
        **_candidate(decision),
        **_seeds(case, numbers, decision.tested),
        **_trust(decision, run, registration),
        **{key: run.described(case).get(key) for key in DESCRIBED},
        "figures": figures_of(decision, run, numbers),
        **exchanges_of(case, run.illustrations),
        "again": again,
    }


def _claimed(case: Case) -> dict[str, Any]:
    """What was claimed, of which model and under which protocol."""
    claim = case.claim
    return {
        "claim": claim.id,
        "model": case.model,
        "protocol": case.protocol.name,
        "protocol_note": case.protocol.note,
        "statement": claim.statement,
        "source": claim.source,
        "published": claim.published,
        "partner_of": claim.partner_of or None,
        "alpha": claim.alpha,
        "family": claim.family,
    }


def _sequential(decision: Decision, run: Run, numbers: list[SeedNumber]) -> dict[str, Any] | None:
    """When a claim that was looked at after every seed stopped, or why it was not; None where nobody asked for it."""
    looks = run.looks(decision.case)
    if looks is None:
        return None
    if isinstance(looks, str):
        return {"obstacle": looks}
    return {"seeds_looked_at": len(numbers), "settled": run.settled(decision.case) is not None}


def _candidate(decision: Decision) -> dict[str, Any]:
    """What a search found, or the paper named: its place, and its name where the claim gives one."""
    found, names = decision.tested and decision.tested.candidate, decision.case.claim.candidates
    if not found:
        return {"candidate": None}
    return {"candidate": list(found)} | ({"candidate_name": names[found[0]]} if names else {})


def _seeds(case: Case, numbers: list[SeedNumber], tested: Tested | None) -> dict[str, Any]:
    """The seeds, what each gave, and which gave nothing."""
    return {
        "seeds": list(case.seeds),
        "at_registered_seeds": case.at_registered_seeds,
        "reanalysis": case.is_reanalysis,
        "missing": [{"seed": one.seed, "reason": one.missing} for one in numbers if one.values is None],
        "numbers": [number_entry(one, tested) for one in numbers],
    }


def _trust(decision: Decision, run: Run, registration: Mapping[str, Any]) -> dict[str, Any]:
    """Why a reader may believe the numbers: registration, controls, instrument checks."""
    return {
        "definition_hash": decision.case.definition_hash,
        **registration,
        "control": decision.case.is_control,
        "controls": [
            {
                "model": control.model,
                "protocol": control.protocol.name,
                "expected": str(control.expected),
                "verdict": str(verdict),
            }
            for control, verdict in decision.controls
        ],
        "checks": run.check_table(decision.case),
    }


def _effect(decision: Decision, numbers: list[SeedNumber]) -> dict[str, Any]:
    """The decisive condition at the top level, and all of them."""
    tested, claim = decision.tested, decision.case.claim
    decisive = next(one for one in claim.conditions if tested is None or one.name == tested.combined.decisive)
    entries = [
        _condition_entry(one, tested, decides=one in claim.conditions) | _beside(one, decision, numbers)
        for one in claim.quantities
    ]
    top = entries[claim.quantities.index(decisive)]
    return {
        "decisive_condition": decisive.name,
        **{key: top[key] for key in ("effect", "unit", "interval", "smallest_effect")},
        "n": tested.combined.n if tested else 0,
        "p": tested.combined.p if tested else None,
        "p_refuted": tested.combined.p_refuted if tested else None,
        "p_adjusted": decision.p_adjusted,
        "p_refuted_adjusted": decision.p_refuted_adjusted,
        "conditions": entries,
    }


def _condition_entry(condition: Condition, tested: Tested | None, decides: bool) -> dict[str, Any]:
    result = tested.conditions[condition.name] if tested else None
    pooled = {"statistic": condition.statistic, "pooled": tested.pooled.get(condition.name) if tested else None}
    return {
        **(pooled if condition.statistic else {}),
        "name": condition.name,
        "decides": decides,
        "quantity": condition.quantity,
        "unit": condition.unit,
        "smallest_effect": condition.smallest_effect,
        "effect": result.effect if result else None,
        "interval": list(result.interval) if result and result.interval else None,
        "n": result.n if result else 0,
        "p": result.p if result else None,
        "p_refuted": result.p_refuted if result else None,
    }


def _beside(condition: Condition, decision: Decision, numbers: list[SeedNumber]) -> dict[str, Any]:
    """Beside the test of a mean other tests; beside a sequential test its bounds, and how many numbers it clipped."""
    tested, claim, name = decision.tested, decision.case.claim, condition.name
    if tested is None or claim.bootstrap:
        return {}
    if decision.looks is not None:
        bounds = decision.looks.bounds.get(name)
        return {} if bounds is None else {"bounds": list(bounds), "clipped": clipped(bounds, numbers, name)}
    equivalence = _equivalence(condition, tested)
    opinions = second_opinions(tested.values[name], condition.smallest_effect, claim.alpha)
    if opinions is None:
        return equivalence
    parting = opinions.parting(tested.conditions[name], condition.smallest_effect, claim.alpha)
    return equivalence | {"second_opinions": dataclasses.asdict(opinions) | {"parting": list(parting)}}


def _equivalence(condition: Condition, tested: Tested) -> dict[str, Any]:
    """Whether the effect is as good as none, where the condition asks for that."""
    if not condition.equivalence:
        return {}
    p = equivalence_p(tested.values[condition.name], condition.equivalence)
    return {"equivalence": {"margin": condition.equivalence, "p": p}}


def number_entry(number: SeedNumber, tested: Tested | None) -> dict[str, Any]:
    """A seed's numbers as JSON: of a search the found candidate's, of a statistic over seeds the pseudo-value."""
    role = {"role": tested.roles[number.seed]} if tested and "find" in tested.roles.values() else {}
    if number.values is None:
        return {"seed": number.seed, "missing": number.missing, **role}
    if tested is None:
        known = {name: float(value) for name, value in number.values.items() if np.ndim(value) == 0}
    else:
        known = {name: by_seed[number.seed] for name, by_seed in tested.by_seed.items() if number.seed in by_seed}
    return {"seed": number.seed, "values": known, **role}
