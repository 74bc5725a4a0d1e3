"""Regressors in the place of a model, and beside one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

import optim_hunter.models.registry as registry
from optim_hunter.observe.observation import Answer, RegressionObservation
from optim_hunter.observe.plan import Plan
from optim_hunter.observe.predictions import Predictors
from optim_hunter.observe.store import Store
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import RegressionTask, draw
from optim_hunter.tasks.regressors import PUBLISHED_REGRESSORS, known

NEED = "regressors"


class WithRegressors:
    """Another subject whose observations show as well what the published regressors predict."""

    def __init__(self, subject: Any, plans: Mapping[str, Plan], store: Store | None) -> None:
        self._subject = subject
        self.predictors = Predictors(PUBLISHED_REGRESSORS, plans, store, NEED)

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        self._subject.precheck(task, seeds)

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> Any:
        observation = self._subject.observe(task, seed, query)
        if seed not in self.predictors.seeds.get(task, ()) or NEED in observation.shown:
            return observation
        predictions = self.predictors.predictions(task, observation.episode.seed, query)
        return replace(observation, shown={**observation.shown, NEED: predictions})

    def attention_row(self, task: RegressionTask, seed: int, layer: int, head: int) -> Any:
        return self._subject.attention_row(task, seed, layer, head)

    def close(self) -> None:
        self._subject.close()

    def describe(self, task: Any) -> dict[str, Any]:
        described = self._subject.describe(task)
        work = dict(described.get("work", {}))
        work["fits"] = work.get("fits", 0) + self.predictors.fits
        work["from_store"] = work.get("from_store", 0) + self.predictors.taken
        return {**described, "work": work}


class RegressorSubject:
    """A regressor in the place of a model: it answers with its prediction, written as prompts write numbers."""

    def __init__(self, name: str, plans: Mapping[str, Plan], store: Store | None) -> None:
        registry.check_name(name)
        self.name = name.removeprefix(registry.REGRESSOR)
        self.predictors = Predictors([self.name], plans, store, "answer")

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        draw(task, seeds[0])

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> RegressionObservation:
        """Raises NoValue where it gives no finite prediction."""
        if seed is None:
            raise ValueError("a regressor is observed seed by seed")
        answer = number_text(self.predictors.predictions(task, seed, query)[self.name])
        return RegressionObservation(draw(task, seed, query), {"answer": Answer(answer)})

    def close(self) -> None:
        """There are no weights."""

    def describe(self, task: Any) -> dict[str, Any]:  # noqa: ARG002 - the same for all
        fitted = f"scikit-learn {metadata.version('scikit-learn')}"
        note = f"{known(self.name).what}; fitted to the examples of each prompt"
        source = {"source": fitted, "revision": None, "sha256": None, "licence": "BSD-3-Clause", "note": note}
        work = {"fits": self.predictors.fits, "from_store": self.predictors.taken}
        return {"source_of_model": source, "device": "cpu", "dtype": "float64", "corpus": None, "work": work}
