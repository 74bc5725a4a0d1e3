"""Regressors as functions in the published form: data in, a result with its error out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from optim_hunter.claim import UserError
from optim_hunter.tasks.regressors import TrainingData, fit, known, label_of


@dataclass(frozen=True)
class RegressionResult:
    """What a regressor predicted, and the data it saw.

    A prediction that there is none of is NaN, and `metadata["missing"]` says why. `metadata["performance_metrics"]`
    holds `mse` (squared units of the output), NaN if any prediction is.
    """

    model_name: str
    x_train: Float[np.ndarray, "example feature"]
    y_train: Float[np.ndarray, "example"]
    x_test: Float[np.ndarray, "test feature"]
    y_test: Float[np.ndarray, "test"]
    y_predict: Float[np.ndarray, "test"]
    metadata: dict[str, Any] = field(default_factory=dict)


class RegressorCallable(Protocol):
    """What the experiments take: a named function from data to a result."""

    __name__: str
    is_llm: bool

    def __call__(
        self,
        x_train: Float[np.ndarray, "example feature"],
        y_train: Float[np.ndarray, "example"],
        x_test: Float[np.ndarray, "test feature"],
        y_test: Float[np.ndarray, "test"],
        random_state: int = 0,
        **options: Any,
    ) -> RegressionResult: ...


class RegressorFunction:
    """A regressor of the table as a function."""

    is_llm = False

    def __init__(self, name: str) -> None:
        self.__name__ = name
        options = "".join(f", {option}" for option in known(name).options)
        self.__doc__ = f"{known(name).what}; takes random_state{options}."

    def __repr__(self) -> str:
        return f"<regressor {self.__name__}>"

    def __call__(
        self,
        x_train: Float[np.ndarray, "example feature"],
        y_train: Float[np.ndarray, "example"],
        x_test: Float[np.ndarray, "test feature"],
        y_test: Float[np.ndarray, "test"],
        random_state: int = 0,
        **options: Any,
    ) -> RegressionResult:
        """Fit on the examples and predict the test cases.

        Raises:
            UserError: an option that it does not have, or arrays of other shapes.
        """
        table, y_test = given_data(x_train, y_train, x_test, y_test, random_state)
        fitted = fit(self.__name__, table, **options)
        metadata = {
            "performance_metrics": performance(y_test, fitted.values),
            "warnings": dict(fitted.warnings),
            "missing": [] if fitted.missing is None else [fitted.missing],
        }
        label = label_of(self.__name__, **options)
        return RegressionResult(label, table.x_train, table.y_train, table.x_test, y_test, fitted.values, metadata)


def given_data(
    x_train: ArrayLike, y_train: ArrayLike, x_test: ArrayLike, y_test: ArrayLike, random_state: int = 0
) -> tuple[TrainingData, Float[np.ndarray, "test"]]:
    """What a function was given, as arrays of numbers; outputs of the test cases stand beside the table.

    Raises:
        UserError: no numbers, or shapes other than [n, d], [n], [m, d] and [m].
    """
    arrays = []
    for name, values in (("x_train", x_train), ("y_train", y_train), ("x_test", x_test), ("y_test", y_test)):
        try:
            arrays.append(np.asarray(values, dtype=float))
        except (TypeError, ValueError):
            raise UserError(f"{name} is no array of numbers: give what a data set draws") from None
    features, seen, cases, outputs = arrays
    table = TrainingData(features, seen, cases, random_state)
    if outputs.shape != (len(table.x_test),):
        raise UserError(
            f"y_test has shape {outputs.shape}, but x_test has {len(table.x_test)} test cases: give one output for each"
        )
    return table, outputs


def performance(y_test: Float[np.ndarray, "test"], y_predict: Float[np.ndarray, "test"]) -> dict[str, float]:
    """The mean squared error; NaN where a prediction is."""
    return {"mse": float(np.mean((y_predict - y_test) ** 2))}
