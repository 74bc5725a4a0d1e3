"""MLP neurons do other things at outputs than at features."""

from fixtures.protocols import LLAMA, READERS, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.activations import output_distance_lead
from optim_hunter.tasks.regression import RegressionTask

UNIT = "mean squared length of the kinds' means"

MLP_ACTIVATIONS_DIFFER = Claim(
    id="regression/mlp-activations-differ",
    statement="In the last ten layers the activations of MLP neurons at the tokens of output values differ from those "
    "at feature values, by more than those at the values of different features differ from each other.",
    source=SOURCE,
    conditions=(
        Condition(
            "mean of the layers",
            "squared distance of mean activations at outputs to those at each feature, minus the mean squared distance "
            "of features to each other; mean over the last ten layers; chance taken off by two halves of the examples",
            UNIT,
            smallest_effect=0.1,  # outputs stand out by a third (√0.1) of the length of a mean activation
        ),
    ),
    shown=(Condition("every layer", "the same of each of the last ten layers", UNIT, 0.1),),
    needs=frozenset({"activations"}),
    family="regression-activations",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25),
            models=READERS,
            note="25 examples; all tokens of all values of the examples; features against each other as the measure of "
            "how much any two kinds of value differ",
        ),
    ),
    controls={"planted:output-neurons": Verdict.SUPPORTED, "planted:output-neurons-twin": Verdict.REFUTED},
    made_about=LLAMA,
    seen_seeds="0-99",
    published="figures of activations at output and feature positions of one prompt, without a number",
)


@claim(MLP_ACTIVATIONS_DIFFER)
def test_mlp_activations_differ(observation):
    lead = output_distance_lead(observation.activations)
    return {"mean of the layers": lead.mean(), "every layer": lead}
