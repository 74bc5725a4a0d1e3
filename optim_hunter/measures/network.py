"""What a one-layer model's parts and rules are worth, as numbers or sums of a seed (nats)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.measures.choices import losses
from optim_hunter.observe.choices import ChoiceObservation

if TYPE_CHECKING:  # else collecting the claims would import torch
    from optim_hunter.observe.one_layer import AblatedPartObservation, RuleObservation


def share_of_gain(observation: ChoiceObservation, view: str, whole: str) -> Float[np.ndarray, "2"]:
    """What a view gains over the words' shares, and what another gains: their ratio is the share of the gap closed."""
    prior = losses(observation, "prior")
    return np.array([(prior - losses(observation, one)).sum() for one in (view, whole)])


def loss_rise(observation: AblatedPartObservation, replacement: str) -> float:
    """Mean loss with what the part writes replaced, minus that of the model as it is."""
    return float(np.mean(_losses(observation, observation.ablated[replacement]) - _intact(observation)))


def random_rise(observation: AblatedPartObservation) -> float:
    """The same with random parts as large replaced by their mean: mean over these."""
    return float(np.mean([_losses(observation, said) - _intact(observation) for said in observation.random]))


def rule_gain(observation: RuleObservation) -> Float[np.ndarray, "2"]:
    """What the book loses less than without the rule, summed over the windows in which it fires, and their number."""
    gained = _loss(observation.without, observation.labels) - _loss(observation.book, observation.labels)
    return np.array([gained.sum(), len(gained)])


def rule_frequency(observation: RuleObservation) -> Float[np.ndarray, "2"]:
    """Windows in which the rule fires, and all windows."""
    return np.array([len(observation.labels), observation.windows])


def rule_use(observation: RuleObservation) -> Float[np.ndarray, "2"]:
    """How far the network's log-probabilities move with the rule's condition, along the rule's shifts; and by the rule.

    The first is what the network loses along the shifts (about their mean) less what all other rules of the book do;
    the second the shifts' own squared length. Both are summed over the windows in which the rule fires: their ratio is
    the share of the rule's shift that the network makes.
    """
    direction = observation.direction
    own = (observation.lost - observation.lost_by_others) @ direction
    return np.array([own.sum(), len(own) * (direction @ direction)])


def _intact(observation: AblatedPartObservation) -> Float[np.ndarray, "window"]:
    return _losses(observation, observation.intact)


def _losses(
    observation: AblatedPartObservation, said: Float[np.ndarray, "window class"]
) -> Float[np.ndarray, "window"]:
    return _loss(said, observation.labels)


def _loss(said: Float[np.ndarray, "window class"], labels: Int[np.ndarray, "window"]) -> Float[np.ndarray, "window"]:
    return -said[np.arange(len(labels)), labels]
