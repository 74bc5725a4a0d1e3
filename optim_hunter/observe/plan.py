"""What is asked of a pass: the needs of all collected claims, united by data set, template and task."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from optim_hunter.tasks.regression import RegressionTask


@dataclass(frozen=True)
class Asked:
    """What some claim wants to see of a task, and on which seeds."""

    needs: Set[str]
    seeds: Set[int]


Plan = dict[RegressionTask, Asked]


def unite(wanted: Iterable[tuple[RegressionTask, Set[str], Iterable[int]]]) -> dict[str, Plan]:
    """One plan a data set and template, so that each prompt is run once whatever number of claims looks at it."""
    plans: dict[str, Plan] = {}
    for task, needs, seeds in wanted:
        plan = plans.setdefault(task.stem, {})
        before = plan.get(task, Asked(frozenset(), frozenset()))
        plan[task] = Asked(before.needs | needs, before.seeds | set(seeds))
    return plans
