"""A language model against regressors: the same examples and the same test case for all, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from optim_hunter.evidence.experiment_figures import method_bars
from optim_hunter.evidence.fragment import Html, Section, Table, Titled, shown
from optim_hunter.evidence.text import interval_text, number, seed_ranges
from optim_hunter.experiments.cap import chosen_seeds
from optim_hunter.experiments.observing import Dataset, dataset_name, observations, task_of
from optim_hunter.experiments.predicting import SeedPredictions, answers, missing_answers, predictions
from optim_hunter.models.language import LanguageModel
from optim_hunter.stats.intervals import Estimate, bootstrap, stacked
from optim_hunter.tasks.results import RegressorCallable

LOW_SQUARED_ERROR = 30_000.0
"""The published list of seeds holds those whose squared error is below this (squared units of the output)."""

SQUARED, ABSOLUTE = "mean squared error, squared output units", "mean absolute error, output units"

HEAVIEST = 5
"""Seeds whose part in the model's squared error is stated."""


@dataclass(frozen=True)
class Comparison:
    """Predictions of all methods on the same seeds; the first is the model."""

    seeds: Sequence[int]
    gold: Float[np.ndarray, "seed"]
    methods: Mapping[str, SeedPredictions]

    @property
    def model(self) -> str:
        """The model's name."""
        return next(iter(self.methods))

    @cached_property
    def common(self) -> Bool[np.ndarray, "seed"]:
        """The seeds on which every method gave a number: means over others could not be compared."""
        return np.isfinite(np.stack([one.values for one in self.methods.values()])).all(axis=0)

    @cached_property
    def errors(self) -> dict[str, Float[np.ndarray, "common_seed"]]:
        """Prediction minus truth by method, on the common seeds."""
        return {name: (one.values - self.gold)[self.common] for name, one in self.methods.items()}

    def squared(self, name: str) -> Float[np.ndarray, "common_seed"]:
        """Squared errors of a method."""
        return self.errors[name] ** 2


def compare_llm_and_regressors(
    dataset: Dataset,
    regressors: Sequence[RegressorCallable],
    seq_len: int,
    batches: int,
    model: LanguageModel,
    random_seeds: Sequence[int] | None = None,
    low_error: float = LOW_SQUARED_ERROR,
) -> Html:
    """Mean squared and mean absolute errors with intervals, and the split into seeds of low and of high error.

    Args:
        dataset: one of `optim_hunter.datasets`.
        regressors: functions such as those of `sklearn_regressors` and `LR_methods`.
        seq_len: examples that the model and every regressor see.
        batches: number of seeds, from 0 on.
        model: as `load_llama_model` gives it.
        random_seeds: other seeds, each once; the first `batches` of them are taken.
        low_error: squared errors of the model below this make the list of seeds of low error.

    Raises:
        UserError: the data set is none of ours, a regressor or seed is named twice, or the prompt does not fit.
    """
    seeds, notes = chosen_seeds(batches, random_seeds)
    seen = observations(model, dataset, seq_len, seeds, {"answer"})
    own = f"{model.name} (the model)"
    methods = {own: answers(seen), **predictions(regressors, task_of(dataset, seq_len), seeds)}
    compared = Comparison(seeds, np.array([one.episode.gold for one in seen]), methods)
    title = f"{model.name} against {len(regressors)} regressors on {dataset_name(dataset)}"
    return shown(title, sections(compared, seq_len, low_error), notes)


def sections(compared: Comparison, examples: int, low_error: float) -> list[Section]:
    """What is shown of a comparison."""
    answered = missing_answers(compared.model, compared.methods[compared.model], len(compared.seeds))
    if not compared.common.any():
        text = "On no seed did every method give a number, so that there is nothing to compare."
        return [Section("Errors", text, tables=[_table(compared)]), answered]
    return [_squared(compared, examples), _absolute(compared), _low_error(compared, low_error), answered]


def _squared(compared: Comparison, examples: int) -> Section:
    estimates = {name: bootstrap(compared.squared(name)) for name in compared.methods}
    names = _ranked(estimates)
    text = (
        f"Every method saw the same {examples} examples and was asked the same test case of each seed. "
        f"{_rank(compared, names)}. {_heaviest(compared.squared(compared.model))}"
    )
    title = "Mean squared error with 90 % intervals (bootstrap over seeds), lowest on top"
    figure = method_bars(names, {"all seeds": _in_order(estimates, names)}, SQUARED, compared.model)
    return Section("Mean squared error by method", text, [Titled(title, figure)], [_table(compared)])


