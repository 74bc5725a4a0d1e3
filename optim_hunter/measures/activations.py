"""How far activations of MLP neurons at the tokens of outputs lie from those at the tokens of features.

Squared distances between the means of two kinds of tokens are products of the difference seen in one half of the
examples with that seen in the other: what differs by chance alone differs otherwise in the other half, and averages
out. They may therefore come out below 0.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import Activations


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
