"""What is asked of a pass: the needs of all collected claims, united by data set and task."""

from __future__ import annotations

from collections.abc import Iterable

from optim_hunter.tasks.regression import RegressionTask

NEEDS = frozenset({"answer", "attribution", "attention"})
"""`answer`: greedy text; `attribution`: direct logit attribution of the pair; `attention`: mass on values."""

Plan = dict[RegressionTask, frozenset[str]]


def unite(wanted: Iterable[tuple[RegressionTask, frozenset[str]]]) -> dict[str, Plan]:
    """One plan a data set, so that each prompt is run once whatever number of claims looks at it."""
    plans: dict[str, Plan] = {}
    for task, needs in wanted:
        plan = plans.setdefault(task.dataset, {})
        plan[task] = plan.get(task, frozenset()) | needs
    return plans
