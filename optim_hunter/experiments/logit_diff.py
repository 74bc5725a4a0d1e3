"""Differences of the logits of predictors' answers, component by component, for every pair of predictors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError
from optim_hunter.evidence.experiment_figures import by_choice, grid_map
from optim_hunter.evidence.fragment import Html, Section, Table, Titled, shown
from optim_hunter.evidence.text import interval_text, number
from optim_hunter.experiments.cap import chosen_seeds
from optim_hunter.experiments.observing import Dataset, dataset_name, observed, task_of
from optim_hunter.measures.attribution import component_names
from optim_hunter.measures.candidates import observed_difference, pair_difference
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.observation import PREDICTORS, Candidates, RegressionObservation
from optim_hunter.stats.intervals import Estimate, student
from optim_hunter.tasks.results import RegressorCallable

OWN, SEED_0 = "each seed's own tokens", "seed 0's tokens for every seed, as published"

BASELINES = {f"baseline_{name}": name for name in ("average", "last", "random")}

Pair = tuple[str, str]
"""Two predictors, as the caller calls them."""


@dataclass(frozen=True)
class Differences:
    """What each seed's components add to the difference of each pair; NaN where both answers begin alike.

    `parts` are by component, `whole` the logits that the model gave.
    """

    parts: Mapping[Pair, Float[np.ndarray, "seed component"]]
    whole: Mapping[Pair, Float[np.ndarray, "seed"]]


def generate_logit_diff_batched(
    dataset: Dataset,
    regressors: Sequence[RegressorCallable],
    seq_len: int,
    batches: int,
    model: LanguageModel,
    random_seeds: Sequence[int] | None = None,
) -> Html:
    """Accumulated and per-component logit differences for every pair of the truth and the given regressors.

    Args:
        dataset: one of `optim_hunter.datasets`.
        regressors: out of linear_regression, knn_regression, random_forest, baseline_average, baseline_last,
            baseline_random and one of `create_llm_regressor`, which stands for `model`.
        seq_len: examples in the prompt.
        batches: number of seeds, from 0 on.
        model: as `load_llama_model` gives it.
        random_seeds: other seeds, each once; the first `batches` of them are taken.

    Raises:
        UserError: another regressor, a regressor or seed named twice, or the prompt does not fit.
    """
    predictors = predictors_of(regressors)
    seeds, notes = chosen_seeds(batches, random_seeds)
    tasks = [task_of(dataset, seq_len, pair) for pair in ("own", "seed 0")]
    own, first = (differences(seen, predictors) for seen in observed(model, tasks, seeds, {"candidates"}))
    title = f"Logit differences of {model.name} on {dataset_name(dataset)}, {seq_len} examples"
    return shown(title, sections({OWN: own, SEED_0: first}, len(seeds)), notes)


def predictors_of(regressors: Sequence[RegressorCallable]) -> dict[str, str]:
    """Name of the truth and of each regressor → the predictor of `Candidates` that it is.

    Raises:
        UserError: a regressor whose answers the pass does not compare, or two that are the same.
    """
    named = {"gold": "gold"}
    for regressor in regressors:
        name = regressor.__name__
        predictor = "llm" if regressor.is_llm else BASELINES.get(name, name)
        if predictor not in PREDICTORS:
            possible = sorted({*PREDICTORS, *BASELINES} - {*BASELINES.values(), "gold", "llm"})
            raise UserError(
                f"logit differences cannot be shown for {name}: take some of {', '.join(possible)} and one of "
                "create_llm_regressor"
            )
        if predictor in named.values():
            raise UserError(f"{name} stands for {predictor}, which is named already: give each predictor once")
        named[name] = predictor
    if len(named) < 2:
        raise UserError("a difference needs a regressor beside the truth: give at least one")
    return named


def differences(seen: Sequence[RegressionObservation], predictors: Mapping[str, str]) -> Differences:
    """All pairs of all seeds.

    Raises:
        UserError: too few examples for a predictor.
    """
    pairs = list(combinations(predictors, 2))
    candidates = [_candidates(one) for one in seen]

    def of(measure: Callable[[Candidates, str, str], Any], none: Any) -> dict[Pair, np.ndarray]:
        return {
            (first, second): np.array(
                [_or(none, measure, one, predictors[first], predictors[second]) for one in candidates]
            )
            for first, second in pairs
        }

    components = len(candidates[0].contributions)
    return Differences(of(pair_difference, np.full(components, np.nan)), of(observed_difference, np.nan))


def _candidates(one: RegressionObservation) -> Candidates:
    try:
        return one.candidates
    except NoValue as reason:
        raise UserError(f"logit differences of seed {one.episode.seed}: {reason}") from None


def _or(none: Any, measure: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return measure(*arguments)
    except NoValue:
        return none


def sections(compared: Mapping[str, Differences], seeds: int) -> list[Section]:
    """What is shown of the differences with each seed's own tokens and with seed 0's."""
    labels = component_names(next(iter(compared[OWN].parts.values())).shape[1])
    return [
        _chosen(
            "Accumulated along the residual stream",
            "The difference of the two logits if the model ended after a component, through the final norm's own "
            "scale; the last point is the model's output, up to biases. A vs B is logit(A) − logit(B), so that "
            "above 0 the stream speaks for A.",
            compared, labels, lambda parts: parts.cumsum(1), "lines",
        ),
        _chosen(
            "Component by component",
            "What each attention block and MLP itself adds. Signs differ between seeds and cancel in the mean: a "
            "component near 0 here may matter in every seed, so look at the sizes below as well.",
            compared, labels, lambda parts: parts, "bars",
        ),
        _chosen(
            "Component by component, without signs",
            "The mean over seeds of the absolute size of what each component adds. It never cancels; it says nothing "
            "of direction, and direct attribution sees no effect that goes through later components.",
            compared, labels, np.abs, "bars",
        ),
        _overview(compared, labels, seeds),
    ]  # fmt: skip


def _overview(compared: Mapping[str, Differences], labels: Sequence[str], seeds: int) -> Section:
    own = compared[OWN]
    sizes = {pair: student(np.abs(parts)).mean for pair, parts in own.parts.items()}
    alike = int(sum(np.isnan(whole).sum() for whole in own.whole.values()))
    text = (
        f"{len(own.whole)} pairs on {seeds} seeds, at the last token of the prompt, which predicts the first token of "
        f"an answer: only that token is compared. {_largest(sizes, labels)} "
        f"In {alike} of {seeds * len(own.whole)} cases both answers begin with the same token; these are left out, not "
        "counted as 0. A token's logit also follows how often it begins an output in the prompt."
    )
    rows = [_name(pair) for pair in sizes]
    figure = grid_map(rows, labels, np.stack(list(sizes.values())))
    tables = [_table(kind, one, labels) for kind, one in compared.items()]
    return Section("All pairs", text, [Titled(f"Mean absolute contribution (logits), {OWN}", figure)], tables)


def _largest(sizes: Mapping[Pair, Float[np.ndarray, "component"]], labels: Sequence[str]) -> str:
    """Which component adds most, over all pairs that differ."""
    found = [one for one in sizes.values() if np.isfinite(one).all()]
    if not found:
        return "All answers begin alike: there is no difference to look at."
    mean = np.mean(found, axis=0)
    share = number(100 * float(mean.max() / mean.sum()))
    return f"Most is added by {labels[int(mean.argmax())]}: {share} % of all absolute contributions, mean over pairs."


def _chosen(
    heading: str,
    text: str,
    compared: Mapping[str, Differences],
    labels: Sequence[str],
    change: Callable[[np.ndarray], np.ndarray],
    kind: Any,
) -> Section:
    pairs = list(compared[OWN].parts)
    choices = {
        _name(pair): {name: student(change(one.parts[pair])) for name, one in compared.items()}
        for pair in sorted(pairs, key=_model_last)
    }
    title = f"{heading}: mean over seeds with 90 % t intervals; the menu chooses the pair"
    shown_first, series = next(iter(choices.items()))
    text = f"{text} {_seen(shown_first, series[OWN], labels)}"
    return Section(heading, text, [Titled(title, by_choice(labels, choices, "logits", kind))])


def _seen(pair: str, one: Estimate, labels: Sequence[str]) -> str:
    """What a pair's means say, in a sentence."""
    if not np.isfinite(one.mean).all():
        return f"{pair}: both answers begin with the same token in every seed."
    farthest, n = int(np.abs(one.mean).argmax()), int(one.n.max())
    return f"{pair} is farthest from 0 at {labels[farthest]}: {number(float(one.mean[farthest]))} (n = {n} seeds)."


def _table(kind: str, one: Differences, labels: Sequence[str]) -> Table:
    columns = ["pair", "n", "logit difference", "its size", "largest component (mean size)"]
    rows = []
    for pair, whole in one.whole.items():
        sizes = student(np.abs(one.parts[pair])).mean
        largest = f"{labels[int(sizes.argmax())]} ({number(float(sizes.max()))})" if np.isfinite(sizes).all() else "–"
        signed, size = student(whole), student(np.abs(whole))
        rows.append([_name(pair), str(signed.n), _cell(signed), _cell(size), largest])
    return Table(f"Means over seeds with 90 % t intervals (logits), {kind}", columns, rows)


def _cell(one: Estimate) -> str:
    return interval_text(float(one.mean), float(one.low), float(one.high))


def _name(pair: Pair) -> str:
    return f"{pair[0]} vs {pair[1]}"


def _model_last(pair: Pair) -> tuple[bool, bool]:
    """Pairs of average and last with the model first: the document names them."""
    named = pair[1].startswith("llm-")
    return not (named and pair[0] in ("baseline_average", "baseline_last")), not named
