"""A claim beside its causal partner: what each says of the same model under the same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optim_hunter.claim import Verdict

DECIDED = {Verdict.SUPPORTED, Verdict.REFUTED}

Entry = Mapping[str, Any]


def partners_of(entry: Entry, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The verdicts of a ledger entry's causal partners, and where they part from its own.

    They are those on the same model under the same protocol. A partner that runs on other models than the claim does
    stands beside each of its entries.
    """
    if entry["control"]:
        return []
    own = {one["model"] for one in entries if one["claim"] == entry["claim"]}
    partners = [one for one in entries if one.get("partner_of") == entry["claim"] and not one["control"]]
    beside = [one for one in partners if one["model"] not in own or _place(one) == _place(entry)]
    return [
        {**{key: one[key] for key in ("claim", "model", "protocol", "verdict")}, "parting": parting(entry, one)}
        for one in beside
    ]


def parting(correlation: Entry, cause: Entry) -> str | None:
    """Where one of the two holds and the other does not, in words; an undecided one parts from nothing."""
    if {correlation["verdict"], cause["verdict"]} != {str(verdict) for verdict in DECIDED}:
        return None
    decisive = f" by its condition “{cause['decisive_condition']}”" if cause["verdict"] == Verdict.REFUTED else ""
    return f"correlation {correlation['verdict']}, cause {cause['verdict']}{decisive}"


def _place(entry: Entry) -> tuple[str, str]:
    return entry["model"], entry["protocol"]
