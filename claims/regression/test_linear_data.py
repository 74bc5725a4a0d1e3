"""The paper's title says linear: on linear data the model predicts better than simple rivals."""

from fixtures.protocols import ERRORS, MODELS
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.prediction import relative_error_gain
from optim_hunter.tasks.regression import RegressionTask

PROTOCOL = Protocol(
    "corrected",
    RegressionTask("linear:4", examples=25),
    models=MODELS,
    note="a weighted sum of four features, other weights for every seed; the paper ran no linear data",
)


def on_linear_data(rival: str, rival_error: str, without: str) -> Claim:
    """The claim about one rival; `without` is a subject that lacks the effect."""
    return Claim(
        id=f"regression/beats-{rival}-on-linear-data",
        statement="On data whose output is a weighted sum of four features, with examples in context, the model's "
        f"absolute error is smaller than {rival_error}.",
        source="Reverse-Engineering Linear Regression in Language Models (G-structure/optim-hunt), the title",
        conditions=(
            Condition(
                "relative gain",
                f"{rival_error} minus the absolute error of the model's greedy answer, over the mean absolute "
                "deviation of the prompt's outputs",
                "mean absolute deviations of the outputs",
                smallest_effect=0.1,  # a tenth of what the mean baseline errs by, as for beats-average, on any scale
            ),
        ),
        needs=frozenset({"answer"}),
        family="regression-linear-data",
        protocols=(PROTOCOL,),
        controls={"regressor:linear_regression": Verdict.SUPPORTED, without: Verdict.REFUTED},
        control_seeds="0-47",
        seeds="0-39",
    )


@claim(
    on_linear_data("average", "that of predicting the mean of the same examples", "regressor:baseline_average"), ERRORS
)
def test_beats_average_on_linear_data(observation):
    return relative_error_gain(observation, "average")


@claim(on_linear_data("last", "that of repeating the last output of the prompt", "regressor:baseline_last"), ERRORS)
def test_beats_last_on_linear_data(observation):
    return relative_error_gain(observation, "last")


@claim(
    on_linear_data(
        "random",
        "the expected error of an output of the prompt that is drawn at random",
        "synthetic:extreme-output",
    ),
    ERRORS,
)
def test_beats_random_on_linear_data(observation):
    return relative_error_gain(observation, "random")


@claim(on_linear_data("knn", "that of the mean of the 5 nearest examples", "regressor:baseline_average"), ERRORS)
def test_beats_knn_on_linear_data(observation):
    return relative_error_gain(observation, "kNN")
