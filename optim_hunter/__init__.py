"""Claims of interpretability papers as tests: define one with `Claim`, mark its measure with `claim`, run pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optim_hunter.claim import Claim, Condition, NoValue, Protocol, Verdict, claim

if TYPE_CHECKING:
    from optim_hunter.models.bridge import bridge

__all__ = ["Claim", "Condition", "NoValue", "Protocol", "Verdict", "bridge", "claim"]


def __getattr__(name: str) -> Any:
    """`bridge` at its first use: it imports torch, which collecting claims must not do."""
    if name != "bridge":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from optim_hunter.models.bridge import bridge

    return bridge
