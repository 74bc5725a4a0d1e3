"""How far a prediction is from the truth, and from what rivals would have said of the same examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import RegressionObservation
from optim_hunter.tasks.regression import KEPT_EPISODES, Episode
from optim_hunter.tasks.regressors import predict


def _error_of(regressor: str) -> Callable[[Episode], float]:
    """The absolute error of a regressor of the table on the test case of an episode; it is fitted once an episode."""

    @lru_cache(KEPT_EPISODES)
    def error(episode: Episode) -> float:
        case = episode.test_features[np.newaxis]
        return abs(float(predict(regressor, episode.features, episode.outputs, case, episode.seed)[0]) - episode.gold)

    return error


RIVAL_ERRORS: Mapping[str, Callable[[Episode], float]] = {
    "average": lambda episode: abs(float(episode.outputs.mean()) - episode.gold),
    "last": lambda episode: abs(float(episode.outputs[-1]) - episode.gold),
    "random": lambda episode: float(np.abs(episode.outputs - episode.gold).mean()),
    "one random draw": _error_of("baseline_random"),
    "kNN": _error_of("knn_regression"),
}
"""Rival → its absolute error (units of the output). `random` is the expected error of an output of the prompt drawn at
random, `one random draw` that of one which is drawn with the seed, as the published baseline does; `kNN` takes the mean
of the 5 nearest examples."""


def absolute_error(observation: RegressionObservation) -> float:
    """The absolute error of the model's answer (units of the output).

    Raises:
        NoValue: the model's answer is no number.
    """
    return abs(observation.prediction - observation.episode.gold)


def error_gain(observation: RegressionObservation, rival: str) -> float:
    """Absolute error of a rival minus the model's (units of the output).

    Raises:
        NoValue: the model's answer is no number.
    """
    return RIVAL_ERRORS[rival](observation.episode) - absolute_error(observation)


def relative_error_gain(observation: RegressionObservation, rival: str) -> float:
    """The same in mean absolute deviations of the prompt's outputs, so that data sets of any scale can be compared.

    Raises:
        NoValue: the model's answer is no number, or the outputs are all alike.
    """
    return error_gain(observation, rival) / mean_deviation(observation.episode)


def mean_deviation(episode: Episode) -> float:
    """Mean absolute deviation of the prompt's outputs from their mean: the scale of a data set's errors.

    Raises:
        NoValue: the outputs are all alike.
    """
    deviation = float(np.abs(episode.outputs - episode.outputs.mean()).mean())
    if deviation == 0:
        raise NoValue("the outputs of the prompt are all alike: there is no scale to count errors in")
    return deviation


def error_profile(observation: RegressionObservation, rivals: Sequence[str]) -> dict[str, float]:
    """Absolute errors of the model and of rivals on the test case (units of the output), for the report.

    Raises:
        NoValue: the model's answer is no number.
    """
    return {"model": absolute_error(observation)} | {one: RIVAL_ERRORS[one](observation.episode) for one in rivals}


def absolute_error_gain(observation: RegressionObservation) -> float:
    """Absolute error of predicting the mean of the examples minus the model's (units of the output).

    Raises:
        NoValue: the model's answer is no number.
    """
    return error_gain(observation, "average")


def permutation_loss(observation: RegressionObservation) -> float:
    """Absolute error of the answer to permuted outputs minus that of the answer (units of the output).

    The mean of the examples is the same for both, so that this is also what the gain over it loses.

    Raises:
        NoValue: one of the answers is no number.
    """
    return abs(observation.permuted_prediction - observation.episode.gold) - absolute_error(observation)


def squared_error_gain(observation: RegressionObservation) -> float:
    """The same with squared errors (squared units of the output); too skewed to decide anything.

    Raises:
        NoValue: the model's answer is no number.
    """
    return RIVAL_ERRORS["average"](observation.episode) ** 2 - absolute_error(observation) ** 2


def regressor_errors(observation: RegressionObservation, regressors: Sequence[str]) -> Float[np.ndarray, "regressor"]:
    """Absolute errors of regressors on the test case, each fitted to the prompt's examples (units of the output).

    Raises:
        UserError: the claim did not ask for regressors.
    """
    predictions = np.array([observation.regressors[name] for name in regressors])
    return np.abs(predictions - observation.episode.gold)


def wins_above_half(observation: RegressionObservation, regressors: Sequence[str]) -> Float[np.ndarray, "regressor"]:
    """Of each regressor: ½ where the model errs less, 0 where both err alike, −½ where the model errs more.

    Raises:
        NoValue: the model's answer is no number.
    """
    lead = regressor_errors(observation, regressors) - absolute_error(observation)
    wins: Float[np.ndarray, "regressor"] = np.sign(lead) / 2
    return wins


def generalised_log_errors(
    observation: RegressionObservation, regressors: Sequence[str]
) -> Float[np.ndarray, "predictor"]:
    """asinh of the absolute errors of the model, then of the regressors, over a tenth of the outputs' mean deviation.

    A logarithm for errors that matter and a straight line for those that do not: log |e| itself has so long a tail to
    the left, where errors happen to be near 0, that the best split in two is a matter of chance.

    Raises:
        NoValue: the model's answer is no number, or the outputs are all alike.
    """
    errors = np.array([absolute_error(observation), *regressor_errors(observation, regressors)])
    sizes: Float[np.ndarray, "predictor"] = np.arcsinh(errors / (mean_deviation(observation.episode) / 10))
    return sizes
