"""What a model and regressors predict from the same examples for the same test case, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError
from optim_hunter.evidence.fragment import Section, Table
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.observe.plan import unite
from optim_hunter.observe.predictions import Predictors
from optim_hunter.observe.store import open_store
from optim_hunter.subjects.regressor import NEED
from optim_hunter.tasks.regression import Episode, RegressionTask, draw
from optim_hunter.tasks.results import RegressorCallable, RegressorFunction

LISTED_ANSWERS = 40
"""Answers without a number that are listed; the others are counted."""


@dataclass(frozen=True)
class SeedPredictions:
    """One number a seed, NaN where there is none; `missing` says why, seed by seed."""

    values: Float[np.ndarray, "seed"]
    missing: Mapping[int, str]


def answers(seen: Sequence[RegressionObservation]) -> SeedPredictions:
    """The model's answers, read strictly from their first line."""
    return _gathered({one.episode.seed: partial(getattr, one, "prediction") for one in seen})


def predictions(
    regressors: Sequence[RegressorCallable], task: RegressionTask, seeds: Sequence[int]
) -> dict[str, SeedPredictions]:
    """What each regressor predicts, by name, from the examples that stand in the model's prompt.

    Those of the table are recalled from the store or fitted on all cores, others are called one by one.

    Raises:
        UserError: two regressors have the same name, or one has none.
    """
    named = {_name(regressor): regressor for regressor in regressors}
    if len(named) < len(regressors):
        raise UserError(f"two regressors are called alike: give each once ({', '.join(map(_name, regressors))})")
    tabled = [name for name, one in named.items() if isinstance(one, RegressorFunction)]
    predictors = Predictors(tabled, unite([(task, {NEED}, seeds)]), open_store(None), NEED)
    return {
        name: _recalled(predictors, name, task, seeds) if name in tabled else _called(one, task, seeds)
        for name, one in named.items()
    }


def missing_answers(name: str, answered: SeedPredictions, seeds: int) -> Section:
    """How many answers were no number, and what they said."""
    count = len(answered.missing)
    text = (
        f"{count} of {seeds} answers of {name} are no number, read strictly from their first line; they count as "
        "missing wherever an error or a correlation is shown, and are listed here."
        if count
        else f"All {seeds} answers of {name} are numbers, read strictly from their first line."
    )
    rows = [[str(seed), reason] for seed, reason in list(answered.missing.items())[:LISTED_ANSWERS]]
    caption = f"The first {len(rows)} of {count}" if count > len(rows) else "All of them"
    return Section("Answers without a number", text, tables=[Table(caption, ["seed", "why"], rows)] if rows else [])


def _name(regressor: RegressorCallable) -> str:
    name = getattr(regressor, "__name__", None)
    if not isinstance(name, str):
        raise UserError(f"{regressor!r} has no __name__: give functions such as those of sklearn_regressors")
    return name


def _recalled(predictors: Predictors, name: str, task: RegressionTask, seeds: Sequence[int]) -> SeedPredictions:
    return _gathered({seed: partial(_look_up, predictors.predictions(task, seed), name) for seed in seeds})


def _look_up(fitted: Mapping[str, float], name: str) -> float:
    return fitted[name]


def _called(regressor: RegressorCallable, task: RegressionTask, seeds: Sequence[int]) -> SeedPredictions:
    return _gathered({seed: partial(_call, regressor, draw(task, seed)) for seed in seeds})


def _call(regressor: RegressorCallable, episode: Episode) -> float:
    gold = np.array([episode.gold])
    result = regressor(episode.features, episode.outputs, episode.test_features[None], gold, random_state=episode.seed)
    if np.isnan(result.y_predict[0]):
        raise NoValue("; ".join(map(str, result.metadata.get("missing", []))) or "it gave NaN")
    return float(result.y_predict[0])


def _gathered(by_seed: Mapping[int, Callable[[], float]]) -> SeedPredictions:
    """The numbers of all seeds, and why some have none."""
    values, missing = [], {}
    for seed, ask in by_seed.items():
        try:
            values.append(ask())
        except NoValue as reason:
            values.append(np.nan)
            missing[seed] = str(reason)
    return SeedPredictions(np.array(values), missing)
