"""A decision in one sentence, with its numbers."""

from __future__ import annotations

from optim_hunter.claim import MINIMUM_SEEDS, Condition, Verdict
from optim_hunter.evidence.text import estimate, probability, stated
from optim_hunter.run import Decision
from optim_hunter.stats.conditions import Result
from optim_hunter.stats.decision import Tested
from optim_hunter.stats.equivalence import equivalence_p

SIDES = {Verdict.SUPPORTED: "lies above", Verdict.REFUTED: "lies below"}


def sentence_of(decision: Decision) -> str:
    """What was found, or why nothing was."""
    tested = decision.tested
    if tested is None or decision.reason:
        return f"{decision.verdict}: {decision.reason}"
    condition = next(one for one in decision.case.claim.conditions if one.name == tested.combined.decisive)
    result = tested.conditions[condition.name]
    found = _found(condition, result)
    settle = f"; some {decision.seeds_to_settle:,} seeds would likely settle it" if decision.seeds_to_settle else ""
    smallest = f"the smallest effect {stated(condition.smallest_effect)}"
    looked = f", looked at after each of {len(tested.roles)} out of {len(decision.case.seeds)} seeds"
    counted = f"(n = {result.n}{looked if decision.looks else ''})"
    if result.n < MINIMUM_SEEDS:
        return f"{decision.verdict}: {result.n} numbers are fewer than {MINIMUM_SEEDS}; {found} so far{settle}"
    if decision.losses_change:
        losses = f"scoring the {tested.missing} missing seeds as losses changes the verdict"
        return f"{decision.verdict}: {found}, {smallest} (n = {result.n}); {losses}"
    side = SIDES.get(decision.verdict, "is not clearly on one side of")
    equal = "" if decision.looks else _equivalence(condition, tested)
    return f"{decision.verdict}: {found} {side} {smallest} {counted}{equal}{settle}"


def _equivalence(condition: Condition, tested: Tested) -> str:
    """Whether the effect is as good as none, where the condition asks for that."""
    if not condition.equivalence:
        return ""
    p = equivalence_p(tested.values[condition.name], condition.equivalence)
    return f"; two-sided equivalence within ± {stated(condition.equivalence)}: p {probability(p)}"


def _found(condition: Condition, result: Result) -> str:
    effect, interval = estimate(result.effect, result.interval)
    between = f" ({interval})" if interval else ""
    return f"{condition.name} {effect}{between} {condition.unit}"
