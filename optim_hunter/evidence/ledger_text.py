"""A ledger as JSON text, of which entries and prompts are encoded once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from optim_hunter.evidence.exchanges import PROMPTS

CLAIMS, PARTNERS = "claims", "partners"


class LedgerText:
    """Encodes a ledger after each of its verdicts; entries and prompts that it knows are not encoded again.

    An entry that it knows may get another list of partners. Any other change to it, or to that list in place, is not
    seen.
    """

    def __init__(self) -> None:
        # By id. The entry is held beside its text, so that no other entry gets its id.
        self._entries: dict[int, tuple[Mapping[str, Any], Any, str]] = {}
        self._prompt = cache(_encoded)

    def of(self, content: Mapping[str, Any]) -> str:
        """The text of a ledger's content.

        Raises:
            ValueError: a number in it is not finite.
        """
        return _braced((name, self._part(name, value)) for name, value in content.items())

    def _part(self, name: str, value: Any) -> str:
        if name == CLAIMS:
            return f"[{', '.join(map(self._entry, value))}]"
        if name == PROMPTS:
            return _braced((key, self._prompt(text)) for key, text in value.items())
        return _encoded(value)

    def _entry(self, entry: Mapping[str, Any]) -> str:
        known, partners = self._entries.get(id(entry)), entry.get(PARTNERS)
        if known is None or known[1] != partners:
            known = self._entries[id(entry)] = entry, partners, _encoded(entry)
        return known[2]


def _encoded(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _braced(parts: Iterable[tuple[str, str]]) -> str:
    """A JSON object of names and encoded values."""
    return "{" + ", ".join(f"{_encoded(key)}: {text}" for key, text in parts) + "}"
