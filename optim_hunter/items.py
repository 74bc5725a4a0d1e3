"""The items of a run: which case and seed each has, their order, and the worker that runs them."""

from __future__ import annotations

import re
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

GROUP_IN_ID = re.compile(r"(?<=\])@[^\]]*$")
"""What pytest-xdist appends to an item's id under `--dist loadgroup`."""


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


def worker_group(case: Case) -> str:
    """The folder of a claim: its claims share passes, controls and families, and so should share a worker."""
    return case.claim.id.partition("/")[0]


def without_worker_group(item_id: str) -> str:
    """The id as it is without pytest-xdist."""
    return GROUP_IN_ID.sub("", item_id)
