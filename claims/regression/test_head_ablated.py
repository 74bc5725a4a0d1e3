"""The head that looks at the outputs carries the answer: without what it brings the answer falls."""

from dataclasses import replace

from fixtures.protocols import INTERVENED_ON, LLAMA, LOOKS_AT_OUTPUTS, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.ablation import head_drop, head_drop_leads
from optim_hunter.measures.attention import above_median_head, output_mass_lead, output_preference
from optim_hunter.tasks.regression import RegressionTask

# head-attends-outputs is supported on both: in the decoy nothing reads what the head writes
CONTROLS = {"planted:discarded-head-twin": Verdict.SUPPORTED, "planted:discarded-head": Verdict.REFUTED}
TASK = RegressionTask("friedman_2", examples=25)
NOTE = "25 examples; mean baseline's token against the model's own, at the token that predicts them"
DROP = "logit difference of the answer's pair, less what it is with the head's output"
SMALLEST = 0.1  # a tenth in odds, as in informative-pairs: one of many heads need not move more

HEAD_ABLATED = Claim(
    id="regression/head-ablated",
    statement="At the token that predicts the answer, replacing what head L27H28 (on any other model: the head "
    "that is found on one half of the seeds as the one that most likely attends to the outputs) brings by what it "
    "brings for another seed lowers the logit difference of the answer's pair of tokens, and lowers it more than "
    "replacing any other head.",
    source=SOURCE,
    conditions=(
        Condition("drop", f"{DROP} resampled from another seed", "logits", SMALLEST),
        Condition("lead", "the same drop minus that of another head, for every other head", "logits", SMALLEST),
    ),
    shown=(
        Condition(
            "lead over the median head",
            "drop with the head resampled minus that of the median head",
            "logits",
            SMALLEST,
        ),
        Condition("drop, zeros", f"{DROP} set to zero", "logits", SMALLEST),
        Condition("drop, mean", f"{DROP} set to its mean over other seeds", "logits", SMALLEST),
        *LOOKS_AT_OUTPUTS,
    ),
    needs=frozenset({"attention", "head_ablation"}),
    family="regression-causal",
    protocols=(Protocol("corrected", TASK, models=INTERVENED_ON, note=NOTE),),
    controls=CONTROLS,
    control_seeds="0-47",
    made_about=LLAMA,
    seen_seeds="0-99",
    search=True,
    found_as=tuple(one.name for one in LOOKS_AT_OUTPUTS),
    named=dict.fromkeys(LLAMA, (27, 28)),
    partner_of="regression/head-attends-outputs",
)


def other_head(layer: int, head: int) -> Claim:
    """The same claim about another head that the paper named, on the paper's models only."""
    name = f"L{layer}H{head}"
    return replace(
        HEAD_ABLATED,
        id=f"regression/head-ablated-{name.lower()}",
        statement=f"At the token that predicts the answer, replacing what head {name} brings by what it brings for "
        "another seed lowers the logit difference of the answer's pair of tokens, and lowers it more than replacing "
        "any other head.",
        family="regression-other-heads-causal",
        protocols=(Protocol("corrected", TASK, models=LLAMA, note=NOTE),),
        search=False,
        found_as=(),
        named=dict.fromkeys(LLAMA, (layer, head)) | dict.fromkeys(CONTROLS, (2, 1)),
        partner_of=f"regression/head-attends-outputs-{name.lower()}",
    )


def ablations_of_heads(observation):
    """All quantities for every head, as arrays of layer × head."""
    ablation = observation.head_ablation
    drop = head_drop(ablation, "resample")
    return {
        "drop": drop,
        "lead": head_drop_leads(ablation, "resample"),
        "lead over the median head": above_median_head(drop),
        "drop, zeros": head_drop(ablation, "zero"),
        "drop, mean": head_drop(ablation, "mean"),
        "preference": output_preference(observation.attention),
        "mass above median": output_mass_lead(observation.attention),
    }


@claim(HEAD_ABLATED)
def test_head_ablated(observation):
    return ablations_of_heads(observation)


@claim(other_head(28, 29))
def test_head_l28h29_ablated(observation):
    return ablations_of_heads(observation)


@claim(other_head(27, 30))
def test_head_l27h30_ablated(observation):
    return ablations_of_heads(observation)
