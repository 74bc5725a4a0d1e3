"""What is asked of a pass: of each seed of a task what the collected claims need of it, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from optim_hunter.tasks.regression import RegressionTask

Asked = Mapping[int, Set[str]]
"""Seed → what some claim wants to see of it."""

Plan = Mapping[RegressionTask, Asked]


def unite(wanted: Iterable[tuple[RegressionTask, Set[str], Iterable[int]]]) -> dict[str, Plan]:
    """One plan a data set and template, so that each prompt is run once whatever number of claims looks at it."""
    plans: dict[str, dict[RegressionTask, dict[int, frozenset[str]]]] = {}
    for task, needs, seeds in wanted:
        asked = plans.setdefault(task.stem, {}).setdefault(task, {})
        for seed in seeds:
            asked[seed] = asked.get(seed, frozenset()) | needs
    return {stem: {**plan} for stem, plan in plans.items()}


def seeds_with(need: str, asked: Asked) -> list[int]:
    """The seeds of which a need is asked, ascending."""
    return sorted(seed for seed, needs in asked.items() if need in needs)


def without(need: str, plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """The same plans where nobody asks for a need; seeds of which nothing else is asked stay."""
    return {
        stem: {task: {seed: needs - {need} for seed, needs in asked.items()} for task, asked in plan.items()}
        for stem, plan in plans.items()
    }


def asks(need: str, plans: Mapping[str, Plan]) -> bool:
    """Whether some claim wants to see it of some seed."""
    return any(seeds_with(need, asked) for plan in plans.values() for asked in plan.values())
