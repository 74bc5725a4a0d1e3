"""The one-layer model needs its MLP."""

from fixtures.network import part_matters
from optim_hunter import Verdict, claim
from optim_hunter.measures.network import loss_rise, random_rise

MLP_MATTERS = part_matters(
    "mlp",
    "its MLP",
    {"planted:network-both-words": Verdict.SUPPORTED, "planted:network-word-before": Verdict.REFUTED},
)


@claim(MLP_MATTERS)
def test_mlp_matters(observation):
    rise = loss_rise(observation, "mean")
    return {
        "rise": rise,
        "lead": rise - random_rise(observation),
        "rise by nothing": loss_rise(observation, "zero"),
        "rise by resampling": loss_rise(observation, "resample"),
    }
