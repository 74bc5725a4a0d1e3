"""Controls of claims about a replaced token: choosers of a known rule in a language model's place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optim_hunter.observe.store import Store
from optim_hunter.tasks.held_out import ReplacedTokenTask
from optim_hunter.tasks.planted_commas import COMMAS

if TYPE_CHECKING:
    from optim_hunter.observe.replaced import TokenReplacer


class PlantedCommasSubject:
    """Shows what a planted chooser says of windows as they are, and with their last comma replaced."""

    def __init__(self, name: str, store: Store | None) -> None:
        self._planted, self.corpus, self._store = COMMAS[name], COMMAS[name].corpus(name), store
        self._replacers: dict[ReplacedTokenTask, TokenReplacer] = {}

    def precheck(self, task: ReplacedTokenTask, seeds: Sequence[int]) -> None:
        self._replacer(task).prepare(seeds)

    def observe(self, task: ReplacedTokenTask, seed: int | None, query: int) -> Any:  # noqa: ARG002 - no queries here
        return self._replacer(task).observe(seed)

    def close(self) -> None:
        """The corpus is small."""

    def describe(self, task: ReplacedTokenTask) -> dict[str, Any]:
        corpus = self.corpus.described | self._replacer(task).linear.provenance()
        return {"source_of_model": None, "device": "cpu", "dtype": "float64", "corpus": corpus}

    def _replacer(self, task: ReplacedTokenTask) -> TokenReplacer:
        from optim_hunter.observe.choices import LinearChooser
        from optim_hunter.observe.next_words import NextWords
        from optim_hunter.observe.replaced import TokenReplacer

        if task not in self._replacers:
            linear = LinearChooser(self.corpus, task, self._store)
            said = self._planted.log_probabilities
            self._replacers[task] = TokenReplacer(linear, task, lambda *asked: NextWords(said(*asked), {}))
        return self._replacers[task]
