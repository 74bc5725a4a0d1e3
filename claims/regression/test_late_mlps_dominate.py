"""The last MLPs write the answer."""

from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.attribution import component_profile, late_mlp_leads, late_mlp_specificity
from optim_hunter.tasks.regression import RegressionTask

LATE_MLPS_DOMINATE = Claim(
    id="regression/late-mlps-dominate",
    statement="The last 5 of 32 MLPs (for another depth the same fraction, rounded) hold more of the absolute direct "
    "logit attribution to the answer's pair of tokens than any disjoint run of as many consecutive MLPs, "
    "and more than they hold for random pairs of tokens of the same prompt.",
    source="Reverse-Engineering Linear Regression in Language Models, notes of December 2024 (G-structure/optim-hunt)",
    conditions=(
        Condition(
            "lead",
            "share of the late MLPs minus that of a disjoint run of as many consecutive MLPs, for every such run",
            "share of the absolute direct logit attribution of all components",
            smallest_effect=0.05,
        ),
        Condition(
            "specificity",
            "share of the late MLPs for the answers' pair minus its mean over 100 random pairs of "
            "distinct prompt tokens",
            "share of the absolute direct logit attribution of all components",
            smallest_effect=0.02,
        ),
    ),
    needs=frozenset({"attribution"}),
    family="regression",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25, pair="own"),
            models=("smollm2-135m", "llama-3.1-8b", "llama-3.1-8b-instruct"),
            note="25 examples; mean baseline's token against the model's own, at the first token where the two "
            "answers of the seed differ",
        ),
        Protocol(
            "published",
            RegressionTask("friedman_2", examples=19, pair="seed 0"),
            models=("smollm2-135m", "llama-3.1-8b", "llama-3.1-8b-instruct"),
            note="19 examples; seed 0's pair of tokens for every seed, at the last token of the prompt; "
            "the instruction is in our words",
        ),
    ),
    controls={"planted:late-mlp": Verdict.SUPPORTED, "planted:late-mlp-twin": Verdict.REFUTED},
    made_about=("llama-3.1-8b", "llama-3.1-8b-instruct"),
    seen_seeds="0-99",
    published="MLPs 27-31 hold 45 % of the absolute direct attribution for average vs LLM, MLP 31 alone 27 %; "
    "all 28 pairs pooled: 57 % and 48 % (mean over seeds of the signed contributions, seed 0's pairs)",
)


@claim(LATE_MLPS_DOMINATE, profile=component_profile)
def test_late_mlps_dominate(observation):
    attribution = observation.pair_attribution
    return {
        "lead": late_mlp_leads(attribution),
        "specificity": late_mlp_specificity(attribution, observation.episode.seed),
    }
