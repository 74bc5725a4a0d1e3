"""Claim × model: the entries of ledgers as rows, a causal partner below the claim that it stands beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optim_hunter.evidence.lines import SYMBOLS
from optim_hunter.evidence.partners import partners_of
from optim_hunter.evidence.text import estimate, stated

Entry = Mapping[str, Any]
Reason = Callable[[str, str], str]
"""Claim and model → why there is no verdict."""
LONG = 40
"""Characters beyond which a reason that several cells have stands below the table."""


@dataclass(frozen=True)
class Finding:
    """A verdict as the table shows it: beside its word what a reader must know of it, below it what was found.

    What was found is an effect, or the reason why there is none.
    """

    verdict: str
    labels: tuple[str, ...]
    found: str
    has_effect: bool = True

    @property
    def heading(self) -> str:
        """The verdict with its symbol, and the labels."""
        return f"{SYMBOLS[self.verdict]} {'; '.join((self.verdict, *self.labels))}"


@dataclass(frozen=True)
class Cell:
    """A claim on a model: an entry for each protocol, or why there is none."""

    entries: tuple[Entry, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A claim on all models; `below` tells that the row above is of the claim that this one is a partner of."""

    claim: str
    statement: str
    partner_of: str | None
    below: bool
    cells: Mapping[str, Cell]

    @property
    def quantities(self) -> tuple[str, ...]:
        """What must be exceeded for the claim to hold: `gain > 36 units`; once for each way in which it is stated."""
        return tuple(
            dict.fromkeys(
                f"{one['name']} > {stated(one['smallest_effect'])} {one['unit']}"
                for cell in self.cells.values()
                for entry in cell.entries
                for one in entry["conditions"]
                if one["decides"]
            )
        )

    def findings(self, model: str) -> list[Finding]:
        """What the row shows of a model; protocols are named where the row has several."""
        protocols = {entry["protocol"] for cell in self.cells.values() for entry in cell.entries}
        return [_finding(entry, len(protocols) > 1) for entry in self.cells[model].entries]

    def reasons(self, model: str) -> list[str]:
        """Why the row shows no effect on a model: none where it shows one for each protocol."""
        cell = self.cells[model]
        return [one.found for one in self.findings(model) if not one.has_effect] if cell.entries else [cell.reason]


@dataclass(frozen=True)
class Table:
    """The rows of the claims that have a verdict on some model, and what must be said below them.

    `ledgers` says of each ledger where it lies and how it was made.
    """

    models: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    ledgers: tuple[Mapping[str, Any], ...]

    @cached_property
    def repeated_reasons(self) -> Mapping[str, int]:
        """Long reasons that several cells have, numbered: cells name the number, and the reason stands below once."""
        counts = Counter(reason for row in self.rows for model in self.models for reason in row.reasons(model))
        repeated = [reason for reason, count in counts.items() if count > 1 and len(reason) > LONG]
        return {reason: number for number, reason in enumerate(repeated, 1)}

    def in_cell(self, found: str) -> str:
        """What a cell says: an effect or a reason, or the number of the note that has the reason."""
        number = self.repeated_reasons.get(found)
        return f"reason {number} below" if number else found

    def below(self) -> list[str]:
        """What stands below the table: the numbered reasons and the notes."""
        return [f"Reason {number}: {reason}" for reason, number in self.repeated_reasons.items()] + list(self.notes)


def rows_of(entries: Sequence[Entry], models: Sequence[str], reason: Reason) -> list[Row]:
    """A row for each claim that has an entry.

    Args:
        entries: of ledgers, on these models; where two are of one claim, model and protocol, the later counts.
        models: the columns.
        reason: says why a cell is empty.
    """
    latest = list({(one["claim"], one["model"], one["protocol"]): one for one in entries}.values())
    by_claim: dict[str, list[Entry]] = {}
    for entry in latest:
        by_claim.setdefault(entry["claim"], []).append({**entry, "partners": partners_of(entry, latest)})
    return [
        Row(
            claim_id,
            by_claim[claim_id][-1]["statement"],
            by_claim[claim_id][-1].get("partner_of"),
            below,
            {model: _cell(claim_id, model, by_claim[claim_id], reason) for model in models},
        )
        for claim_id, below in _partners_below(by_claim)
    ]


def _partners_below(by_claim: Mapping[str, Sequence[Entry]]) -> Iterator[tuple[str, bool]]:
    """Claims in their order, but each partner right after its claim, where that is among them."""
    partner_of = {claim_id: entries[-1].get("partner_of") for claim_id, entries in by_claim.items()}
    for claim_id in by_claim:
        if partner_of[claim_id] not in by_claim:
            yield claim_id, False
            yield from ((other, True) for other in by_claim if partner_of[other] == claim_id)


def _cell(claim_id: str, model: str, entries: Iterable[Entry], reason: Reason) -> Cell:
    found = tuple(entry for entry in entries if entry["model"] == model)
    return Cell(found) if found else Cell(reason=reason(claim_id, model))


def _finding(entry: Entry, name_protocol: bool) -> Finding:
    labels = [entry["protocol"]] if name_protocol else []
    labels += ["control"] if entry["control"] else []
    labels += [entry["registration"]] if entry["registration"] != "registered" else []
    labels += ["re-analysis"] if entry["reanalysis"] else []
    labels += [one["cause"] for one in entry["partners"] if one["parting"]]
    if entry["effect"] is None or entry["verdict"] == "invalid":
        reason = str(entry["sentence"]).removeprefix(f"{entry['verdict']}: ")
        return Finding(entry["verdict"], tuple(labels), reason, has_effect=False)
    return Finding(entry["verdict"], tuple(labels), _effect(entry))


def _effect(entry: Entry) -> str:
    """The effect of the condition that decides with its interval."""
    effect, interval = estimate(entry["effect"], entry["interval"])
    several = sum(one["decides"] for one in entry["conditions"]) > 1
    name = f"{entry['decisive_condition']} " if several else ""
    return f"{name}{effect}{f' ({interval})' if interval else ''}, n = {entry['n']}"
