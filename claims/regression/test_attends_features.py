"""A head looks at the features of the examples when the answer is due."""

from fixtures.protocols import LLAMA, MODELS, ROW, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.attention import example_feature_lead, example_feature_preference, query_feature_lead
from optim_hunter.tasks.regression import RegressionTask

ATTENDS_FEATURES = Claim(
    id="regression/attends-features",
    statement="From the token that predicts the answer, a head found on one half of the seeds attends more to the "
    "feature values of the examples than to their output values on the other half.",
    source=SOURCE,
    conditions=(
        Condition(
            "preference",
            "log2 of the attention mass per token on the examples' feature values over the mass per token on their "
            "output values; the test case's own features, which stand right before the answer, do not count, since "
            "any head that looks at what is near looks at them",
            "log2 ratio",
            smallest_effect=1.0,  # a feature token gets twice what an output token gets, as in head-attends-outputs
        ),
        # The ratio alone would be met by a head that looks at neither.
        Condition(
            "mass above median",
            "attention mass on the examples' feature values minus that of the median head",
            ROW,
            smallest_effect=0.1,  # as in head-attends-outputs
        ),
    ),
    shown=(
        Condition(
            "test case above median",
            "attention mass on the test case's own feature values minus that of the median head",
            ROW,
            0.1,
        ),
    ),
    needs=frozenset({"attention"}),
    family="regression-attention",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25),
            models=MODELS,
            note="25 examples; all four features of the examples; row of the token that predicts the answer; positions "
            "from each prompt's own characters",
        ),
    ),
    controls={"planted:output-head-twin": Verdict.SUPPORTED, "planted:output-head": Verdict.REFUTED},
    control_seeds="0-47",
    made_about=LLAMA,
    seen_seeds="0-99",
    search=True,
    published="maps of attention to three of four features, from the first token of the answer instead of the one "
    "before it, at seed 0's positions for every seed; without a number",
)


@claim(ATTENDS_FEATURES)
def test_attends_features(observation):
    mass = observation.attention
    return {
        "preference": example_feature_preference(mass),
        "mass above median": example_feature_lead(mass),
        "test case above median": query_feature_lead(mass),
    }
