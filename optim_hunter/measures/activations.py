"""Activations of MLP neurons at the tokens of two kinds of values: statistics of each, and how far they lie apart.

Squared distances between the means of two kinds of tokens are products of the difference seen in one half of the
examples with that seen in the other: what differs by chance alone differs otherwise in the other half, and averages
out. They may therefore come out below 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

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
    first: TokenActivations, second: TokenActivations, first_places: Sequence[int], second_places: Sequence[int]
) -> Mapping[str, Float[np.ndarray, "layer"]]:
    """How far the mean activations of two kinds of tokens of one prompt lie apart.

    `squared distance` is in units of the kinds' mean squared length, and what chance adds is taken off it: it is the
    product of the differences in two halves of the numbers, every other one each, and may come out below 0. NaN where
    a kind has a single number. `cosine` is between the means over all tokens.

    Args:
        first: activations of the one kind.
        second: of the other.
        first_places: places of its tokens in the prompt, ascending; tokens side by side make one number.
        second_places: the same of the other.
    """
    halves = _halves(first, first_places), _halves(second, second_places)
    lengths = np.mean([squared_distance(one, np.zeros_like(one)) for one in halves], axis=0)
    apart = squared_distance(*halves)
    means = first.mean(axis=1), second.mean(axis=1)
    norms = np.linalg.norm(means[0], axis=1) * np.linalg.norm(means[1], axis=1)
    return {
        "squared distance": np.divide(apart, lengths, out=np.full_like(apart, np.nan), where=lengths > 0),
        "cosine": np.divide((means[0] * means[1]).sum(1), norms, out=np.full_like(norms, np.nan), where=norms > 0),
    }


def _halves(activations: TokenActivations, places: Sequence[int]) -> Float[np.ndarray, "half layer neuron"]:
    """Means over the tokens of every other number; NaN for a half without any."""
    number = np.cumsum(np.diff(places, prepend=places[0] - 2) > 1) - 1
    nothing = np.full(activations[:, 0].shape, np.nan)
    return np.stack([
        activations[:, number % 2 == half].mean(axis=1) if np.any(number % 2 == half) else nothing for half in (0, 1)
    ])  # fmt: skip
