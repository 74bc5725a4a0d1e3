"""A claim beside its causal partner: what each says of the same model under the same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optim_hunter.claim import Verdict
from optim_hunter.models import registry

DECIDED = {Verdict.SUPPORTED, Verdict.REFUTED}

Entry = Mapping[str, Any]


def partners_of(entry: Entry, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The verdicts of a ledger entry's causal partners, what each says of the cause, and where they part from its own.

    They are those on the same model under the same protocol. Where the claim is about the linear model and its partner
    about language models, the verdict on each trained one stands beside it.
    """
    if entry["control"]:
        return []
    partners = [one for one in entries if one.get("partner_of") == entry["claim"] and not one["control"]]
    return [
        {key: one[key] for key in ("claim", "model", "protocol", "verdict")}
        | {"cause": cause(entry, one), "parting": parting(entry, one)}
        for one in partners
        if _place(one) == _place(entry) or _of_another_kind(entry, one)
    ]


def cause(correlation: Entry, partner: Entry) -> str:
    """The partner's verdict in few words: by which condition it is refuted, and of what else it speaks, if it does."""
    said = f"cause {partner['verdict']}"
    if partner["verdict"] == Verdict.REFUTED:
        said += f" by its “{partner['decisive_condition']}”"
    if _of_another_candidate(correlation, partner):
        said += f" of another candidate, {candidate_name(partner)}"
    return said if partner["model"] == correlation["model"] else f"{said} on {partner['model']}"


def parting(correlation: Entry, partner: Entry) -> str | None:
    """Where one of the two holds and the other does not, in words.

    An undecided one parts from nothing, and neither does one that was found to be about another candidate.
    """
    undecided = {correlation["verdict"], partner["verdict"]} != {str(verdict) for verdict in DECIDED}
    if undecided or _of_another_candidate(correlation, partner):
        return None
    return f"correlation {correlation['verdict']}, {cause(correlation, partner)}"


def candidate_name(entry: Entry) -> str:
    """What a search found, as its claim calls it, or by layer and head."""
    place = entry["candidate"]
    return str(entry.get("candidate_name") or (f"L{place[0]}H{place[1]}" if len(place) == 2 else place[0]))


def _of_another_kind(correlation: Entry, partner: Entry) -> bool:
    kinds = {registry.kind(one["model"]) for one in (correlation, partner)}
    trained = not partner["model"].startswith(registry.RANDOM)
    return trained and kinds in ({"linear", "language"}, {"linear", "one-layer"})


def _of_another_candidate(correlation: Entry, partner: Entry) -> bool:
    found = correlation.get("candidate"), partner.get("candidate")
    return all(one is not None for one in found) and found[0] != found[1]


def _place(entry: Entry) -> tuple[str, str]:
    return entry["model"], entry["protocol"]
