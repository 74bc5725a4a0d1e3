"""Which tokens' activations are averaged, and their means."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.observation import Activations
from optim_hunter.observe.posed import PosedPrompt
from optim_hunter.tasks.prompts import tokens_of

HALVES = 2
"""Examples of even and of odd number."""


def groups(posed: PosedPrompt) -> int:
    """How many groups of tokens there are: in each half the outputs, then each feature."""
    return HALVES * (1 + len(posed.episode.test_features))


def group_of(posed: PosedPrompt) -> list[int]:
    """The group of each token; −1 for labels, the instruction and the test case."""
    found = [-1] * len(posed.ids)
    kinds = groups(posed) // HALVES
    for value in posed.prompt.values:
        if value.example < len(posed.episode.outputs):
            kind = 0 if value.kind == "output" else 1 + value.feature
            for token in tokens_of(value, posed.encoded.offsets):
                found[token] = value.example % HALVES * kinds + kind
    return found


def mean_activations(
    posed: PosedPrompt, sums: Float[Tensor, "layer group neuron"], first_layer: int
) -> Activations | None:
    """Means from the sums over the groups of the whole prompt; None where a half has no example."""
    tokens = np.bincount([group for group in group_of(posed) if group >= 0], minlength=groups(posed))
    if not tokens.all():
        return None
    means = (sums.cpu().numpy() / tokens[:, None]).astype(np.float32)
    halves = means.reshape(len(means), HALVES, -1, means.shape[-1]).transpose(1, 2, 0, 3)
    counts = tokens.reshape(HALVES, -1)
    layers = np.arange(first_layer, first_layer + len(means))
    return Activations(layers, halves[:, 0], halves[:, 1:], counts[:, 0], counts[:, 1:])
