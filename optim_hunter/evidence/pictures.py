"""Which figures a case gets in the report, besides the strips of its seeds; controls, without a section, get none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optim_hunter.claim import Condition, Profile
from optim_hunter.evidence import figures
from optim_hunter.evidence.profile_figures import DRAWN
from optim_hunter.models import registry
from optim_hunter.run import Decision, Run
from optim_hunter.stats.decision import SeedNumber, per_seed
from optim_hunter.stats.intervals import LEVEL, Estimate, student
from optim_hunter.stats.pooled import UndefinedStatisticError

Shown = dict[str, Any]
"""A title with the figure under it."""


def figures_of(decision: Decision, run: Run, numbers: Sequence[SeedNumber]) -> list[Shown]:
    """A figure of all candidates for a search, the claim's profiles, and the training curve of a model trained here."""
    case = decision.case
    if case.is_control:
        return []
    found = [number.values for number in numbers if number.values is not None]
    shown, example = [], example_seed(decision)
    for condition in case.claim.conditions if case.claim.search and found else ():
        shown += _candidates(decision, condition, found)
    if example is not None and "attention" in case.claim.needs:
        shown += _row(decision, run, example)
    for profile in case.profiles:
        by_seed = run.illustrations.profile(case, profile)
        if by_seed:
            shown.append(_profile(profile, by_seed, example, bootstrap=case.claim.bootstrap))
    return shown + _training(case.model)


def example_seed(decision: Decision) -> int | None:
    """The seed that stands for all: that confirms, and whose number lies in the middle of the decisive ones."""
    tested = decision.tested
    if tested is None:
        return None
    by_seed = tested.by_seed[tested.combined.decisive]
    confirming = sorted((value, seed) for seed, value in by_seed.items() if tested.roles[seed] == "confirm")
    return confirming[len(confirming) // 2][1]


def _row(decision: Decision, run: Run, seed: int) -> list[Shown]:
    """The attention row of the head that the claim is about, over the tokens of one prompt."""
    assert decision.tested is not None
    place = decision.tested.candidate
    row = run.attention_row(decision.case, seed, *place) if place is not None else None
    if place is None or row is None:
        return []
    title = f"Where L{place[0]}H{place[1]} looks from the last token of seed {seed}: share of its row on each token"
    weights = [round(float(weight), 5) for weight in row.weights]
    return [{"title": title, "row": {"tokens": list(row.tokens), "weights": weights}}]


def _profile(
    profile: Profile, by_seed: Mapping[int | None, Mapping[str, float]], example: int | None, *, bootstrap: bool
) -> Shown:
    labels = list(next(iter(by_seed.values())))
    rows = {seed: [one[label] for label in labels] for seed, one in by_seed.items()}
    seeds = np.array([row for seed, row in rows.items() if seed is not None])
    whole, one = rows.get(None), rows.get(example)
    spread = _resampled(seeds, whole) if bootstrap else student(seeds)
    of = "the whole corpus" if whole else f"mean over {len(seeds)} seeds"
    title = f"{profile.title} ({profile.unit}): {of}, {100 * LEVEL:.0f} % interval"
    title += f"; hollow: seed {example}" if one else ""
    title += "; grey: published" if profile.published else ""
    published = None if profile.published is None else [profile.published[label] for label in labels]
    return {"title": title, "figure": DRAWN[profile.drawn](labels, spread, profile.unit, one, published)}


def _resampled(resamples: np.ndarray, whole: Sequence[float] | None) -> Estimate:
    """The quantiles of a bootstrap distribution around what the corpus itself gave."""
    low, high = np.quantile(resamples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    mean = resamples.mean(axis=0) if whole is None else np.array(whole)
    return Estimate(mean, low, high, np.full(resamples.shape[1], len(resamples)))


def _training(model: str) -> list[Shown]:
    """What training recorded of a model that was trained here."""
    curve = registry.training_curve(model)
    if curve is None:
        return []
    title = "Training of this model: its error on lines that it has not seen, and that of their mean"
    return [{"title": title, "figure": figures.training_curve(curve)}]


def _candidates(decision: Decision, condition: Condition, found: Sequence[Mapping[str, Any]]) -> list[Shown]:
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
