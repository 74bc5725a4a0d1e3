"""How well a word was chosen: losses and right answers of a view, window by window and for all windows of a seed.

All raise a UserError where the task does not ask for a view. Of a seed without a window sums are 0; a mean of none is a
NoValue.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped

from optim_hunter.claim import NoValue, UserError
from optim_hunter.observe.choices import ChoiceObservation
from optim_hunter.tasks.people import person


def losses(observation: ChoiceObservation, view: str) -> Float[np.ndarray, "window"]:
    """Negative log-likelihood, among the group's words, of the word that came (nats)."""
    said = _view(observation, view)
    return -said[np.arange(len(said)), observation.labels]


def correct(observation: ChoiceObservation, view: str) -> Bool[np.ndarray, "window"]:
    """Whether the likeliest word of the group is the one that came."""
    return np.asarray(_view(observation, view).argmax(1) == observation.labels)


def loss_lead(observation: ChoiceObservation, view: str, rival: str) -> float:
    """Mean loss of a rival view minus that of a view (nats a window)."""
    return _mean(observation, losses(observation, rival) - losses(observation, view))


def summed_loss_lead(observation: ChoiceObservation, view: str, rival: str) -> Float[np.ndarray, "2"]:
    """The same as a sum (nats), and the number of windows, for the mean over the windows of all seeds."""
    lead = losses(observation, rival) - losses(observation, view)
    return np.array([lead.sum(), len(lead)])


def relative_loss_lead(observation: ChoiceObservation, view: str, rival: str) -> Float[np.ndarray, "2"]:
    """Summed loss of a rival minus that of a view, and the rival's own sum (nats), for their ratio over all seeds."""
    own, of_rival = losses(observation, view).sum(), losses(observation, rival).sum()
    return np.array([of_rival - own, of_rival])


def accuracy(observation: ChoiceObservation, view: str) -> float:
    """Share of the windows before which a view was right."""
    return _mean(observation, correct(observation, view))


def lead_over_person(observation: ChoiceObservation, view: str, who: str) -> float:
    """Accuracy of a view minus the share that a published person got right.

    With a seed, which resamples the stories, the person's answers are drawn again too.
    """
    one = person(who)
    share = one.share if observation.seed is None else one.resampled_share(observation.seed)
    return accuracy(observation, view) - share


def _mean(observation: ChoiceObservation, values: Shaped[np.ndarray, "window"]) -> float:
    if not len(values):
        raise NoValue(f"no word of {', '.join(map(repr, observation.group))} in the stories of this seed")
    return float(np.mean(values))


def _view(observation: ChoiceObservation, view: str) -> Float[np.ndarray, "window class"]:
    if view not in observation.log_probabilities:
        raise UserError(f"nothing was asked of the view {view!r}: name it in the task's views")
    return observation.log_probabilities[view]
