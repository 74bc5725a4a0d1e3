"""The ledger: every verdict of a run with the numbers under it, as one JSON file that is whole at every moment."""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from optim_hunter.claim import UserError, Verdict
from optim_hunter.evidence.exchanges import gather
from optim_hunter.evidence.ledger_text import LedgerText
from optim_hunter.evidence.partners import partners_of
from optim_hunter.evidence.provenance import describe_run
from optim_hunter.stats.families import false_discovery_rates

SCHEMA = 2
NAME = "ledger.json"
MOST = ("batch_seeds",)
"""Of the counts of work those that are no sums."""

Key = tuple[str, str, str]
"""Claim, model and protocol of an entry."""


class Ledger:
    """The evidence of a run in its folder, written as a whole after each verdict.

    It goes on with what a killed run of the same command left there. Entries stand in the order of `planned`, whoever
    decided them first; those that lack are listed as unfinished, with how many seeds `measured` counts for each.
    """

    def __init__(
        self,
        folder: Path,
        command: str,
        planned: Sequence[Mapping[str, Any]] = (),
        measured: Callable[[], Counter[Key]] = Counter,
    ) -> None:
        self.folder, self.planned, self._measured = folder, planned, measured
        self._begun = datetime.now(UTC)
        self._work: dict[str, dict[str, dict[str, int]]] = {}
        self._text = LedgerText()
        if (folder / NAME).exists():
            self.content = read_ledger(folder / NAME)
            self.content["run"].setdefault("resumed", []).append(self._begun.isoformat(timespec="seconds"))
        else:
            self.content = {"schema": SCHEMA, "run": describe_run(command, self._begun), "claims": []}
        self._before, self._seconds = self.content["run"]["work"], self.content["run"]["seconds"] or 0.0

    def add(self, entry: dict[str, Any], work: Mapping[str, Any], problems: Sequence[str] = (), by: str = "") -> None:
        """Add a verdict and write the file.

        Args:
            entry: of `entries.entry_of`; it takes the place of one that was there for the same case.
            work: what each model took so far in the process that decided it.
            problems: files of the store that this process could not use.
            by: the name of that process.
        """
        run = self.content["run"]
        self._work[by] = {model: dict(counts) for model, counts in work.items()}
        run["work"] = _sums([self._before, *self._work.values()])
        run["store_problems"] += [problem for problem in problems if problem not in run["store_problems"]]
        gather(self.content, entry)
        entries = {key_of(one): one for one in (*self.content["claims"], entry)}
        place = {key_of(case): index for index, case in enumerate(self.planned)}
        self.content["claims"] = sorted(entries.values(), key=lambda one: place.get(key_of(one), len(place)))
        for one in self.content["claims"]:
            one["partners"] = partners_of(one, self.content["claims"])
        self.write()

    def finish(self, complete: bool = True) -> None:
        """Write the file for the last time in this process; note the end of the run, unless it was cut short."""
        if complete:
            self.content["run"]["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._note_false_discovery_rates()
        for key in ("device", "dtype"):
            used = {entry[key] for entry in self.content["claims"] if entry[key] and not entry["control"]}
            self.content["run"][key] = ", ".join(sorted(used)) or None
        self.write(indented=True)

    def _note_false_discovery_rates(self) -> None:
        """Each direction on its own, over all verdicts that rest on a test; not over controls and what is invalid."""
        decided = (one for one in self.content["claims"] if not one["control"] and one["verdict"] != Verdict.INVALID)
        tested = [entry for entry in decided if entry["p"] is not None]
        for p, q in (("p", "q"), ("p_refuted", "q_refuted")):
            rates = false_discovery_rates([entry[p] for entry in tested])
            for entry, rate in zip(tested, rates, strict=True):
                entry[q] = rate

    @property
    def unfinished(self) -> list[dict[str, Any]]:
        """What was planned and has no entry, each with the number of its seeds and of those that were measured."""
        decided, measured = {key_of(entry) for entry in self.content["claims"]}, self._measured()
        return [{**case, "measured": measured[key_of(case)]} for case in self.planned if key_of(case) not in decided]

    def write(self, indented: bool = False) -> None:
        """Write the ledger beside its place, then move it there: a reader never sees half of it, nor does a crash.

        Only the last time it is indented, which encodes all of it anew: entries too, whose q is set by then.

        Raises:
            UserError: it cannot be written; what was written before stays.
        """
        run = self.content["run"]
        run["seconds"] = round(self._seconds + (datetime.now(UTC) - self._begun).total_seconds(), 1)
        run["unfinished"] = self.unfinished
        text = json.dumps(self.content, indent=1, allow_nan=False) if indented else self._text.of(self.content)
        try:
            _write_whole(self.folder / NAME, text)
        except OSError as error:
            lost = f"{self.folder / NAME} cannot be written ({error.strerror})"
            raise UserError(f"{lost}: make room for it, and the same command goes on with this run") from None


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def key_of(entry: Mapping[str, Any]) -> Key:
    """What an entry or a planned case is about."""
    return entry["claim"], entry["model"], entry["protocol"]


def _sums(works: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """What each model took in all processes together."""
    sums: dict[str, dict[str, int]] = {}
    for work in works:
        for model, counts in work.items():
            known = sums.setdefault(model, {})
            for name, count in counts.items():
                known[name] = max(known.get(name, 0), count) if name in MOST else known.get(name, 0) + count
    return sums


def read_ledger(path: Path) -> dict[str, Any]:
    """The ledger of a file, or of a run's folder, as JSON data.

    Raises:
        UserError: no such file, or no ledger of the known schema; names the place where it departs from it.
    """
    path = path / NAME if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no ledger ({error}): give the ledger.json of a run") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path} is no ledger of schema {SCHEMA}: give the ledger.json of a run of this version")
    for fault in _validator().iter_errors(content):
        told = f"{fault.json_path.removeprefix('$.')}: {fault.message[:200]}"
        raise UserError(f"{path} is damaged, or of another version ({told}): give the ledger.json of a run as it was")
    return dict(content)


@functools.cache
def _validator() -> Any:
    """Of the ledger's schema."""
    import jsonschema

    schema = resources.files("optim_hunter.data").joinpath("ledger.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(schema))
