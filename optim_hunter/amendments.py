"""What changed of a claim since it was registered, part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CODE = "the measure's code"
UNKNOWN = "not kept when it was registered"
HELPER = "helper "
NAMED = ("conditions", "shown", "protocols")
"""Parts of a definition that are lists of things with names."""


@dataclass(frozen=True)
class Amendment:
    """One part of a definition that is not what was registered; None where it was, or is, not stated."""

    part: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        if self.part == CODE and self.was != UNKNOWN:
            return f"{CODE} changed"
        if self.part.startswith(HELPER):
            return f"{self.part} {'changed' if self.was and self.now else 'added' if self.now else 'removed'}"
        return f"{self.part}: {self.was or 'not stated'} → {self.now or 'not stated'}"


def amendments(
    registered: Mapping[str, Any], definition: Mapping[str, Any], code: str, helpers: Mapping[str, str] | None
) -> tuple[Amendment, ...]:
    """What differs between an entry of the lock and a claim's definition and code as they are now.

    Helpers are compared where both know them: they were not kept from the beginning.
    """
    if "definition" not in registered:
        return (Amendment("definition", UNKNOWN, "as the claim states it"),)
    was, now = registered["definition"], _plain(definition)
    changed = (*_changed(_by_name(was), _by_name(now)), *_reordered(was, now))
    if registered["measure"] != code:
        changed += (Amendment(CODE, registered["measure"], code),)
    before = registered.get("helpers")
    if before is not None and helpers is not None:
        names = sorted(name for name in before.keys() | helpers.keys() if before.get(name) != helpers.get(name))
        changed += tuple(Amendment(f"{HELPER}{name}", before.get(name), helpers.get(name)) for name in names)
    return changed


def is_amended(registered: Mapping[str, Any], digest: str, helpers: Mapping[str, str]) -> bool:
    """Whether a claim with this hash and these helpers is another than the one in the lock's entry."""
    return bool(registered["definition_hash"] != digest or registered.get("helpers", helpers) != helpers)


def _plain(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition as the lock's JSON gives it back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(definition))
    return plain


def _by_name(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition with its lists of named things as name → thing, so that each is compared with its like."""
    named = {part: {f"'{one['name']}'": one for one in definition[part]} for part in NAMED}
    return {**definition, **named}


def _changed(was: Mapping[str, Any], now: Mapping[str, Any], of: str = "") -> Iterator[Amendment]:
    for part in dict.fromkeys((*now, *was)):
        before, after = was.get(part), now.get(part)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _changed(before, after, f" of {part}{of}" if part not in NAMED else of)
        elif _text(before) != _text(after):
            yield Amendment(f"{part}{of}", _text(before), _text(after))


def _reordered(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Amendment]:
    """The order of named things counts in the hash."""
    for part in NAMED:
        before, after = ([one["name"] for one in definition[part]] for definition in (was, now))
        both = set(before) & set(after)
        if [name for name in before if name in both] != [name for name in after if name in both]:
            yield Amendment(f"order of {part}", _text(before), _text(after))


def _text(value: Any) -> str | None:
    """A value as the hash sees it: 1 and 1.0 differ."""
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
