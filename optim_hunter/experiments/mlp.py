"""Activations of MLP neurons at the tokens of outputs and of features, in the last layers, of one prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import UserError
from optim_hunter.evidence.experiment_figures import Steps, by_choice, histograms
from optim_hunter.evidence.fragment import Html, Section, Table, Titled, shown
from optim_hunter.evidence.text import number
from optim_hunter.experiments.observing import engine_of
from optim_hunter.measures.activations import distances, statistics
from optim_hunter.models.language import LanguageModel, check_language_model
from optim_hunter.observe.instruments import Capture
from optim_hunter.observe.observation import ACTIVATION_LAYERS
from optim_hunter.observe.sums import GroupSums
from optim_hunter.stats.intervals import Estimate

if TYPE_CHECKING:
    from torch import Tensor

BINS = 80
NUMBER_PART = re.compile(r"\s*[0-9.\-]+")

Kinds = Mapping[str, Float[np.ndarray, "layer token neuron"]]
"""Activations at the tokens of `outputs` and of `features`."""


def analyze_mlp_for_specific_tokens(
    model: LanguageModel,
    tokens: Int[Tensor, "1 token"],
    output_pos: Sequence[int],
    feature_pos: Sequence[int],
    num_last_layers: int = ACTIVATION_LAYERS,
) -> Html:
    """Statistics of the activations (inputs of the down projection) of both kinds of tokens, and their distance.

    Args:
        model: as `load_llama_model` gives it.
        tokens: one prompt, as `get_tokenized_prompt` gives it.
        output_pos: places of the outputs' tokens in it, as `check_token_positions` gives them.
        feature_pos: those of the features' tokens.
        num_last_layers: how many layers, from the last one back; all where the model has fewer.

    Raises:
        UserError: no language model, more than one prompt, places outside of it or of both kinds, no layer, or a model
            whose MLPs have no neurons that can be told apart.
        InvalidInstrument: a check of the instruments fails.
    """
    check_language_model(model)
    ids = _one_prompt(tokens)
    places = {"outputs": sorted(set(output_pos)), "features": sorted(set(feature_pos))}
    _check(places, len(ids), num_last_layers)
    first, kinds = neurons(model, ids, places, num_last_layers)
    labels = [f"MLP {first + layer}" for layer in range(len(kinds["outputs"]))]
    sections = [_statistics(kinds, labels), _distances(kinds, places, labels), _histograms(kinds, labels)]
    title = f"MLP activations of {model.name} at outputs and features, one prompt of {len(ids):,} tokens"
    return shown(title, sections, _warnings(model, ids, places))


def neurons(
    model: LanguageModel, ids: Sequence[int], places: Mapping[str, Sequence[int]], layers: int
) -> tuple[int, Kinds]:
    """The first of the last layers, and the activations of its neurons and of those after it at the places."""
    engine = engine_of(model)
    engine.open()
    first, modules = engine.parts.neurons(layers)
    asked = [place for kind in places.values() for place in kind]
    groups = {place: group for group, place in enumerate(asked)}
    sums = GroupSums(modules, [[groups.get(place, -1) for place in range(len(ids))]], len(asked))
    seen = engine.read(engine.start(1), [list(ids)], Capture(sums=sums), ["the prompt"]).sums
    assert seen is not None
    ends = np.cumsum([len(kind) for kind in places.values()])[:-1]
    return first, dict(zip(places, np.split(seen[0].cpu().numpy(), ends, axis=1), strict=True))


def _one_prompt(tokens: Int[Tensor, "1 token"]) -> list[int]:
    if tokens.ndim != 2 or len(tokens) != 1:
        raise UserError(f"tokens of shape {tuple(tokens.shape)}: give one prompt, [1, tokens]")
    return [int(token) for token in tokens[0]]


def _check(places: Mapping[str, Sequence[int]], length: int, layers: int) -> None:
    if layers < 1:
        raise UserError(f"{layers} last layers: ask for one at least")
    for kind, asked in places.items():
        if wrong := [place for place in asked if not 0 <= place < length]:
            raise UserError(f"no place {wrong[0]} for {kind}: the prompt has {length} tokens")
        if not asked:
            raise UserError(f"no place for {kind}: give what check_token_positions returns")
    if both := set(places["outputs"]) & set(places["features"]):
        raise UserError(f"place {min(both)} is named for outputs and for features: each token is of one kind")


def _warnings(model: LanguageModel, ids: Sequence[int], places: Mapping[str, Sequence[int]]) -> list[str]:
    """What is said where places do not hold numbers, as those of another prompt would not."""
    texts = {kind: [model.decode([ids[place]]) for place in asked] for kind, asked in places.items()}
    wrong = {kind: [text for text in shown if not NUMBER_PART.fullmatch(text)] for kind, shown in texts.items()}
    return [
        f"{len(odd)} of {len(places[kind])} tokens of {kind} are no part of a number (the first is {odd[0]!r}): "
        "do the places belong to this prompt?"
        for kind, odd in wrong.items()
        if odd
    ]


def _statistics(kinds: Kinds, labels: Sequence[str]) -> Section:
    found = {kind: statistics(activations) for kind, activations in kinds.items()}
    choices = {name: {kind: _without_interval(one[name]) for kind, one in found.items()} for name in found["outputs"]}
    length = list(found["outputs"])[-1]
    text = (
        f"{_counts(kinds)} {_longest(found['outputs'][length], found['features'][length], labels)}Tokens of one "
        "prompt are no replicates, so there is no interval here; the claim about activations compares them over seeds."
    )
    title = "Over tokens and neurons, layer by layer; the menu chooses the statistic"
    figure = by_choice(labels, choices, "input of the down projection", "lines")
    return Section("Statistics", text, [Titled(title, figure)], [_table(found, labels)])


def _longest(outputs: Float[np.ndarray, "layer"], features: Float[np.ndarray, "layer"], labels: Sequence[str]) -> str:
    """In which layer the lengths of both kinds differ most; nothing where neurons rest."""
    if not (np.all(outputs > 0) and np.all(features > 0)):
        return ""
    widest = int(np.abs(np.log(outputs / features)).argmax())
    ratio = number(float(outputs[widest] / features[widest]))
    return f"Activations at an output's token are {ratio} times as long as those at a feature's in {labels[widest]}. "


def _table(found: Mapping[str, Mapping[str, Float[np.ndarray, "layer"]]], labels: Sequence[str]) -> Table:
    names = list(found["outputs"])
    columns = ["layer", *(f"{name.split(' (')[0]}, {kind}" for name in names for kind in found)]
    rows = [
        [label, *(number(float(found[kind][name][layer])) for name in names for kind in found)]
        for layer, label in enumerate(labels)
    ]
    return Table("Statistics over tokens and neurons", columns, rows)


def _distances(kinds: Kinds, places: Mapping[str, Sequence[int]], labels: Sequence[str]) -> Section:
    found = distances(kinds["outputs"], kinds["features"], places["outputs"], places["features"])
    apart = found["squared distance"]
    seen = (
        f"It is largest in {labels[int(apart.argmax())]}, {number(float(apart.max()))}. "
        if np.isfinite(apart).all()
        else "It is not defined where there is a single example, or nothing is active. "
    )
    text = (
        "Squared distance of the mean activation at outputs from that at features, in units of the mean squared length "
        "of the two: 0 if both kinds are alike; what chance adds is taken off by comparing halves of the examples. "
        f"{seen}Outputs and features also differ in their labels and in the size of their numbers, which is enough to "
        "tell them apart."
    )
    choices = {name: {"outputs and features": _without_interval(values)} for name, values in found.items()}
    title = "Distance between outputs and features, layer by layer"
    return Section("Distance", text, [Titled(title, by_choice(labels, choices, "distance or cosine", "bars"))])


def _histograms(kinds: Kinds, labels: Sequence[str]) -> Section:
    choices = {}
    for layer, label in enumerate(labels):
        reach = float(max(np.abs(one[layer]).max() for one in kinds.values())) or 1.0
        edges = np.linspace(-reach, reach, BINS + 1)
        choices[label] = {kind: _shares(one[layer], edges) for kind, one in kinds.items()}
    text = "How activations are spread over all tokens and neurons of a kind; the shares are on a logarithmic scale."
    title = "Activations of one layer; the menu chooses which"
    return Section("Distribution", text, [Titled(title, histograms(choices, "activation"))])


def _shares(values: Float[np.ndarray, "token neuron"], edges: Float[np.ndarray, "edge"]) -> Steps:
    counts, _ = np.histogram(values, edges)
    return np.where(counts > 0, counts / values.size, np.nan), edges


def _without_interval(values: Float[np.ndarray, "layer"]) -> Estimate:
    nothing = np.full(len(values), np.nan)
    return Estimate(values, nothing, nothing, np.ones(len(values), int))


def _counts(kinds: Kinds) -> str:
    outputs, features = kinds["outputs"], kinds["features"]
    return (
        f"{outputs.shape[1]} tokens of outputs and {features.shape[1]} of features, {outputs.shape[2]:,} neurons a "
        f"layer, the last {len(outputs)} layers. Zeros that pad a number count as its tokens."
    )
