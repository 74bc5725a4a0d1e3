"""What was fixed before the data was seen: the lock of definitions, and the verdicts that are expected."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optim_hunter.cases import Case
from optim_hunter.claim import Claim, UserError, Verdict

LOCK = "register.lock"
EXPECTED = "expected.toml"


@dataclass(frozen=True)
class Registrations:
    """The folder that holds lock and expectations, and what they say."""

    folder: Path
    locked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expected: Mapping[tuple[str, str, str], Verdict] = field(default_factory=dict)

    def standing(self, claim_id: str, definition_hash: str) -> str:
        """`registered`, `amended` since, or `unregistered`."""
        if claim_id not in self.locked:
            return "unregistered"
        return "registered" if self.locked[claim_id]["definition_hash"] == definition_hash else "amended"

    def check_expected(self, collected: Mapping[str, Claim]) -> None:
        """Refuse an expectation about a claim or protocol that does not exist.

        Raises:
            UserError: names the entry.
        """
        for claim_id, model, protocol in self.expected:
            claim = collected.get(claim_id)
            protocols = {one.name for one in claim.protocols} if claim else {protocol}
            if (claim is None and claim_id not in self.locked) or protocol not in protocols:
                raise UserError(
                    f"{self.folder / EXPECTED}: no claim {claim_id!r} with protocol {protocol!r} (model {model!r}): "
                    "correct the entry or remove it"
                )

    def family_sizes(self, collected: Iterable[Claim]) -> dict[str, int]:
        """Members of each family: those registered, and those collected that are not."""
        families = {claim.id: claim.family for claim in collected}
        families |= {claim_id: entry["family"] for claim_id, entry in self.locked.items()}
        return dict(Counter(families.values()))


def read_registrations(root: Path) -> Registrations:
    """Read `register.lock` and `expected.toml` of a repository, from `claims/` where it has one.

    Raises:
        UserError: one of them cannot be read; names the file and the mistake.
    """
    folder = root / "claims" if (root / "claims").is_dir() else root
    return Registrations(folder, _read_lock(folder / LOCK), _read_expected(folder / EXPECTED))


def write_lock(registrations: Registrations, cases: Iterable[Case]) -> Path:
    """Write the hash of every definition, keeping the date of those that did not change."""
    today = datetime.now(UTC).date().isoformat()
    entries = dict(registrations.locked)
    for claim, digest in {case.claim.id: (case.claim, case.definition_hash) for case in cases}.values():
        if registrations.standing(claim.id, digest) != "registered":
            earlier = _history(entries.get(claim.id))
            entries[claim.id] = {
                "definition_hash": digest, "family": claim.family, "date": today, "earlier": earlier,
            }  # fmt: skip
    path = registrations.folder / LOCK
    path.write_text(json.dumps({"schema": 1, "claims": entries}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def _history(entry: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What was registered before, oldest first: a definition that is replaced is not forgotten."""
    if entry is None:
        return []
    return [*entry.get("earlier", []), {key: entry[key] for key in ("definition_hash", "date")}]


def _read_lock(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        claims: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["claims"]
    except (ValueError, KeyError, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): restore it, or register anew with --claims-register"
        ) from None
    return claims


def _read_expected(path: Path) -> dict[tuple[str, str, str], Verdict]:
    if not path.exists():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("expected", [])
        return {(one["claim"], one["model"], one["protocol"]): Verdict(one["verdict"]) for one in entries}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(
            f"{path}: {error}; each [[expected]] needs claim, model, protocol and verdict ({', '.join(Verdict)})"
        ) from None
