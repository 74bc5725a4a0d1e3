"""`register.lock`: what was claimed, on what day and at which commit, before data was seen (docs/registration.md)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optim_hunter.amendments import Amendment, amendments, is_amended
from optim_hunter.cases import Case
from optim_hunter.claim import UserError, definition_hash, helpers_hash

LOCK = "register.lock"
SCHEMAS = (1, 2)
"""The form that is read, and written: the first kept neither commits nor definitions."""

UNCOMMITTED = "uncommitted"

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Registered:
    """What one registration did: the claims that are new in the lock, and what changed of those that it replaced."""

    path: Path
    claims: int
    new: tuple[str, ...]
    amended: Mapping[str, tuple[Amendment, ...]]

    def lines(self) -> Iterator[str]:
        """What was done, for a terminal."""
        yield f"{'registered' if self.new or self.amended else 'unchanged:'} {self.claims} claims in {self.path}"
        if self.new:
            yield f"new: {', '.join(self.new)}"
        for claim_id, changed in self.amended.items():
            yield f"amended: {claim_id}; what was registered before stays under `earlier`"
            yield from (f"  {one}" for one in changed)


def read_lock(path: Path) -> dict[str, Any]:
    """Claim → entry of a lock; empty where there is no file.

    Raises:
        UserError: the file is none, or an entry's definition is not the one of its hash.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] not in SCHEMAS:
            raise ValueError(f"schema {content['schema']} is not known to this version")
        claims: dict[str, Any] = content["claims"]
        for claim_id, entry in claims.items():
            _check(claim_id, entry, {"definition_hash", "date", "family"})
            for one in entry.get("earlier", ()):
                _check(claim_id, one, {"definition_hash", "date"})
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}): restore it, as from git's history") from None
    return claims


def _check(claim_id: str, entry: Entry, needed: Set[str]) -> None:
    """Raise ValueError where a part is lacking, or the definition is not the one of its hash."""
    if lacking := needed - entry.keys():
        raise ValueError(f"{claim_id} has no {sorted(lacking)[0]}")
    digest = entry["definition_hash"]
    if "definition" in entry and definition_hash(entry["definition"], entry["measure"]) != digest:
        raise ValueError(f"the definition of {claim_id} is not the one of its hash")
    if "helpers" in entry and helpers_hash(entry["helpers"]) != entry["helpers_hash"]:
        raise ValueError(f"the helpers of {claim_id} are not those of their hash")


def register(path: Path, cases: Iterable[Case]) -> Registered:
    """Write the definitions of these cases' claims into the lock.

    What has the registered hash keeps its date; what replaces another definition moves that to `earlier`. A commit
    that was not known is looked for in the history of the lock.

    Raises:
        UserError: the lock cannot be read or written.
    """
    before = read_lock(path)
    today, commit = datetime.now(UTC).date().isoformat(), commit_of(path.parent)
    claims = {case.claim.id: case for case in cases}
    entries = before | {
        claim_id: _entry(before.get(claim_id), case, today, commit) for claim_id, case in claims.items()
    }
    _write(path, {claim_id: _with_commits(path, entry) for claim_id, entry in entries.items()})
    amended = {
        claim_id: amendments(before[claim_id], case.claim.definition(), case.measure_code, case.helper_code)
        for claim_id, case in claims.items()
        if claim_id in before and is_amended(before[claim_id], case.definition_hash, case.helper_code)
    }
    return Registered(path, len(claims), tuple(sorted(claims.keys() - before.keys())), amended)


def _entry(before: Entry | None, case: Case, today: str, commit: str) -> dict[str, Any]:
    """A claim as it is now, with what was registered of it before, oldest first."""
    now = {
        "definition_hash": case.definition_hash,
        "family": case.claim.family,
        "definition": case.claim.definition(),
        "measure": case.measure_code,
        "helpers": case.helper_code,
        "helpers_hash": helpers_hash(case.helper_code),
    }
    if before is None:
        return now | {"date": today, "commit": commit, "earlier": []}
    if not is_amended(before, case.definition_hash, case.helper_code):
        return {"commit": UNCOMMITTED, "earlier": []} | dict(before) | now
    replaced = {key: value for key, value in before.items() if key != "earlier"}
    return now | {"date": today, "commit": commit, "earlier": [*before.get("earlier", []), replaced]}


def _with_commits(path: Path, entry: Entry) -> dict[str, Any]:
    """An entry whose unknown commits, and those of its earlier ones, are the first that held them, if any does."""
    filled = {**entry, "commit": _known_commit(path, entry)}
    if "earlier" in entry:
        filled["earlier"] = [_with_commits(path, one) for one in entry["earlier"]]
    return filled


def _known_commit(path: Path, entry: Entry) -> str:
    known = str(entry.get("commit", UNCOMMITTED))
    if known != UNCOMMITTED:
        return known
    search = "log", "--reverse", "--format=%H", f"-S{entry['definition_hash']}", "--", path.name
    return (_git(path.parent, *search) or UNCOMMITTED).splitlines()[0]


def commit_of(folder: Path) -> str:
    """The commit of the repository around a folder of claims.

    `uncommitted` where there is none, the folder is not part of it, or a Python file differs from it.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    held = _git(folder, "ls-files", "--", "*.py")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ":/*.py")
    return commit if commit and held and changed == "" else UNCOMMITTED


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails or is not there."""
    try:
        found = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=30, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def _write(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write the lock beside its place, then move it there: a reader never sees half of it."""
    content = json.dumps({"schema": SCHEMAS[-1], "claims": entries}, indent=1, sort_keys=True, ensure_ascii=False)
    unfinished = path.with_name(f"{path.name}.part")
    try:
        unfinished.write_text(content + "\n", encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): make its folder writable") from None
