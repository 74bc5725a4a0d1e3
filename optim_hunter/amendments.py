"""What changed of a claim since it was registered, part by part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CODE = "the measure's code"
UNKNOWN = "not kept when it was registered"
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
        return f"{self.part}: {self.was or 'not stated'} → {self.now or 'not stated'}"


def amendments(registered: Mapping[str, Any], definition: Mapping[str, Any], code: str) -> tuple[Amendment, ...]:
    """What differs between an entry of the lock and a claim's definition with its measure's code as they are now."""
    if "definition" not in registered:
        return (Amendment("definition", UNKNOWN, "as the claim states it"),)
    was, now = registered["definition"], _plain(definition)
    changed = (*_changed(_by_name(was), _by_name(now)), *_reordered(was, now))
    if registered["measure"] != code:
        changed += (Amendment(CODE, registered["measure"], code),)
    return changed


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
        if before != after and sorted(before) == sorted(after):
            yield Amendment(f"order of {part}", _text(before), _text(after))


def _text(value: Any) -> str | None:
    """A value as the hash sees it: 1 and 1.0 differ."""
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
