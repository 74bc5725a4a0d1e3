"""Which parts of a formula a model predicts: each sub-expression of original2 alone as the output of its features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.datasets import get_dataset
from optim_hunter.evidence.experiment_figures import method_bars, predicted_and_true
from optim_hunter.evidence.fragment import Html, Section, Table, Titled, shown
from optim_hunter.experiments.cap import cap_warnings, capped_seeds
from optim_hunter.experiments.observing import observations
from optim_hunter.experiments.predicting import answers
from optim_hunter.measures.prediction import absolute_error, relative_error_gain
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.stats.intervals import Estimate, bootstrap, correlation, stacked, student

PARTS = {
    "original2:fourth-power": "x0⁴",
    "original2:product": "x1·x2",
    "original2:inverse-root": "2/(√x1·√x3)",
    "original2:squared-combination": "(x1·x2 − 2/(√x1·√x3))²",
    "original2": "(x0⁴ + (x1·x2 − 2/(√x1·√x3))²)^0.75",
}
"""Data set → the formula of its outputs."""


@dataclass(frozen=True)
class Part:
    """A sub-expression's observations, and what the model answered: NaN where that was no number."""

    formula: str
    seen: Sequence[RegressionObservation]
    predicted: Float[np.ndarray, "seed"]
    missing: Mapping[int, str]

    @property
    def gold(self) -> Float[np.ndarray, "seed"]:
        """True values."""
        return np.array([one.episode.gold for one in self.seen])

    def measured(self, measure: Callable[[RegressionObservation], float]) -> Float[np.ndarray, "seed"]:
        """A claim's measure of each seed; NaN where it gives none."""
        return np.array([_number(measure, one) for one in self.seen])


def analyze_llm_component_understanding(model: LanguageModel, n_samples: int, seq_len: int = 10) -> Html:
    """Error and correlation of the model's answers for each sub-expression of original2 and for the whole.

    Args:
        model: as `load_llama_model` gives it.
        n_samples: seeds 0 to `n_samples` − 1; each asks for every sub-expression.
        seq_len: examples in the prompt.

    Raises:
        UserError: the prompt does not fit into the model's context.
    """
    seeds = capped_seeds(range(n_samples))
    parts = [_part(model, name, formula, seq_len, seeds) for name, formula in PARTS.items()]
    title = f"What {model.name} predicts of the parts of original2, {seq_len} examples"
    sections = [_gains(parts), _errors(parts), _correlations(parts), _answers(parts, model.name)]
    return shown(title, sections, cap_warnings(n_samples, len(seeds)))


def _part(model: LanguageModel, name: str, formula: str, examples: int, seeds: Sequence[int]) -> Part:
    seen = observations(model, get_dataset(name), examples, seeds, {"answer"})
    answered = answers(seen)
    return Part(formula, seen, answered.values, answered.missing)


def _number(measure: Callable[[RegressionObservation], float], one: RegressionObservation) -> float:
    try:
        return measure(one)
    except NoValue:
        return np.nan


def _gains(parts: Sequence[Part]) -> Section:
    estimates = [student(part.measured(lambda one: relative_error_gain(one, "average"))) for part in parts]
    better = [part.formula for part, one in zip(parts, estimates, strict=True) if one.low > 0]
    text = (
        "By how much the model errs less than the mean of the same examples, in mean absolute deviations of the "
        f"prompt's outputs: a scale that is the same for every part ({_counts(parts)}). The interval lies above 0 for "
        f"{', '.join(better) or 'none of them'}. Five intervals at 90 % are looked at here; the claims adjust for it."
    )
    title = "Gain over the mean of the examples, 90 % t intervals (above 0: better than the mean)"
    return Section("Gain over the mean", text, [_bars(parts, estimates, title, "mean absolute deviations")])


def _errors(parts: Sequence[Part]) -> Section:
    squared = [bootstrap(part.measured(absolute_error) ** 2) for part in parts]
    text = (
        "The published quantity. The outputs of the parts differ in scale by many powers of ten, and so do their "
        "errors: which part is understood best cannot be read from it."
    )
    title = "Mean squared error, 90 % bootstrap intervals"
    return Section(
        "Mean squared error", text, [_bars(parts, squared, title, "squared units of the part's output", log=True)]
    )


def _correlations(parts: Sequence[Part]) -> Section:
    estimates = [correlation(part.gold, part.predicted) for part in parts]
    text = (
        "Pearson's correlation over seeds of the answer with the true value. It ignores scale and offset, so that an "
        f"answer which errs by a factor still correlates, and it is wide for few seeds ({_counts(parts)}). "
        "A part without a bar has the same answer for every seed, or fewer than two answers."
    )
    points = {part.formula: (part.gold, part.predicted, [one.episode.seed for one in part.seen]) for part in parts}
    figures = [
        _bars(parts, estimates, "Correlation of answer and true value, 90 % intervals (Fisher)", "Pearson's r"),
        Titled("Answers over true values, a dot a seed", predicted_and_true(points, "answer")),
    ]
    return Section("Correlation", text, figures)


def _answers(parts: Sequence[Part], name: str) -> Section:
    rows = [[part.formula, str(seed), reason] for part in parts for seed, reason in part.missing.items()]
    asked = sum(len(part.seen) for part in parts)
    text = (
        f"{len(rows)} of {asked} answers of {name} are no number. Answers are read from their first line alone: what "
        "follows is the next example, which the model invents. Those without a number count as missing above."
    )
    tables = [Table("Missing answers", ["part", "seed", "why"], rows)] if rows else []
    return Section("Answers without a number", text, tables=tables)


def _bars(parts: Sequence[Part], estimates: Sequence[Estimate], title: str, unit: str, log: bool = False) -> Titled:
    names = [part.formula for part in parts]
    return Titled(title, method_bars(names, {"model": stacked(estimates)}, unit, log=log))


def _counts(parts: Sequence[Part]) -> str:
    counted = [int(np.isfinite(part.predicted).sum()) for part in parts]
    seeds = len(parts[0].seen)
    fewest = min(counted)
    return f"n = {seeds} seeds" if fewest == seeds else f"n = {fewest} to {max(counted)} of {seeds} seeds"
