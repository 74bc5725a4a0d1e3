"""A last token " was" makes the one-layer model expect " so": replaced, it does so less."""

from functools import partial

from fixtures.network import raises_in_the_network
from optim_hunter import Profile, claim
from optim_hunter.measures.replaced import drop_by_replacement, drop_leads, log_odds_drop

IN_THE_NETWORK = raises_in_the_network(" was", " so", "was", stories=12, seeds="0-59")


@claim(
    IN_THE_NETWORK,
    Profile("What the log-odds of  so lose, by replacement", "nats", partial(drop_by_replacement, word=" so")),
)
def test_was_raises_so_in_the_network(observation):
    return {"drop": log_odds_drop(observation, " so"), "lead": drop_leads(observation, " so")}
