"""Claims of interpretability papers as tests: define one with `Claim`, mark its measure with `claim`, run pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optim_hunter.claim import Claim, Condition, NoValue, Profile, Protocol, Verdict, claim

if TYPE_CHECKING:
    from optim_hunter.models.bridge import bridge
    from optim_hunter.models.registry import open_language_model

__all__ = ["Claim", "Condition", "NoValue", "Profile", "Protocol", "Verdict", "bridge", "claim", "open_language_model"]


def __getattr__(name: str) -> Any:
    """Models at their first use: they import torch, which collecting claims must not do."""
    if name == "bridge":
        from optim_hunter.models.bridge import bridge

        return bridge
    if name == "open_language_model":
        from optim_hunter.models.registry import open_language_model

        return open_language_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
