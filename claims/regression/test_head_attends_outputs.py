"""A head looks at the outputs of the examples when the answer is due."""

from dataclasses import replace

from fixtures.protocols import LLAMA, LOOKS_AT_OUTPUTS, MODELS, SOURCE
from optim_hunter import Claim, Protocol, Verdict, claim
from optim_hunter.measures.attention import output_mass_lead, output_preference
from optim_hunter.tasks.regression import RegressionTask

PLANTED = ("planted:output-head", "planted:output-head-twin")
TASK = RegressionTask("friedman_2", examples=25)
NOTE = "25 examples; row of the token that predicts the answer; positions from each prompt's own characters"

HEAD_ATTENDS_OUTPUTS = Claim(
    id="regression/head-attends-outputs",
    statement="From the token that predicts the answer, head L27H28 attends more to the earlier output values than to "
    "the feature values; on any other model, a head found on one half of the seeds does so on the other half.",
    source=SOURCE,
    conditions=LOOKS_AT_OUTPUTS,
    needs=frozenset({"attention"}),
    family="regression",
    protocols=(Protocol("corrected", TASK, models=MODELS, note=NOTE),),
    controls={"planted:output-head": Verdict.SUPPORTED, "planted:output-head-twin": Verdict.REFUTED},
    control_seeds="0-47",
    made_about=LLAMA,
    seen_seeds="0-99",
    search=True,
    named=dict.fromkeys(LLAMA, (27, 28)),
    published='"L27H28, L28H29, L27H30 look interesting", without a number',
)


def other_head(layer: int, head: int) -> Claim:
    """The same claim about another head that the paper named, on the paper's models only."""
    name = f"L{layer}H{head}"
    return replace(
        HEAD_ATTENDS_OUTPUTS,
        id=f"regression/head-attends-outputs-{name.lower()}",
        statement=f"From the token that predicts the answer, head {name} attends more to the earlier output values "
        "than to the feature values.",
        family="regression-other-heads",
        protocols=(Protocol("corrected", TASK, models=LLAMA, note=NOTE),),
        search=False,
        named=dict.fromkeys(LLAMA, (layer, head)) | dict.fromkeys(PLANTED, (2, 1)),
    )


def attention_to_outputs(observation):
    """Both conditions for every head, as arrays of layer × head."""
    mass = observation.attention
    return {"preference": output_preference(mass), "mass above median": output_mass_lead(mass)}


@claim(HEAD_ATTENDS_OUTPUTS)
def test_head_attends_outputs(observation):
    return attention_to_outputs(observation)


@claim(other_head(28, 29))
def test_head_l28h29_attends_outputs(observation):
    return attention_to_outputs(observation)


@claim(other_head(27, 30))
def test_head_l27h30_attends_outputs(observation):
    return attention_to_outputs(observation)
