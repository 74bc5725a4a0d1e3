"""Another subject, asked as well what it answers where the outputs are permuted among the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optim_hunter.observe.plan import Plan, unite
from optim_hunter.tasks.regression import RegressionTask

NEED = "permuted"


class WithPermuted:
    """Shows beside what a subject shows its answer to the permuted prompt of the same seed."""

    def __init__(self, subject: Any, plans: Mapping[str, Plan]) -> None:
        self._subject = subject
        self._tasks = {task for plan in plans.values() for task, asked in plan.items() if NEED in asked.needs}

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        self._subject.precheck(task, seeds)
        if task in self._tasks:
            self._subject.precheck(permuted(task), seeds)

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> Any:
        observation = self._subject.observe(task, seed, query)
        if task not in self._tasks:
            return observation
        other = self._subject.observe(permuted(task), seed, query)
        worst = {name: max(error, other.checks.get(name, error)) for name, error in observation.checks.items()}
        shown = {**observation.shown, NEED: other.answer}
        return replace(observation, shown=shown, checks={**other.checks, **worst})

    def close(self) -> None:
        self._subject.close()

    def describe(self, task: Any) -> dict[str, Any]:
        described: dict[str, Any] = self._subject.describe(task)
        return described


def permuted(task: RegressionTask) -> RegressionTask:
    """The task with its outputs permuted; an answer compares no tokens."""
    return replace(task, outputs="permuted", pair="own")


def asks_permuted(plans: Mapping[str, Plan]) -> bool:
    """Whether some claim wants to see the answer to permuted outputs."""
    return any(NEED in asked.needs for plan in plans.values() for asked in plan.values())


def with_permuted(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """What the subject itself is asked: the permuted prompts are a task of their own."""
    asked = [(task, one.needs, one.seeds) for plan in plans.values() for task, one in plan.items()]
    own = [(task, needs - {NEED}, seeds) for task, needs, seeds in asked]
    return unite([*own, *((permuted(task), {"answer"}, seeds) for task, needs, seeds in asked if NEED in needs)])
