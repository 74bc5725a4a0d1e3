"""How well a word was chosen: losses and right answers of a view, window by window."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from optim_hunter.claim import UserError
from optim_hunter.observe.choices import ChoiceObservation


def losses(observation: ChoiceObservation, view: str) -> Float[np.ndarray, "window"]:
    """Negative log-likelihood, among the group's words, of the word that came (nats).

    Raises:
        UserError: the task does not ask for this view.
    """
    said = _view(observation, view)
    return -said[np.arange(len(said)), observation.labels]


def correct(observation: ChoiceObservation, view: str) -> Bool[np.ndarray, "window"]:
    """Whether the likeliest word of the group is the one that came.

    Raises:
        UserError: the task does not ask for this view.
    """
    return np.asarray(_view(observation, view).argmax(1) == observation.labels)


def _view(observation: ChoiceObservation, view: str) -> Float[np.ndarray, "window class"]:
    if view not in observation.log_probabilities:
        raise UserError(f"nothing was asked of the view {view!r}: name it in the task's views")
    return observation.log_probabilities[view]
