"""Which figures a case gets in the report, besides the strips of its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optim_hunter.claim import Condition
from optim_hunter.evidence import figures
from optim_hunter.run import Decision
from optim_hunter.stats.decision import SeedNumber, per_seed
from optim_hunter.stats.pooled import UndefinedStatisticError


def figures_of(
    decision: Decision, numbers: Sequence[SeedNumber], profiles: Sequence[Mapping[str, float]]
) -> list[dict[str, Any]]:
    """A figure of all candidates for a search, and the mean profile of the seeds, each {title, figure}."""
    shown = []
    found = [number.values for number in numbers if number.values is not None]
    for condition in decision.case.claim.conditions if decision.case.claim.search and found else ():
        shown += _candidates(decision, condition, found)
    if profiles:
        labels = list(profiles[0])
        values = np.mean([[profile[label] for label in labels] for profile in profiles], axis=0)
        title = f"Profile, mean over {len(profiles)} seeds"
        published = decision.case.published_profile
        if published is not None:
            title += ", beside the published"
            figure = figures.class_bars(labels, values, title, [published[label] for label in labels])
        else:
            draw = figures.class_bars if len(labels) <= 12 else figures.component_bars
            figure = draw(labels, values, title)
        shown.append({"title": title, "figure": figure})
    return shown


def _candidates(decision: Decision, condition: Condition, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A heat map over layers and heads, or bars for candidates in a row; nothing where the statistic is undefined."""
    try:
        mean = np.mean(per_seed(condition, found), axis=0)
    except UndefinedStatisticError:
        return []
    every, lowest = "head" if mean.ndim > 1 else "candidate", ""
    if mean.ndim > 2:  # each head is held against every other
        mean, lowest = mean.min(-1), " over its strongest rival"
    title = f"{condition.name} of every {every}{lowest}, mean over {len(found)} seeds ({condition.unit})"
    if mean.ndim == 2:
        marked = decision.tested.candidate if decision.tested else None
        return [{"title": title, "figure": figures.head_map(mean, title, marked)}]
    names = decision.case.claim.candidates or [str(place) for place in range(len(mean))]
    return [{"title": title, "figure": figures.component_bars(names, mean, title)}]
