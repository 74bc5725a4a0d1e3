"""The late MLPs carry what an example does to the answer: patched from a prompt with another one, they change it."""

from fixtures.protocols import INTERVENED_ON, LLAMA, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.ablation import late_mlp_patched
from optim_hunter.tasks.regression import RegressionTask

SHARE = "share of the change"
CARRIED = 0.25  # more than the 5 of 32 MLPs would carry if all carried alike (0.16), of a change carried by MLPs alone
LEAD = 0.1  # a tenth of the change
RIVALS = "the same minus that of a disjoint run of as many consecutive MLPs, for every such run"
NOISING = (
    "what the logit difference of the answer's pair loses, counted in the direction of the change, when the late MLPs "
    "write what they write with another last example; sum over the seeds, over that of the size of the change"
)
DENOISING = (
    "what the logit difference with another last example gains when the late MLPs write what they write without; "
    "sum over the seeds, over that of the size of the change"
)


def share(name: str, quantity: str, smallest_effect: float) -> Condition:
    """A part of the change that seeds with a large change count more for: where it is small, most of it is noise."""
    return Condition(name, quantity, SHARE, smallest_effect, statistic="ratio of sums")


EXAMPLE_PATCHED = Claim(
    id="regression/example-patched",
    statement="Of the change that another last example makes to the logit difference of the answer's pair of tokens, "
    "the last 5 of 32 MLPs (for another depth the same fraction, rounded) carry a quarter, and a tenth more than any "
    "disjoint run of as many consecutive MLPs: patched at the token that predicts the answer, they take it from the "
    "prompt (noising) and bring it to the changed prompt (denoising).",
    source=SOURCE,
    conditions=(
        share("noising", NOISING, CARRIED),
        share("noising lead", RIVALS, LEAD),
        share("denoising", DENOISING, CARRIED),
        share("denoising lead", RIVALS, LEAD),
    ),
    shown=(
        share(
            "direct",
            "what the late MLPs add directly to the change of the logit difference: noising and denoising, if no later "
            "component and no norm answered to them",
            CARRIED,
        ),
        Condition("change", "size of the change that another last example makes", "logits", 0.1),  # a tenth in odds
    ),
    needs=frozenset({"patching"}),
    family="regression-causal",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25),
            models=INTERVENED_ON,
            note="25 examples, the last of which is put beside the seed's next row; mean baseline's token against the "
            "model's own, at the first token where the two answers differ",
        ),
    ),
    controls={
        "planted:late-mlp": Verdict.SUPPORTED,
        "planted:late-mlp-twin": Verdict.REFUTED,
        "planted:erased-mlp": Verdict.REFUTED,  # late-mlps-dominate is supported on it
    },
    seeds="0-39",  # a seed costs up to three times what that of its correlation does
    made_about=LLAMA,
    seen_seeds="0-99",
    partner_of="regression/late-mlps-dominate",
)


@claim(EXAMPLE_PATCHED)
def test_example_patched(observation):
    return late_mlp_patched(observation.patching)
