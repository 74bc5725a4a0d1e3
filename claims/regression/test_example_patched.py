"""The late MLPs carry what an example does to the answer: patched from a prompt with another one, they change it."""

from fixtures.protocols import LLAMA, MODELS, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.ablation import late_mlp_patched
from optim_hunter.tasks.regression import RegressionTask

SMALLEST = 0.1  # a tenth in odds, as in informative-pairs: one example of many need not move more
RIVALS = "the same minus that of a disjoint run of as many consecutive MLPs, for every such run"
NOISING = (
    "what the logit difference of the answer's pair loses, counted in the direction of the change, when the late MLPs "
    "write what they write with another last example"
)
DENOISING = "what the logit difference with another last example gains when the late MLPs write what they write without"

EXAMPLE_PATCHED = Claim(
    id="regression/example-patched",
    statement="Of the change that another last example makes to the logit difference of the answer's pair of tokens, "
    "the last 5 of 32 MLPs (for another depth the same fraction, rounded) carry more than any disjoint run of as many "
    "consecutive MLPs: patched at the token that predicts the answer, they take it from the prompt (noising) and "
    "bring it to the changed prompt (denoising).",
    source=SOURCE,
    conditions=(
        Condition("noising", NOISING, "logits", SMALLEST),
        Condition("noising lead", RIVALS, "logits", SMALLEST),
        Condition("denoising", DENOISING, "logits", SMALLEST),
        Condition("denoising lead", RIVALS, "logits", SMALLEST),
    ),
    shown=(
        Condition(
            "direct",
            "what the late MLPs add directly to the change of the logit difference: noising and denoising, if no later "
            "component and no norm answered to them",
            "logits",
            SMALLEST,
        ),
        Condition("change", "size of the change that another last example makes", "logits", SMALLEST),
    ),
    needs=frozenset({"patching"}),
    family="regression-causal",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25),
            models=MODELS,
            note="25 examples, the last of which is put beside the seed's next row; mean baseline's token against the "
            "model's own, at the first token where the two answers differ",
        ),
    ),
    controls={
        "planted:late-mlp": Verdict.SUPPORTED,
        "planted:late-mlp-twin": Verdict.REFUTED,
        "planted:erased-mlp": Verdict.REFUTED,  # late-mlps-dominate is supported on it
    },
    made_about=LLAMA,
    seen_seeds="0-99",
    partner_of="regression/late-mlps-dominate",
)


@claim(EXAMPLE_PATCHED)
def test_example_patched(observation):
    return late_mlp_patched(observation.patching)
