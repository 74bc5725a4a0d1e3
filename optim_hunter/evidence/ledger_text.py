"""A ledger as JSON text, of which only what is new is encoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from optim_hunter.evidence.exchanges import PROMPTS

CLAIMS, PARTNERS = "claims", "partners"


class LedgerText:
    """Encodes a ledger after each of its verdicts; entries and prompts that it knows are not encoded again.

    Of an entry only its partners may change.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Mapping[str, Any], Any, str]] = {}
        self._prompt = lru_cache(None)(_encoded)

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
        kept, partners, text = self._entries.get(id(entry), (None, None, ""))
        if kept is not entry or partners != entry[PARTNERS]:
            text = _encoded(entry)
            self._entries[id(entry)] = entry, entry[PARTNERS], text
        return text


def _encoded(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _braced(parts: Any) -> str:
    return "{" + ", ".join(f"{_encoded(key)}: {text}" for key, text in parts) + "}"
