"""The late MLPs carry the answer: without what they write it falls."""

from dataclasses import replace
from functools import partial

from fixtures.protocols import ATTRIBUTION_PROTOCOLS, INTERVENED_ON, LLAMA, SOURCE
from optim_hunter import Claim, Condition, Profile, Verdict, claim
from optim_hunter.measures.ablation import (
    drop_profile,
    late_mlp_direct_effect,
    late_mlp_drop,
    late_mlp_drop_leads,
    late_mlp_drop_over_attention,
)

DROP = "logit difference of the answer's pair, less what it is with the late MLPs"
RIVALS = "the same drop minus that of a disjoint run of as many consecutive MLPs, for every such run"
SMALLEST_DROP = 0.5  # as for the weights of comma-raises-but: the odds of the two tokens change by a factor of 1.6
SMALLEST_LEAD = 0.1  # as in informative-pairs: a tenth in odds; less is no reason to prefer these MLPs

LATE_MLPS_ABLATED = Claim(
    id="regression/late-mlps-ablated",
    statement="At the token that predicts the answer, replacing what the last 5 of 32 MLPs (for another depth the same "
    "fraction, rounded) write by what they write for another seed lowers the logit difference of the answer's pair of "
    "tokens, and lowers it more than replacing any disjoint run of as many consecutive MLPs.",
    source=SOURCE,
    conditions=(
        Condition("drop", f"{DROP} resampled from other seeds", "logits", SMALLEST_DROP),
        Condition("lead", RIVALS, "logits", SMALLEST_LEAD),
    ),
    shown=(
        Condition("drop, zeros", f"{DROP} writing nothing", "logits", SMALLEST_DROP),
        Condition("lead, zeros", f"{RIVALS}, of MLPs writing nothing", "logits", SMALLEST_LEAD),
        Condition("drop, mean", f"{DROP} writing their mean over other seeds", "logits", SMALLEST_DROP),
        Condition("lead, mean", f"{RIVALS}, of MLPs writing their mean", "logits", SMALLEST_LEAD),
        Condition(
            "lead over attention",
            "drop with the late MLPs resampled minus that with the attention blocks of the same layers resampled",
            "logits",
            SMALLEST_LEAD,
        ),
        Condition(
            "direct effect",
            "what the late MLPs add to the logit difference directly: the drop, writing nothing, if no later component "
            "and no norm answered to it",
            "logits",
            SMALLEST_DROP,
        ),
    ),
    needs=frozenset({"attribution", "block_ablation"}),
    family="regression-causal",
    protocols=tuple(replace(protocol, models=INTERVENED_ON) for protocol in ATTRIBUTION_PROTOCOLS),
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


@claim(
    LATE_MLPS_ABLATED,
    Profile(
        "Drop with each run of as many blocks as are late resampled, by the first of its layers; the last MLPs are the "
        "late ones",
        "logits",
        partial(drop_profile, replacement="resample"),
        drawn="layers",
    ),
)
def test_late_mlps_ablated(observation):
    ablation = observation.block_ablation
    return {
        "drop": late_mlp_drop(ablation, "resample"),
        "lead": late_mlp_drop_leads(ablation, "resample"),
        "drop, zeros": late_mlp_drop(ablation, "zero"),
        "lead, zeros": late_mlp_drop_leads(ablation, "zero"),
        "drop, mean": late_mlp_drop(ablation, "mean"),
        "lead, mean": late_mlp_drop_leads(ablation, "mean"),
        "lead over attention": late_mlp_drop_over_attention(ablation, "resample"),
        "direct effect": late_mlp_direct_effect(observation.pair_attribution),
    }
