"""The model uses which output belongs to which example: permuted, they help it less."""

from fixtures.protocols import INTERVENED_ON, LLAMA, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.prediction import absolute_error_gain, permutation_loss
from optim_hunter.tasks.regression import RegressionTask

OUTPUTS_PERMUTED = Claim(
    id="regression/outputs-permuted",
    statement="Permuting the outputs among the examples, which leaves their mean as it is, makes the model err more: "
    "what it gains over predicting the mean falls.",
    source=SOURCE,
    conditions=(
        Condition(
            "drop",
            "absolute error of the greedy answer with the outputs permuted among the examples minus that with each "
            "output at its own example",
            "units of the output",
            smallest_effect=36.0,  # a tenth of the mean baseline's absolute error, as in beats-average
        ),
    ),
    shown=(
        Condition(
            "gain",
            "absolute error of the mean of the examples minus that of the answer, each output at its own example",
            "units of the output",
            smallest_effect=36.0,
        ),
    ),
    needs=frozenset({"answer", "permuted"}),
    family="regression-causal",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25),
            models=INTERVENED_ON,
            note="25 examples, every answer parsed strictly; one permutation a seed",
        ),
    ),
    controls={
        "planted:kernel-regression": Verdict.SUPPORTED,
        "planted:kernel-regression-twin": Verdict.REFUTED,
    },
    seeds="0-39",  # a seed costs up to three times what that of its correlation does
    made_about=LLAMA,
    seen_seeds="0-99",
    partner_of="regression/beats-average",
)


@claim(OUTPUTS_PERMUTED)
def test_outputs_permuted(observation):
    return {"drop": permutation_loss(observation), "gain": absolute_error_gain(observation)}
