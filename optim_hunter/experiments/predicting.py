"""What a model and regressors predict from the same examples for the same test case, seed by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError
from optim_hunter.evidence.fragment import Section, Table
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.tasks import regressors as fitted
from optim_hunter.tasks.regression import Episode
from optim_hunter.tasks.results import RegressorCallable, RegressorFunction

LISTED_ANSWERS = 40
"""Answers without a number that are listed; the others are counted."""


@dataclass(frozen=True)
class Predictions:
    """One number a seed, NaN where there is none; `missing` says why, seed by seed, `warnings` counts those of fits."""

    values: Float[np.ndarray, "seed"]
    missing: Mapping[int, str] = field(default_factory=dict)
    warnings: int = 0


def answers(seen: Sequence[RegressionObservation]) -> Predictions:
    """The model's answers, read strictly from their first line."""
    values, missing = [], {}
    for one in seen:
        try:
            values.append(one.prediction)
        except NoValue as reason:
            values.append(np.nan)
            missing[one.episode.seed] = str(reason)
    return Predictions(np.array(values), missing)


def predictions(regressors: Sequence[RegressorCallable], episodes: Sequence[Episode]) -> dict[str, Predictions]:
    """What each regressor predicts, by name, from the examples that stand in the model's prompt.

    Those of the table are fitted on all cores, others are called one by one.

    Raises:
        UserError: two regressors have the same name, or one has none.
    """
    names = [_name(regressor) for regressor in regressors]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"two regressors are called {twice[0]!r}: name each once")
    tabled = [name for name, one in zip(names, regressors, strict=True) if isinstance(one, RegressorFunction)]
    fits = _fits(tabled, episodes) if tabled else {}
    return {
        name: fits[name] if name in fits else _called(one, episodes)
        for name, one in zip(names, regressors, strict=True)
    }


def missing_answers(name: str, answered: Predictions, seeds: int) -> Section:
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


def _fits(names: Sequence[str], episodes: Sequence[Episode]) -> dict[str, Predictions]:
    tables = [fitted.Table(one.features, one.outputs, one.test_features[None], one.seed) for one in episodes]
    by_seed = fitted.fit_all(names, tables)
    found = {}
    for name in names:
        missing = {
            episode.seed: fit[name].missing or ""
            for episode, fit in zip(episodes, by_seed, strict=True)
            if fit[name].missing is not None
        }
        warned = sum(sum(fit[name].warnings.values()) for fit in by_seed)
        found[name] = Predictions(np.array([fit[name].values[0] for fit in by_seed]), missing, warned)
    return found


def _called(regressor: RegressorCallable, episodes: Sequence[Episode]) -> Predictions:
    values, missing = [], {}
    for one in episodes:
        gold = np.array([one.gold])
        result = regressor(one.features, one.outputs, one.test_features[None], gold, random_state=one.seed)
        values.append(float(result.y_predict[0]))
        if np.isnan(values[-1]):
            missing[one.seed] = "; ".join(map(str, result.metadata.get("missing", []))) or "it gave NaN"
    return Predictions(np.array(values), missing)
