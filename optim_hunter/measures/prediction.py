"""How far a prediction is from the truth, and from what a baseline would have said."""

from __future__ import annotations

from optim_hunter.observe.observation import RegressionObservation


def absolute_error_gain(observation: RegressionObservation) -> float:
    """Absolute error of predicting the mean of the examples minus the model's (units of the output).

    Raises:
        NoValue: the model's answer is no number.
    """
    gold = observation.episode.gold
    return abs(observation.average - gold) - abs(observation.prediction - gold)


def squared_error_gain(observation: RegressionObservation) -> float:
    """The same with squared errors (squared units of the output); too skewed to decide anything.

    Raises:
        NoValue: the model's answer is no number.
    """
    gold = observation.episode.gold
    return float((observation.average - gold) ** 2 - (observation.prediction - gold) ** 2)
