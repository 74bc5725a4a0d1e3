"""Activations of MLP neurons at the tokens of two kinds of values: statistics of each, and how far they lie apart.

Squared distances between the means of two kinds of tokens are products of the difference seen in one half of the
examples with that seen in the other: what differs by chance alone differs otherwise in the other half, and averages
out. They may therefore come out below 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import Activations

TokenActivations = Float[np.ndarray, "layer token neuron"]
"""Activations at some tokens of one prompt, as an experiment reads them."""


def squared_distance(
    first: Float[np.ndarray, "half layer neuron"], second: Float[np.ndarray, "half layer neuron"]
) -> Float[np.ndarray, "layer"]:
    """Squared distance of the means of two kinds, layer by layer, without what chance adds."""
    even, odd = first - second
    distance: Float[np.ndarray, "layer"] = (even * odd).sum(axis=-1)
    return distance


def output_distance_lead(activations: Activations) -> Float[np.ndarray, "layer"]:
    """Mean squared distance of outputs to each feature minus that of the features to each other, layer by layer.

    In units of the mean squared length of the kinds' means: 0 where outputs are but one more kind of value.

    Raises:
        NoValue: there is one feature alone, or a layer in which nothing is active.
    """
    outputs, features = activations.output_halves, np.moveaxis(activations.feature_halves, 1, 0)
    if len(features) < 2:
        raise NoValue("one feature cannot be compared with another: choose data with two or more")
    to_features = np.mean([squared_distance(outputs, one) for one in features], axis=0)
    among_features = np.mean([squared_distance(*pair) for pair in combinations(features, 2)], axis=0)
    kinds = [outputs, *features]
    lengths = np.mean([squared_distance(kind, np.zeros_like(kind)) for kind in kinds], axis=0)
    if np.any(lengths <= 0):
        raise NoValue("the neurons of a layer are not active alike in both halves of the examples")
    lead: Float[np.ndarray, "layer"] = (to_features - among_features) / lengths
    return lead


def statistics(activations: TokenActivations) -> Mapping[str, Float[np.ndarray, "layer"]]:
    """Mean, standard deviation and share above zero over tokens and neurons; mean length of a token's activations."""
    return {
        "mean": activations.mean(axis=(1, 2)),
        "standard deviation": activations.std(axis=(1, 2)),
        "share above zero": (activations > 0).mean(axis=(1, 2)),
        "length (Euclidean norm of a token's activations)": np.linalg.norm(activations, axis=2).mean(axis=1),
    }


def distances(
    outputs: TokenActivations, features: TokenActivations, output_places: Sequence[int], feature_places: Sequence[int]
) -> Mapping[str, Float[np.ndarray, "layer"]]:
    """How far the mean activations at outputs and at features of one prompt lie apart.

    `squared distance` is in units of the kinds' mean squared length, and what chance adds is taken off it: it is the
    product of the differences in two halves of the examples, every other one each, and may come out below 0. The test
    case's features, which follow the last output, are in neither. NaN where a half has no token of a kind. `cosine`
    is between the means over all tokens.

    Args:
        outputs: activations at outputs.
        features: at features, each of which stands before its example's output.
        output_places: places of the outputs' tokens in the prompt, ascending; tokens side by side make one number.
        feature_places: the same of the features.
    """
    ends = np.flatnonzero(np.diff(output_places, append=output_places[-1] + 2) > 1)
    last_tokens = np.asarray(output_places)[ends]
    halves = [
        _halves(activations, np.searchsorted(last_tokens, places), len(ends))
        for activations, places in ((outputs, output_places), (features, feature_places))
    ]
    lengths = np.mean([squared_distance(one, np.zeros_like(one)) for one in halves], axis=0)
    apart = squared_distance(*halves)
    means = outputs.mean(axis=1), features.mean(axis=1)
    norms = np.linalg.norm(means[0], axis=1) * np.linalg.norm(means[1], axis=1)
    return {
        "squared distance": np.divide(apart, lengths, out=np.full_like(apart, np.nan), where=lengths > 0),
        "cosine": np.divide((means[0] * means[1]).sum(1), norms, out=np.full_like(norms, np.nan), where=norms > 0),
    }


def _halves(
    activations: TokenActivations, example: Int[np.ndarray, "token"], examples: int
) -> Float[np.ndarray, "half layer neuron"]:
    """Means over the tokens of the examples of even and of odd number; NaN for a half without any.

    Whole examples, since numbers within one are of different kinds: every other feature of four is x0 or x2.
    """
    chosen = [(example < examples) & (example % 2 == half) for half in (0, 1)]
    nothing = np.full(activations[:, 0].shape, np.nan)
    return np.stack([activations[:, one].mean(axis=1) if one.any() else nothing for one in chosen])
