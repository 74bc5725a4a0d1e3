"""What regressors predict from the examples of a task's seeds: fitted in parallel, kept in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.plan import Plan, seeds_with
from optim_hunter.observe.store import Store
from optim_hunter.observe.versions import regressors_engine
from optim_hunter.tasks.regression import RegressionTask, draw
from optim_hunter.tasks.regressors import Fit, TrainingData, fit_all, known


@dataclass(frozen=True)
class Predictions(Mapping[str, float]):
    """What each regressor predicts for one test case, by name.

    Looking at one without a finite prediction raises NoValue with the reason; the others can be looked at all the same.
    """

    finite: Mapping[str, float]
    missing: Mapping[str, str]

    def __getitem__(self, name: str) -> float:
        if name in self.missing:
            raise NoValue(self.missing[name])
        return self.finite[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.finite, *self.missing))

    def __len__(self) -> int:
        return len(self.finite) + len(self.missing)


@dataclass(frozen=True)
class SeedFits:
    """The predictions of a seed: NaN where `missing` has a reason."""

    values: Mapping[str, Float[np.ndarray, "query"]]
    missing: Mapping[str, str]

    def of(self, query: int) -> Predictions:
        """Those for a test case."""
        shown = {name: float(row[query]) for name, row in self.values.items() if name not in self.missing}
        return Predictions(shown, self.missing)


class Predictors:
    """Named regressors over the seeds of plans; `fits` and `taken` count the fits made and those the store had.

    `seeds` are those of a task that are fitted together when the first of them is asked for.
    """

    def __init__(self, names: Sequence[str], plans: Mapping[str, Plan], store: Store | None, need: str) -> None:
        for name in names:
            known(name)
        self.names, self._store = tuple(names), store
        self.seeds = {task: seeds_with(need, asked) for plan in plans.values() for task, asked in plan.items()}
        self.fits = 0
        self.taken = 0
        self._seen: dict[tuple[RegressionTask, int], SeedFits] = {}

    def predictions(self, task: RegressionTask, seed: int, query: int = 0) -> Predictions:
        """What the regressors predict for a seed's query."""
        if (task, seed) not in self._seen:
            self._fit(task, sorted({seed, *self.seeds.get(task, ())}))
        return self._seen[task, seed].of(query)

    def _fit(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        tables = {seed: table_of(task, seed) for seed in seeds if not self._recall(task, seed)}
        for (seed, table), fits in zip(tables.items(), fit_all(self.names, list(tables.values())), strict=True):
            self.fits += len(fits)
            self._seen[task, seed] = self._keep(table, fits, task)

    def _recall(self, task: RegressionTask, seed: int) -> bool:
        """Whether a seed is known, after a look into the store."""
        if (task, seed) not in self._seen and self._store is not None:
            kept = self._store.get(self._key(table_of(task, seed), task))
            if kept is not None:
                self.taken += len(self.names)
                values = {name: kept.arrays[name] for name in self.names}
                self._seen[task, seed] = SeedFits(values, kept.header["missing"])
        return (task, seed) in self._seen

    def _keep(self, table: TrainingData, fits: Mapping[str, Fit], task: RegressionTask) -> SeedFits:
        values = {name: one.values for name, one in fits.items()}
        missing = {name: one.missing for name, one in fits.items() if one.missing is not None}
        if self._store is not None:
            self._store.put(self._key(table, task), {"missing": missing}, values)
        return SeedFits(values, missing)

    def _key(self, table: TrainingData, task: RegressionTask) -> dict[str, Any]:
        """The data as numbers: whatever makes the same table takes the same predictions."""
        digest = hashlib.sha256()
        for array in (table.x_train, table.y_train, table.x_test):
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        drawn = {"corpus": task.dataset, "data": digest.hexdigest(), "seed": table.seed}
        return {"kind": "regressors", **drawn, "names": list(self.names), "engine": regressors_engine()}


def table_of(task: RegressionTask, seed: int) -> TrainingData:
    """The examples of a seed with the test cases of all its queries."""
    episode = draw(task, seed)
    cases = [draw(task, seed, query).test_features for query in range(task.queries_per_seed)]
    return TrainingData(episode.features, episode.outputs, np.array(cases), seed)
