"""Another subject, asked as well what it answers where the outputs are permuted among the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from optim_hunter.observe.plan import Plan, seeds_with, unite, without
from optim_hunter.tasks.regression import RegressionTask

NEED = "permuted"


class WithPermuted:
    """Shows beside what a subject shows its answer to the permuted prompt of the same seed."""

    def __init__(self, subject: Any, plans: Mapping[str, Plan]) -> None:
        self._subject = subject
        self._seeds = {task: seeds_with(NEED, asked) for plan in plans.values() for task, asked in plan.items()}

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        self._subject.precheck(task, seeds)
        if asking := [seed for seed in seeds if seed in self._seeds.get(task, ())]:
            self._subject.precheck(permuted(task), asking)

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> Any:
        observation = self._subject.observe(task, seed, query)
        if seed not in self._seeds.get(task, ()):
            return observation
        other = self._subject.observe(permuted(task), seed, query)
        worst = {name: max(error, other.checks.get(name, error)) for name, error in observation.checks.items()}
        shown = {**observation.shown, NEED: other.answer}
        return replace(observation, shown=shown, checks={**other.checks, **worst})

    def attention_row(self, task: RegressionTask, seed: int, layer: int, head: int) -> Any:
        return self._subject.attention_row(task, seed, layer, head)

    def close(self) -> None:
        self._subject.close()

    def describe(self, task: Any) -> dict[str, Any]:
        described: dict[str, Any] = self._subject.describe(task)
        return described


def permuted(task: RegressionTask) -> RegressionTask:
    """The task with its outputs permuted; an answer compares no tokens."""
    return replace(task, outputs="permuted", pair="own")


def with_permuted(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """What the subject itself is asked: the permuted prompts are a task of their own."""
    asking = [(task, seeds_with(NEED, asked)) for plan in plans.values() for task, asked in plan.items()]
    others = unite((permuted(task), {"answer"}, seeds) for task, seeds in asking if seeds)
    return without(NEED, plans) | others
