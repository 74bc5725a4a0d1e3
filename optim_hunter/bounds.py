"""The bounds that a repository declares for its claims, between which `--claims-sequential` takes their numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optim_hunter.claim import Claim, UserError

BOUNDS = "bounds.toml"

Bounds = tuple[float, float]


def read_bounds(folder: Path) -> dict[tuple[str, str], Bounds]:
    """(claim, condition) → bounds, from `bounds.toml`; empty where there is none.

    Raises:
        UserError: the file cannot be read, or an entry lacks a part; names the file.
    """
    path = folder / BOUNDS
    if not path.exists():
        return {}
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("bounds", [])
        return dict(map(_entry, entries))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(
            f"{path}: {error}; each [[bounds]] needs claim, condition, low, high and clipped (what is clipped)"
        ) from None


def _entry(entry: Mapping[str, Any]) -> tuple[tuple[str, str], Bounds]:
    if not str(entry["clipped"]).strip():
        raise ValueError(f"{entry['claim']}: it is not said what is clipped")
    return (str(entry["claim"]), str(entry["condition"])), (float(entry["low"]), float(entry["high"]))


def check_bounds(bounds: Mapping[tuple[str, str], Bounds], claims: Iterable[Claim]) -> None:
    """Hold bounds to the claims that they are about; those of claims that were not collected stay unchecked.

    Raises:
        UserError: a claim has no such quantity, or its smallest effect lies outside.
    """
    collected = {claim.id: claim for claim in claims}
    for (claim_id, name), (low, high) in bounds.items():
        quantities = {one.name: one for one in collected[claim_id].quantities} if claim_id in collected else {}
        if claim_id in collected and name not in quantities:
            raise UserError(f"{BOUNDS}: {claim_id!r} has no quantity {name!r}: correct the entry or remove it")
        if quantities and not low < quantities[name].smallest_effect < high:
            raise UserError(
                f"{BOUNDS}: the smallest effect of {claim_id!r}, {name!r}, does not lie between {low:g} and {high:g}"
            )
