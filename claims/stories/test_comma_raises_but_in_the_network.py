"""A comma before the conjunction makes the one-layer model expect " but": replaced, it does so less."""

from functools import partial

from fixtures.network import raises_in_the_network
from optim_hunter import Profile, claim
from optim_hunter.measures.replaced import drop_by_replacement, drop_leads, log_odds_drop

IN_THE_NETWORK = raises_in_the_network(",", " but", "comma", stories=8, seeds="0-99")


@claim(
    IN_THE_NETWORK,
    Profile("What the log-odds of  but lose, by replacement", "nats", partial(drop_by_replacement, word=" but")),
)
def test_comma_raises_but_in_the_network(observation):
    return {"drop": log_odds_drop(observation, " but"), "lead": drop_leads(observation, " but")}
