"""What changed between two runs: verdicts, effects, definitions, models, seeds, versions. Nothing is decided by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optim_hunter.evidence.text import seed_ranges, stated

Entry = Mapping[str, Any]
Ledger = Mapping[str, Any]
Key = tuple[str, str, str, str]

PARTS = {
    "statement": "statement",
    "unit": "unit",
    "alpha": "α",
    "family": "family",
    "decisive_condition": "the condition that decides",
}
"""Of an entry, what tells how a definition changed: the ledger keeps no more of it than its hash."""


@dataclass(frozen=True)
class Pair:
    """A claim on one model under one protocol, and corpus, as each of the two runs found it."""

    key: Key
    before: Entry | None
    after: Entry | None

    @property
    def either(self) -> Entry:
        """The later entry, else the earlier one."""
        found = self.after or self.before
        assert found is not None, "a pair is of one run at least"
        return found

    @property
    def verdict_changed(self) -> bool:
        """Whether both runs have a verdict, and not the same."""
        return bool(self.before and self.after and self.before["verdict"] != self.after["verdict"])

    @property
    def overlap(self) -> bool | None:
        """Whether the two intervals of the effect share a value; None where one of them is lacking."""
        ours, theirs = (one["interval"] if one else None for one in (self.before, self.after))
        if ours is None or theirs is None:
            return None
        return bool(ours[0] <= theirs[1] and theirs[0] <= ours[1])

    @property
    def effect_changed(self) -> bool:
        """Whether the effect is another, be it in the last digit."""
        return bool(self.before and self.after and self.before["effect"] != self.after["effect"])

    @property
    def notes(self) -> tuple[str, ...]:
        """In words, what else is not the same, or that one of the runs lacks the claim."""
        if self.before is None or self.after is None:
            return ("only in the second run" if self.before is None else "only in the first run",)
        return tuple(_notes(self.before, self.after))

    @property
    def changed(self) -> bool:
        """Whether there is anything to say of it."""
        return self.verdict_changed or self.effect_changed or bool(self.notes)


@dataclass(frozen=True)
class Comparison:
    """Two runs: their pairs, those that one of them lacks too, and what differs of the runs themselves."""

    before: Ledger
    after: Ledger
    pairs: tuple[Pair, ...]
    runs: tuple[tuple[str, str, str], ...]

    @property
    def changed(self) -> tuple[Pair, ...]:
        """Pairs of which there is something to say, changed verdicts first, controls last."""
        told = [pair for pair in self.pairs if pair.changed]
        return tuple(sorted(told, key=lambda pair: (not pair.verdict_changed, pair.either["control"])))

    @property
    def verdicts_changed(self) -> int:
        """How many verdicts are not the same in both."""
        return sum(pair.verdict_changed for pair in self.pairs)

    @property
    def summary(self) -> str:
        """In one sentence."""
        both = sum(pair.before is not None and pair.after is not None for pair in self.pairs)
        apart = sum(pair.overlap is False for pair in self.pairs)
        lacking = len(self.pairs) - both
        return (
            f"{_count(self.verdicts_changed, 'verdict')} changed of {both:,} that both runs have; the intervals of "
            f"{_count(apart, 'effect')} do not overlap; {_count(lacking, 'verdict')} only in one run"
        )


def compare(before: Ledger, after: Ledger) -> Comparison:
    """Compare two ledgers: claim by claim, on the same model, protocol and corpus."""
    ours, theirs = ({_key(entry): entry for entry in ledger["claims"]} for ledger in (before, after))
    ours, theirs = _with_corpora(ours, theirs), _with_corpora(theirs, ours)
    pairs = tuple(Pair(key, ours.get(key), theirs.get(key)) for key in dict.fromkeys((*ours, *theirs)))
    return Comparison(before, after, pairs, tuple(_run_changes(before["run"], after["run"])))


def _key(entry: Entry) -> Key:
    corpus = entry["corpus"] or {}
    return entry["claim"], entry["model"], entry["protocol"], str(corpus.get("sha256") or corpus.get("name") or "")


def _with_corpora(entries: Mapping[Key, Entry], others: Mapping[Key, Entry]) -> dict[Key, Entry]:
    """Entries without a corpus, whose model could not be asked, under the one that the other run names for the case."""
    named = {key[:3]: key for key in others if key[3]}
    return {key if key[3] or key in others else named.get(key[:3], key): entry for key, entry in entries.items()}


def _notes(before: Entry, after: Entry) -> Iterator[str]:
    if before["definition_hash"] != after["definition_hash"]:
        parts = [name for part, name in PARTS.items() if before.get(part) != after.get(part)]
        yield f"the claim was amended between the runs{': ' if parts else ''}{', '.join(parts)}"
    if before["smallest_effect"] != after["smallest_effect"]:
        yield f"smallest effect {stated(before['smallest_effect'])}, then {stated(after['smallest_effect'])}"
    if before["seeds"] != after["seeds"]:
        yield f"other seeds: {seed_ranges(before['seeds'])}, then {seed_ranges(after['seeds'])}"
    if before["n"] != after["n"] and before["seeds"] == after["seeds"]:
        yield f"n {before['n']}, then {after['n']}"
    known = before["source_of_model"] and after["source_of_model"]
    if known and _weights(before) != _weights(after):
        yield "the model has other weights"
    if before["candidate"] != after["candidate"]:
        yield f"another candidate: {_place(before)}, then {_place(after)}"
    for name in ("device", "dtype", "registration", "expected"):
        if before[name] != after[name]:
            yield f"{name} {before[name] or 'not stated'}, then {after[name] or 'not stated'}"


def _weights(entry: Entry) -> tuple[Any, ...]:
    return tuple(entry["source_of_model"].get(name) for name in ("source", "revision", "sha256"))


def _place(entry: Entry) -> str:
    return str(entry.get("candidate_name") or entry["candidate"])


def _run_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What differs of two runs: name, before, after."""
    told = {name: (before[name], after[name]) for name in ("command", "commit", "device", "dtype", "finished")}
    told["finished"] = (
        "finished" if before["finished"] else "unfinished",
        "finished" if after["finished"] else "unfinished",
    )
    told |= {name: (before["machine"][name], after["machine"][name]) for name in ("platform", "processor", "cores")}
    names = dict.fromkeys((*before["versions"], *after["versions"]))
    told |= {name: (before["versions"].get(name), after["versions"].get(name)) for name in names}
    for name, (was, now) in told.items():
        if was != now:
            yield name, _said(was), _said(now)


def _said(value: Any) -> str:
    return "not stated" if value is None else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
