"""What a claim is run on, whatever it is: what all subjects do, and how they are opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Subject(Protocol):
    """Shows one observation a seed, and says what it is."""

    def precheck(self, task: Any, seeds: Sequence[int]) -> None:
        """Raise a UserError before any long work when a task cannot be run on these seeds."""

    def observe(self, task: Any, seed: int | None, query: int) -> Any:
        """The observation of a seed's query; with None that of the whole corpus, where there is one."""

    def close(self) -> None:
        """Free the weights; what was seen stays, and what is asked next opens them again."""

    def describe(self, task: Any) -> dict[str, Any]:
        """Where what it shows of a task comes from, and what all of its work took so far, for the ledger."""


@dataclass(frozen=True)
class Options:
    """How models are opened: `device` and `dtype` as torch names them, `corpus` as `read_corpus` takes it."""

    device: str | None = None
    dtype: str | None = None
    corpus: str | None = None
