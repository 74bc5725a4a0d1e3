"""Where heads look from the token that predicts the answer: heat maps over layers × heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.evidence.figures import head_map
from optim_hunter.evidence.fragment import Html, Section, Table, Titled, shown
from optim_hunter.evidence.text import interval_text, number
from optim_hunter.experiments.cap import cap_warnings, capped_seeds
from optim_hunter.experiments.observing import Dataset, dataset_name, observations
from optim_hunter.measures.attention import output_preference
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.stats.intervals import Estimate, student

LISTED = 12
"""Heads in the table."""

Heads = Mapping[str, Float[np.ndarray, "seed layer head"]]


def attention(model: LanguageModel, num_seeds: int, seq_len: int, dataset: Dataset) -> Html:
    """Attention mass on earlier outputs, on features and on the induction stripe, of every head.

    Args:
        model: as `load_llama_model` gives it.
        num_seeds: seeds 0 to `num_seeds` − 1, one prompt each.
        seq_len: examples in the prompt.
        dataset: one of `optim_hunter.datasets`.

    Raises:
        UserError: the data set is none of ours, or the prompt does not fit.
    """
    seeds = capped_seeds(range(num_seeds))
    seen = observations(model, dataset, seq_len, seeds, {"attention", "induction"})
    heads = head_numbers(seen)
    sections = [
        _mass(heads, "outputs", "the tokens of the earlier output values"),
        _mass(heads, "features", "the tokens of all feature values, the test case's included"),
        _preference(heads),
        _induction(heads, seen),
        _listed(heads),
    ]
    title = f"Attention of {model.name} on {dataset_name(dataset)}, {seq_len} examples"
    return shown(title, sections, cap_warnings(num_seeds, len(seeds)))


def head_numbers(seen: list[RegressionObservation]) -> Heads:
    """What the claims measure of each head, seed by seed."""
    return {
        "outputs": np.stack([one.attention.outputs for one in seen]),
        "features": np.stack([one.attention.features for one in seen]),
        "preference": np.stack([output_preference(one.attention) for one in seen]),
        "stripe": np.stack([_stripe(one) for one in seen]),
    }


def _stripe(one: RegressionObservation) -> Float[np.ndarray, "layer head"]:
    """NaN for a seed whose labels are no tokens of their own."""
    try:
        return one.induction.stripe
    except NoValue:
        return np.full_like(one.attention.outputs, np.nan)


def _mass(heads: Heads, kind: str, tokens: str) -> Section:
    mean = student(heads[kind]).mean
    text = (
        f"From the token that predicts the answer, {_name(mean)} puts the largest share of its row on {tokens}: "
        f"{number(float(mean.max()))}, against {number(float(np.median(mean)))} for the median head "
        f"({_seeds(heads)}). Positions come from each prompt's own characters. Mass tells where a head reads, not "
        "what it does with it."
    )
    title = f"Attention mass on {kind}, mean over seeds (share of the row)"
    return Section(f"Mass on {kind}", text, [Titled(title, head_map(mean, ""))])


def _preference(heads: Heads) -> Section:
    mean = student(heads["preference"]).mean
    text = (
        "Mass per output token over mass per feature token, as a logarithm to base 2 (1: twice as much): there "
        "are more feature tokens than output tokens, so that the two maps above cannot be compared directly. "
        f"{_name(mean)} prefers outputs most, {number(float(mean.max()))} ({_seeds(heads)}); a head with "
        "hardly any mass on either can show a large ratio."
    )
    return Section("Outputs against features", text, [Titled("log2 ratio, mean over seeds", head_map(mean, ""))])


def _induction(heads: Heads, seen: Sequence[RegressionObservation]) -> Section:
    heading, stripe = "Induction stripe", student(heads["stripe"])
    if not np.isfinite(stripe.mean).all():
        return Section(heading, "No label of the test case is two tokens that stand alike in every example.")
    uniform = np.mean([one.induction.uniform for one in seen if one.shown["induction"] is not None])
    text = (
        "An induction head looks at what followed the same place of an earlier example. This is read on the labels of "
        "the test case, at each prompt's true distances in tokens, so that it shares no token with the maps above. "
        f"{_name(stripe.mean)} has the strongest stripe, {number(float(stripe.mean.max()))}, where even attention "
        f"would give {number(float(uniform))} (n = {stripe.n.max()} seeds). Over all heads the rank correlation of "
        f"the stripe with the mass on outputs is {number(_rank_correlation(heads))}; an overlap is no cause."
    )
    title = "Attention on the induction stripe, mean over seeds (share of the row)"
    return Section(heading, text, [Titled(title, head_map(stripe.mean, ""))])


def _listed(heads: Heads) -> Section:
    estimates = {kind: student(values) for kind, values in heads.items()}
    mean = estimates["outputs"].mean
    order = np.argsort(mean, axis=None)[::-1][:LISTED]
    places = [np.unravel_index(place, mean.shape) for place in order]
    rows = [
        [f"L{layer}H{head}", *(_cell(estimates[kind], int(layer), int(head)) for kind in estimates)]
        for layer, head in places
    ]
    columns = ["head", "mass on outputs", "mass on features", "log2 ratio", "induction stripe"]
    text = (
        "These heads were picked and measured on the same seeds, which flatters them; the claims find a head on one "
        "half of the seeds and confirm it on the other."
    )
    caption = f"Means with 90 % t intervals, {_seeds(heads)}"
    return Section(f"The {len(rows)} heads with most mass on outputs", text, tables=[Table(caption, columns, rows)])


def _cell(one: Estimate, layer: int, head: int) -> str:
    place = layer, head
    return interval_text(float(one.mean[place]), float(one.low[place]), float(one.high[place]))


def _name(mean: Float[np.ndarray, "layer head"]) -> str:
    layer, head = np.unravel_index(int(mean.argmax()), mean.shape)
    return f"L{layer}H{head}"


def _seeds(heads: Heads) -> str:
    return f"n = {len(heads['outputs'])} seeds"


def _rank_correlation(heads: Heads) -> float:
    from scipy import stats

    stripe, outputs = (student(heads[kind]).mean.ravel() for kind in ("stripe", "outputs"))
    return float(stats.spearmanr(stripe, outputs).statistic)
