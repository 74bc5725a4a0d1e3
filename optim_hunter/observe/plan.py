"""What is asked of a pass: the needs of all collected claims, united by data set and task."""

from __future__ import annotations

from collections.abc import Iterable, Set

from optim_hunter.tasks.regression import RegressionTask

Plan = dict[RegressionTask, frozenset[str]]


def unite(wanted: Iterable[tuple[RegressionTask, Set[str]]]) -> dict[str, Plan]:
    """One plan a data set, so that each prompt is run once whatever number of claims looks at it."""
    plans: dict[str, Plan] = {}
    for task, needs in wanted:
        plan = plans.setdefault(task.dataset, {})
        plan[task] = plan.get(task, frozenset()) | needs
    return plans