def _heaviest(squared: Float[np.ndarray, "seed"]) -> str:
    """How much of the model's squared error few seeds hold; nothing where there are only few."""
    if len(squared) <= HEAVIEST or not squared.any():
        return ""
    share = 100 * np.sort(squared)[-HEAVIEST:].sum() / squared.sum()
    return f"Squares are dominated by few seeds: the {HEAVIEST} largest hold {number(float(share))} % of the model's."


def _absolute(compared: Comparison) -> Section:
    estimates = {name: bootstrap(np.abs(error)) for name, error in compared.errors.items()}
    names = _ranked(estimates)
    text = (
        f"The same errors without squaring, so that no single seed decides. {_rank(compared, names)}. "
        "Overlapping intervals are no test: the claims compare errors seed by seed."
    )
    title = "Mean absolute error with 90 % intervals (bootstrap over seeds), lowest on top"
    figure = method_bars(names, {"all seeds": _in_order(estimates, names)}, ABSOLUTE, compared.model)
    return Section("Mean absolute error by method", text, [Titled(title, figure)])


def _low_error(compared: Comparison, low_error: float) -> Section:
    low = compared.squared(compared.model) < low_error
    kept = np.array(compared.seeds)[compared.common]
    heading = "Seeds on which the model erred little"
    if not low.any():
        return Section(heading, f"On no seed is the model's squared error below {number(low_error)}.")
    listed = {name: bootstrap(compared.squared(name)[low]) for name in compared.methods}
    own_best = {name: bootstrap(np.sort(compared.squared(name))[: low.sum()]) for name in compared.methods}
    names = _ranked(listed)
    text = (
        f"The model's squared error is below {number(low_error)} on {low.sum()} of {len(low)} seeds "
        f"({seed_ranges(kept[low].tolist())}). Caution: this list was chosen by the model's own error, and any "
        f"predictor looks good on its own list. So beside each method on the model's list stands the same method on "
        f"its own, the {low.sum()} seeds on which it erred least itself."
    )
    series = {"the model's list": _in_order(listed, names), "each method's own list": _in_order(own_best, names)}
    title = f"Mean squared error on {low.sum()} seeds, chosen in two ways"
    return Section(heading, text, [Titled(title, method_bars(names, series, SQUARED))])


def _table(compared: Comparison) -> Table:
    columns = ["method", "gave a number", "mean squared error", "mean absolute error", "median absolute error"]
    errors = {name: np.abs(one.values - compared.gold) for name, one in compared.methods.items()}
    order = sorted(errors, key=lambda name: _mean(compared.errors[name] ** 2))
    rows = [_row(name, compared, errors[name]) for name in order]
    caption = f"Errors on the {compared.common.sum()} seeds on which every method gave a number, 90 % intervals"
    return Table(caption, columns, rows)


def _row(name: str, compared: Comparison, own_errors: Float[np.ndarray, "seed"]) -> list[str]:
    error = compared.errors[name]
    gave = int(np.isfinite(own_errors).sum())
    return [
        name,
        f"{gave} of {len(own_errors)}",
        _cell(bootstrap(error**2)),
        _cell(bootstrap(np.abs(error))),
        number(float(np.median(np.abs(error))) if len(error) else None),
    ]


def _cell(one: Estimate) -> str:
    return interval_text(float(one.mean), float(one.low), float(one.high))


def _ranked(estimates: Mapping[str, Estimate]) -> list[str]:
    return sorted(estimates, key=lambda name: float(estimates[name].mean))


def _in_order(estimates: Mapping[str, Estimate], names: Sequence[str]) -> Estimate:
    return stacked([estimates[name] for name in names])


def _rank(compared: Comparison, names: Sequence[str]) -> str:
    own = names.index(compared.model)
    ahead = f", behind {names[0]} as the first" if own else ""
    return f"By its mean {compared.model} is number {own + 1} of {len(names)}{ahead} ({_count(compared)})"


def _count(compared: Comparison) -> str:
    lost = len(compared.seeds) - int(compared.common.sum())
    without = f"; {lost} more on which a method gave no number are left out" if lost else ""
    return f"n = {compared.common.sum()} seeds{without}"


def _mean(values: Float[np.ndarray, "seed"]) -> float:
    return float(values.mean()) if len(values) else np.inf
