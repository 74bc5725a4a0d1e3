"""MLPs, not attention, write the answer."""

from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.attribution import component_profile, mlp_lead_over_attention
from optim_hunter.tasks.regression import RegressionTask

MLPS_OVER_ATTENTION = Claim(
    id="regression/mlps-over-attention",
    statement="All MLPs together hold more of the absolute direct logit attribution to the answer's pair of tokens "
    "than all attention blocks together.",
    source="Reverse-Engineering Linear Regression in Language Models, notes of December 2024 (G-structure/optim-hunt)",
    conditions=(
        Condition(
            "lead",
            "share of all MLPs minus that of all attention blocks",
            "share of the absolute direct logit attribution of all components",
            smallest_effect=0.1,  # 55 % to 45 % of what blocks hold; less is no reason to look at MLPs first
        ),
    ),
    needs=frozenset({"attribution"}),
    family="regression-attribution",
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
    controls={"planted:late-mlp": Verdict.SUPPORTED, "planted:output-head": Verdict.REFUTED},
    made_about=("llama-3.1-8b", "llama-3.1-8b-instruct"),
    seen_seeds="0-99",
    published="average vs LLM: MLPs hold 72.8 %, attention 27.1 %; all 28 pairs pooled: 77.5 % and 22.4 % "
    "(mean over seeds of the signed contributions, seed 0's pairs)",
)


@claim(MLPS_OVER_ATTENTION, profile=component_profile)
def test_mlps_over_attention(observation):
    return mlp_lead_over_attention(observation.pair_attribution)
