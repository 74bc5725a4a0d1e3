"""What the linear model's weights say: which word a token raises and by how much (nats), and where large ones lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue, UserError
from optim_hunter.observe.stories import StoriesObservation

LARGE = 100
"""How many of all tokens at all positions count as having large weights."""

RARE = 1e-3
"""Of all windows, the share below which a token at a position counts as rare."""


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


def weight_profile(observation: StoriesObservation, token: str) -> dict[str, float]:
    """Word → centred weight of a token at the last position (nats), for the report.

    Raises:
        UserError: the vocabulary has no such token.
    """
    return dict(zip(observation.group, centred_weights(observation, token).tolist(), strict=True))


def centred_profile(weights: Mapping[str, float]) -> dict[str, float]:
    """Word → weight less the mean of all, so that printed weights can stand beside ours."""
    mean = sum(weights.values()) / len(weights)
    return {word: weight - mean for word, weight in weights.items()}


def position_spreads(observation: StoriesObservation) -> Float[np.ndarray, "16"]:
    """How much each position moves the scores from window to window (nats).

    The standard deviation over the windows of what the position adds to a word's score, centred over the words: the
    root mean square of the five. A token counts as often as it stands there: one that a share q of the windows holds
    cannot, by whatever it adds, change the spread by more than √(q(1 − q)) times that.
    """
    added, share = _centred(observation), observation.frequency[:, :, None]
    mean = (share * added).sum(1, keepdims=True)
    return np.asarray(np.sqrt((share * (added - mean) ** 2).sum(1).mean(1)))


def last_position_lead(observation: StoriesObservation) -> float:
    """By how much the last position's spread exceeds the largest of the others (nats)."""
    *others, last = position_spreads(observation)
    return float(last - max(others))


def spread_profile(observation: StoriesObservation) -> dict[str, float]:
    """Position, counted back from the word that follows → its spread (nats), for the report."""
    spreads = position_spreads(observation)
    return {str(place - len(spreads)): float(spread) for place, spread in enumerate(spreads)}


def frequent_share(observation: StoriesObservation) -> float:
    """Of the tokens at positions with the largest weights, the share that are not rare there.

    The size of a token at a position is its largest absolute weight, centred over the words. The `LARGE` largest are
    looked at, or all with a weight where these are fewer.

    Raises:
        NoValue: every weight is zero.
    """
    size = np.abs(_centred(observation)).max(2).ravel()
    largest = np.argsort(size)[::-1][: min(LARGE, np.count_nonzero(size))]
    if not len(largest):
        raise NoValue("every weight is zero")
    return float(np.mean(observation.frequency.ravel()[largest] >= RARE))


def _centred(observation: StoriesObservation) -> Float[np.ndarray, "16 vocabulary class"]:
    return np.asarray(observation.weights - observation.weights.mean(2, keepdims=True))


def _place(observation: StoriesObservation, word: str) -> int:
    if word not in observation.group:
        raise UserError(f"word {word!r} is not in the group {list(observation.group)}; name one that is")
    return observation.group.index(word)
