"""The one-layer model needs its attention."""

from fixtures.network import part_matters
from optim_hunter import Verdict, claim
from optim_hunter.measures.network import loss_rise, random_rise

ATTENTION_MATTERS = part_matters(
    "attention",
    "its attention",
    {"planted:network-word-before": Verdict.SUPPORTED, "planted:network-last-word": Verdict.REFUTED},
)


@claim(ATTENTION_MATTERS)
def test_attention_matters(observation):
    rise = loss_rise(observation, "mean")
    return {
        "rise": rise,
        "lead": rise - random_rise(observation),
        "rise by nothing": loss_rise(observation, "zero"),
        "rise by resampling": loss_rise(observation, "resample"),
    }
