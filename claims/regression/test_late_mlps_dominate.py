"""The last MLPs write the answer."""

from fixtures.protocols import ATTRIBUTION_PROTOCOLS, LLAMA, SHARE, SHARES, SOURCE, WRITES
from optim_hunter import Claim, Condition, Verdict, claim
from optim_hunter.measures.attribution import late_mlp_leads, late_mlp_specificity

LATE_MLPS_DOMINATE = Claim(
    id="regression/late-mlps-dominate",
    statement="The last 5 of 32 MLPs (for another depth the same fraction, rounded) hold more of the absolute direct "
    "logit attribution to the answer's pair of tokens than any disjoint run of as many consecutive MLPs, "
    "and more than they hold for random pairs of tokens of the same prompt.",
    source=SOURCE,
    conditions=(
        Condition(
            "lead",
            "share of the late MLPs minus that of a disjoint run of as many consecutive MLPs, for every such run",
            SHARE,
            smallest_effect=0.05,
        ),
        Condition(
            "specificity",
            "share of the late MLPs for the answers' pair minus its mean over 100 random pairs of "
            "distinct prompt tokens",
            SHARE,
            smallest_effect=0.02,
        ),
    ),
    needs=frozenset({"attribution"}),
    family="regression",
    protocols=ATTRIBUTION_PROTOCOLS,
    controls={"planted:late-mlp": Verdict.SUPPORTED, "planted:late-mlp-twin": Verdict.REFUTED},
    made_about=LLAMA,
    seen_seeds="0-99",
    published="MLPs 27-31 hold 45 % of the absolute direct attribution for average vs LLM, MLP 31 alone 27 %; "
    "all 28 pairs pooled: 57 % and 48 % (mean over seeds of the signed contributions, seed 0's pairs)",
)


@claim(LATE_MLPS_DOMINATE, SHARES, WRITES)
def test_late_mlps_dominate(observation):
    attribution = observation.pair_attribution
    return {
        "lead": late_mlp_leads(attribution),
        "specificity": late_mlp_specificity(attribution, observation.episode.seed),
    }
