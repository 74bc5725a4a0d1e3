"""The model predicts the parts of a formula better than their own means."""

import pytest

from fixtures.protocols import READERS, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.prediction import relative_error_gain
from optim_hunter.tasks.regression import RegressionTask


def understands(component: str, dataset: str, formula: str, published: str) -> Claim:
    """The claim about one sub-expression of original2, alone as the output of the same features."""
    return Claim(
        id=f"regression/understands-{component}",
        statement=f"With 10 examples of the features of original2 and {formula} as the output, the model's absolute "
        "error is smaller than that of predicting the mean of the same examples.",
        source=SOURCE,
        conditions=(
            Condition(
                "relative gain",
                "absolute error of the mean of the examples minus that of the model's greedy answer, over the mean "
                "absolute deviation of the prompt's outputs",
                "mean absolute deviations of the outputs",
                smallest_effect=0.1,  # a tenth of what the mean baseline errs by, the same for every component
            ),
        ),
        needs=frozenset({"answer"}),
        family="regression-components",
        protocols=(
            Protocol(
                "corrected",
                RegressionTask(dataset, examples=10),
                models=READERS,
                note="10 examples; the answer is what stands before the first line break; the published run passed the "
                "seed as the number of new tokens and scored examples that the model had invented",
            ),
        ),
        controls={"regressor:random_forest": Verdict.SUPPORTED, "regressor:baseline_average": Verdict.REFUTED},
        control_seeds="0-99",
        seeds="0-39",
        published=published,
    )


@pytest.mark.slow
@claim(understands("fourth-power", "original2:fourth-power", "x0⁴", "mean squared error 925, correlation −0.02"))
def test_understands_fourth_power(observation):
    return relative_error_gain(observation, "average")


@pytest.mark.slow
@claim(understands("product", "original2:product", "x1·x2", "mean squared error 10,163, correlation 0.16"))
def test_understands_product(observation):
    return relative_error_gain(observation, "average")


@pytest.mark.slow
@claim(
    understands(
        "inverse-root",
        "original2:inverse-root",
        "2/(√x1·√x3)",
        "mean squared error 0.0167, correlation −0.005; the figure calls it 2/√x₁",
    )
)
def test_understands_inverse_root(observation):
    return relative_error_gain(observation, "average")


@pytest.mark.slow
@claim(
    understands(
        "squared-combination",
        "original2:squared-combination",
        "(x1·x2 − 2/(√x1·√x3))²",
        "mean squared error 6.34e8, correlation 0.41",
    )
)
def test_understands_squared_combination(observation):
    return relative_error_gain(observation, "average")


@pytest.mark.slow
@claim(
    understands(
        "whole-function",
        "original2",
        "(x0⁴ + (x1·x2 − 2/(√x1·√x3))²)^0.75",
        "mean squared error 2.77e6, correlation 0.33",
    )
)
def test_understands_whole_function(observation):
    return relative_error_gain(observation, "average")
