"""What the linear model's weights say about a token: which word it raises, and by how much (nats)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import UserError
from optim_hunter.observe.stories import StoriesObservation


def centred_weights(observation: StoriesObservation, token: str, position: int = -1) -> Float[np.ndarray, "class"]:
    """Weights of a token at a position, less their mean over the classes: a shift common to all means nothing.

    Raises:
        UserError: the vocabulary has no such token.
    """
    if token not in observation.tokens:
        raise UserError(
            f"token {token!r} is not in the vocabulary of {len(observation.tokens)} tokens; name one that is"
        )
    weights = observation.weights[position, observation.tokens.index(token)]
    return np.asarray(weights - weights.mean())


def centred_weight(observation: StoriesObservation, token: str, word: str, position: int = -1) -> float:
    """The weight of a token at a position for one word, centred over the words (nats).

    Raises:
        UserError: the group has no such word, or the vocabulary no such token.
    """
    return float(centred_weights(observation, token, position)[_place(observation, word)])


def weight_lead(observation: StoriesObservation, token: str, word: str, position: int = -1) -> float:
    """By how much a token's weight for one word exceeds its largest weight for another (nats).

    Raises:
        UserError: the group has no such word, or the vocabulary no such token.
    """
    weights, place = centred_weights(observation, token, position), _place(observation, word)
    return float(weights[place] - np.delete(weights, place).max())


def _place(observation: StoriesObservation, word: str) -> int:
    if word not in observation.group:
        raise UserError(f"word {word!r} is not in the group {list(observation.group)}; name one that is")
    return observation.group.index(word)
