"""The verdicts of a ledger as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optim_hunter.amendments import Amendment
from optim_hunter.evidence.text import probability

SYMBOLS = {"supported": "✓", "refuted": "✗", "inconclusive": "?", "invalid": "!"}


def summary_lines(ledger: dict[str, Any]) -> Iterator[str]:
    """A line a claim that is no control, then one for all controls."""
    for entry in ledger["claims"]:
        if not entry["control"]:
            where = f"{entry['claim']} on {entry['model']} ({entry['protocol']})"
            causes = "".join(f"; {_cause(partner)}" for partner in entry.get("partners", ()))
            yield f"{SYMBOLS[entry['verdict']]} {where}: {_found(entry)}{causes}"
            yield from (f"    {Amendment(**one)}" for one in entry.get("amendments", ()))
    controls = [entry for entry in ledger["claims"] if entry["control"]]
    right = sum(entry["verdict"] == entry["expected"] for entry in controls)
    if controls:
        yield f"controls: {right} of {len(controls)} have the verdict that was planted"
    for one in ledger["run"].get("unfinished", ()):
        where = f"{one['claim']} on {one['model']} ({one['protocol']})"
        yield f"… {where}: unfinished, {one['measured']} of {one['seeds']} seeds measured"
    for problem in ledger["run"]["store_problems"]:
        yield f"store: {problem}"


def _cause(partner: dict[str, Any]) -> str:
    """A causal partner's verdict, or where it parts."""
    return f"{partner['parting'] or partner['cause']} ({partner['claim']})"


def _found(entry: dict[str, Any]) -> str:
    standing = _standing(entry)
    if entry["p_adjusted"] is None:
        return f"{entry['sentence']}{standing}"
    label = " re-analysis;" if entry["reanalysis"] else ""
    return f"{entry['sentence']};{label} adjusted p {probability(entry['p_adjusted'])}{standing}"


def _standing(entry: dict[str, Any]) -> str:
    """That a claim is another than the one registered, or than the one registered first."""
    amended = f"; amended since {entry['registered']['date']}" if entry["registration"] == "amended" else ""
    earlier = len(entry.get("registered", {}).get("earlier", ()))
    return f"{amended}; registered again, {earlier} earlier" if earlier else amended
