"""Activations of MLP neurons at two kinds of tokens of one prompt: statistics of each, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from optim_hunter.measures.activations import squared_distance

Activations = Float[np.ndarray, "layer token neuron"]


def statistics(activations: Activations) -> Mapping[str, Float[np.ndarray, "layer"]]:
    """Mean, standard deviation and share above zero over tokens and neurons; mean length of a token's activations."""
    return {
        "mean": activations.mean(axis=(1, 2)),
        "standard deviation": activations.std(axis=(1, 2)),
        "share above zero": (activations > 0).mean(axis=(1, 2)),
        "length (Euclidean norm of a token's activations)": np.linalg.norm(activations, axis=2).mean(axis=1),
    }


def distances(
    first: Activations, second: Activations, first_places: Sequence[int], second_places: Sequence[int]
) -> Mapping[str, Float[np.ndarray, "layer"]]:
    """How far the mean activations of two kinds of tokens lie apart.

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


def _halves(activations: Activations, places: Sequence[int]) -> Float[np.ndarray, "half layer neuron"]:
    """Means over the tokens of every other number; NaN for a half without any."""
    number = np.cumsum(np.diff(places, prepend=places[0] - 2) > 1) - 1
    nothing = np.full(activations[:, 0].shape, np.nan)
    return np.stack([
        activations[:, number % 2 == half].mean(axis=1) if np.any(number % 2 == half) else nothing for half in (0, 1)
    ])  # fmt: skip
