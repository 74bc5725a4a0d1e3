"""The late MLPs matter, and not the last one alone."""

from fixtures.protocols import ATTRIBUTION_PROTOCOLS, LLAMA, SHARE, SHARES, SOURCE
from optim_hunter import Claim, Condition, Verdict, claim
from optim_hunter.measures.attribution import late_mlps_without_last

MLP31_ALONE = Claim(
    id="regression/mlp31-alone",
    statement="Not MLP 31 alone: layers 27-30 hold more than four layers would if all were alike. Of the last 5 of 32 "
    "MLPs (for another depth the same fraction, rounded), all but the last hold more of the absolute direct logit "
    "attribution to the answer's pair of tokens than as many components would if all components were alike, and more "
    "than as many MLPs would if all MLPs were alike.",
    source=SOURCE,
    conditions=(
        # 0.02 is a third of what four of 65 components hold if all are alike (4/65 = 0.062): the four then hold
        # what more than five alike ones would. It is also the smallest effect of late-mlps-dominate's specificity.
        Condition(
            "above alike components",
            "share of the late MLPs without the last minus that of as many components if all held alike",
            SHARE,
            smallest_effect=0.02,
        ),
        # MLPs may hold more than attention as a whole (mlps-over-attention), which says nothing about these four.
        Condition(
            "above alike MLPs",
            "share of the late MLPs without the last minus that of as many MLPs if all MLPs held alike",
            SHARE,
            smallest_effect=0.02,
        ),
    ),
    shown=(Condition("last MLP", "share of the last MLP", SHARE, 0.0),),
    needs=frozenset({"attribution"}),
    family="regression-attribution",
    protocols=ATTRIBUTION_PROTOCOLS,
    controls={"planted:before-last-mlp": Verdict.SUPPORTED, "planted:before-last-mlp-twin": Verdict.REFUTED},
    made_about=LLAMA,
    seen_seeds="0-99",
    published="average vs LLM: MLPs 27-30 hold 18.0 %, MLP 31 alone 27.4 %; four would hold 6.2 % if all 65 components "
    "were alike, and 9.1 % if all MLPs were; all 28 pairs pooled: 9.3 %, 48.0 %, 6.2 %, 9.7 % (mean over seeds of the "
    "signed contributions, seed 0's pairs)",
)


@claim(MLP31_ALONE, SHARES)
def test_mlp31_alone(observation):
    return late_mlps_without_last(observation.pair_attribution)
