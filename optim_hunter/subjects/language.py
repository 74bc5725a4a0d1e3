"""A language model as the subject of claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import optim_hunter.models.registry as registry
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.observe.plan import Plan
from optim_hunter.observe.store import Store
from optim_hunter.subjects.subject import Options
from optim_hunter.tasks.regression import RegressionTask


class LanguageSubject:
    """A language model that runs every prompt once for all claims."""

    def __init__(self, name: str, options: Options, plans: Mapping[str, Plan], store: Store | None) -> None:
        from optim_hunter.observe.engine import Engine
        from optim_hunter.observe.kept import PartStore
        from optim_hunter.observe.regression import RegressionPass

        self.model = registry.open_language_model(name, options.device, options.dtype)
        self.engine, self.kept = Engine(self.model), PartStore(store, self.model)
        self.passes = {stem: RegressionPass(self.engine, plan, self.kept) for stem, plan in plans.items()}

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        self.passes[task.stem].prepare(task, seeds)

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> RegressionObservation:
        if seed is None:
            raise ValueError("a language model is observed seed by seed")
        return self.passes[task.stem].observe(task, seed, query)

    def close(self) -> None:
        self.engine.close()

    def describe(self) -> dict[str, Any]:
        return {
            "source_of_model": asdict(self.model.provenance),
            "device": self.model.device,
            "dtype": self.model.dtype,
            "corpus": None,
            "work": {
                "forward_passes": self.engine.forward_passes,
                "tokens_run": self.engine.tokens_run,
                "from_store": self.kept.taken,
                "batch_seeds": max(one.batch_seeds for one in self.passes.values()),
                "out_of_memory": sum(one.out_of_memory for one in self.passes.values()),
            },
        }
