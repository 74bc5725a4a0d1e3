"""The items of a run: which case and seed each has, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from optim_hunter.cases import Case

VERDICT = "verdict"
"""Ends the id of an item that is a verdict."""

SEED = "seed"
"""The property of a measured item that holds its seed."""

ENTRY = pytest.StashKey[dict[str, Any]]()
"""Where a verdict's item keeps its entry of the ledger."""


IN_JUNIT = ("claim", "model", "protocol", "verdict", "effect", "unit", "smallest_effect", "n", "p_adjusted")
"""Parts of a ledger's entry that are properties of its item in JUnit's XML, beside the interval."""


def junit_properties(entry: dict[str, Any]) -> list[tuple[str, Any]]:
    """What JUnit's XML says of a verdict; what there is none of is left out."""
    low, high = entry["interval"] or (None, None)
    found = {name: entry[name] for name in IN_JUNIT} | {"interval_low": low, "interval_high": high}
    return [(name, value) for name, value in found.items() if value is not None]


def case_of(item: pytest.Item) -> tuple[Case | None, int | None]:
    """The case and seed of an item; no case for an ordinary test, no seed for a verdict."""
    callspec = getattr(item, "callspec", None)
    parameters = callspec.params if callspec is not None else {}
    return parameters.get("claim_case"), parameters.get("claim_seed")


def sort_items(items: list[pytest.Item], models: Iterable[str]) -> None:
    """Ordinary tests first, then controls, then model by model as they come in `models`, verdicts after their seeds."""
    order = {model: index for index, model in enumerate(dict.fromkeys(models))}

    def key(item: pytest.Item) -> tuple[bool, bool, int, bool]:
        case, seed = case_of(item)
        if case is None:
            return False, False, 0, False
        return True, not case.is_control, order[case.model], seed is None

    items.sort(key=key)
