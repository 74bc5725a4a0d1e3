"""The recorded answers of a published run as the subject of claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optim_hunter.models.registry as registry
from optim_hunter.claim import UserError
from optim_hunter.observe.observation import Answer, RegressionObservation
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import RegressionTask, draw


class RecordedSubject:
    """Answers that were recorded in a published run; there are no weights to look into."""

    def __init__(self, name: str) -> None:
        self.name, self.record = name, registry.recorded_predictions(name)

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        missing = sorted(set(seeds) - set(self.record["seeds"]))
        recorded = RegressionTask("friedman_2", examples=self.record["examples"])
        if (task.stem, task.examples) != (recorded.stem, recorded.examples) or task.queries_per_seed > 1 or missing:
            raise UserError(
                f"{self.name} holds seeds {self.record['seeds'][0]}-{self.record['seeds'][-1]} with "
                f"{self.record['examples']} examples and one query: ask for those, of {recorded.stem}"
            )

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> RegressionObservation:
        index = self.record["seeds"].index(seed)
        answer = number_text(self.record["predictions"]["llama"][index])
        episode = draw(task, self.record["seeds"][index], query)
        return RegressionObservation(episode, {"answer": Answer(answer)})

    def close(self) -> None:
        """There are no weights."""

    def describe(self, task: Any) -> dict[str, Any]:  # noqa: ARG002 - the same for all
        source = {"source": self.record["what"], "revision": None, "sha256": None, "licence": None, "note": ""}
        return {"source_of_model": source, "device": None, "dtype": None, "corpus": None}
