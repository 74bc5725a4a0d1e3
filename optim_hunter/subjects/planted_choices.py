"""Controls of claims about held-out stories: linear models of stories of a known rule, beside the rule itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from optim_hunter.observe.store import Store
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.planted_choices import CHOICES, PlantedChoices, planted_choices

if TYPE_CHECKING:
    from optim_hunter.observe.choices import ChoiceObservation, LinearChooser
    from optim_hunter.observe.resampled import Chooser

RULE_VIEWS = ("window", "story")
"""Views of a language model, in whose place the rule stands."""


class RuleChooser:
    """A fitted chooser, and the rule's own probabilities in the place of a language model's."""

    def __init__(self, planted: PlantedChoices, task: ChoiceTask, store: Store | None) -> None:
        from optim_hunter.observe.choices import LinearChooser

        self._planted = planted
        self.linear: LinearChooser = LinearChooser(planted.corpus, task, store)

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of a part of the held-out stories."""
        from optim_hunter.observe.choices import with_views

        seen = self.linear.observe(seed)
        choices = np.tile(np.arange(CHOICES), len(seen.story) // CHOICES)
        said = self._planted.log_probabilities[seen.story, choices]
        return with_views(seen, {view: said for view in self.linear.task.views if view in RULE_VIEWS}, {})


class PlantedChoicesSubject:
    """Stories of a planted rule, made for the group of words that a task asks for."""

    def __init__(self, name: str, store: Store | None) -> None:
        self._name, self._store = name, store
        self._choosers: dict[ChoiceTask, RuleChooser] = {}
        self._shown: dict[ChoiceTask, Chooser] = {}

    def precheck(self, task: ChoiceTask, seeds: Sequence[int]) -> None:
        linear = self._chooser(task).linear
        linear.split.part(task, max(task.parts(seeds)))

    def observe(self, task: ChoiceTask, seed: int | None, query: int) -> Any:  # noqa: ARG002 - stories have no queries
        self._chooser(task)
        return self._shown[task].observe(seed)

    def close(self) -> None:
        """Corpus and fits are small."""

    def describe(self, task: ChoiceTask) -> dict[str, Any]:
        fits = [chooser.linear for chooser in self._choosers.values()]
        work = {"fits": sum(fit.fits for fit in fits), "from_store": sum(fit.taken for fit in fits)}
        linear = self._chooser(task).linear
        corpus = linear.corpus.described | linear.provenance()
        return {"source_of_model": None, "device": "cpu", "dtype": "float64", "corpus": corpus, "work": work}

    def _chooser(self, task: ChoiceTask) -> RuleChooser:
        from optim_hunter.observe.resampled import resampling

        if task not in self._choosers:
            planted = drawn(self._name, task.group)
            self._choosers[task] = chooser = RuleChooser(planted, task, self._store)
            self._shown[task] = resampling(chooser, task)
        return self._choosers[task]


@cache
def drawn(name: str, group: tuple[str, ...]) -> PlantedChoices:
    """The same stories for all tasks of a run."""
    return planted_choices(name, group)
