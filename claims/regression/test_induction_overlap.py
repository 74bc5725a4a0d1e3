"""The head that looks at the outputs is an induction head."""

from fixtures.protocols import LLAMA, MODELS, ROW, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.attention import above_median_head
from optim_hunter.tasks.regression import RegressionTask

INDUCTION_OVERLAP = Claim(
    id="regression/induction-overlap",
    statement="The head that looks at the outputs is an induction head: L27H28, and on any other model the head "
    "that puts most attention on the outputs on one half of the seeds, attends from the test case's labels to what "
    "followed the same places of the examples, more than uniform attention does and more than the median head does.",
    source=SOURCE,
    conditions=(
        Condition(
            "stripe above uniform",
            "attention mass on the tokens that followed the same places of the examples, minus what attention to all "
            "earlier tokens alike puts there; mean over label tokens of the test case that a label token follows",
            ROW,
            smallest_effect=0.1,  # as for the mass on outputs in head-attends-outputs
        ),
        Condition(
            "stripe above median",
            "the same mass minus that of the median head",
            ROW,
            smallest_effect=0.1,
        ),
    ),
    shown=(
        Condition(
            "mass elsewhere",
            "attention mass that the token which predicts the answer does not put on output values; the head with the "
            "least on the finding half is looked at",
            ROW,
            0.0,
        ),
        Condition(
            "published stripe above uniform",
            "mass on the token that lies the number of examples back, minus what uniform attention puts there",
            ROW,
            0.1,
        ),
    ),
    needs=frozenset({"attention", "induction"}),
    family="regression-attention",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25),
            models=MODELS,
            note="25 examples; the stripe at each prompt's own distances in tokens; the published one, at the number "
            "of examples, is shown beside it",
        ),
    ),
    controls={"planted:late-mlp": Verdict.SUPPORTED, "planted:base-rate": Verdict.REFUTED},
    control_seeds="0-47",
    made_about=LLAMA,
    seen_seeds="0-99",
    search=True,
    found_by="mass elsewhere",
    named=dict.fromkeys(LLAMA, (27, 28)),
    published='"a lot of overlap with induction heads", without a number; the stripe was taken at the number of '
    "examples instead of the distance in tokens",
)


@claim(INDUCTION_OVERLAP)
def test_induction_overlap(observation):
    induction = observation.induction
    return {
        "stripe above uniform": induction.stripe - induction.uniform,
        "stripe above median": above_median_head(induction.stripe),
        "mass elsewhere": 1 - observation.attention.outputs,
        "published stripe above uniform": induction.published - induction.uniform_published,
    }
