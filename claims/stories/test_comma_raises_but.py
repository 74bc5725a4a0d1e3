"""A comma before the conjunction raises " but"."""

from functools import partial

from optim_hunter import Claim, Condition, Profile, Protocol, Verdict, claim
from optim_hunter.measures.weights import centred_profile, centred_weight, weight_lead, weight_profile
from optim_hunter.tasks.stories import StoriesTask

COMMA_RAISES_BUT = Claim(
    id="stories/comma-raises-but",
    statement='In a linear model over 16 positions × 1,024 tokens that chooses among " and", " but", " for", " so", '
    '" or", the weight of "," at the last position raises " but", and more than any of the other four.',
    source="Thoughts on Hand Crafting Language Models (Zephaniah Roe)",
    conditions=(
        Condition(
            "weight",
            'weight of "," at the last position for " but", centred over the five classes',
            "nats",
            smallest_effect=0.5,
        ),
        Condition(
            "lead",
            'weight of "," at the last position for " but" minus the largest of the other four',
            "nats",
            smallest_effect=0.5,
        ),
    ),
    family="stories",
    protocols=(
        Protocol("corrected", StoriesTask(), models=("linear",), note="seeds resample whole stories of the corpus"),
    ),
    controls={
        "planted:comma-raises-but": Verdict.SUPPORTED,
        "planted:comma-raises-but-twin": Verdict.REFUTED,
    },
    control_seeds="0-47",  # with two conditions, fewer resamples than 39 could refute nothing at 0.05
    bootstrap=True,
    published='" but" 3.36, " so" 1.05, " or" -1.07, " and" -1.80, " for" -3.70; centred weight 3.79, lead 2.31',
)

PUBLISHED = {" and": -1.80, " but": 3.36, " for": -3.70, " so": 1.05, " or": -1.07}


@claim(
    COMMA_RAISES_BUT,
    Profile(
        "Weight of “,” at the last position for each word, centred",
        "nats",
        partial(weight_profile, token=","),
        published=centred_profile(PUBLISHED),
    ),
)
def test_comma_raises_but(observation):
    return {"weight": centred_weight(observation, ",", " but"), "lead": weight_lead(observation, ",", " but")}
