"""A last token " was" raises " so"."""

from functools import partial

from optim_hunter import Claim, Condition, Profile, Protocol, Verdict, claim
from optim_hunter.measures.weights import centred_profile, centred_weight, weight_lead, weight_profile
from optim_hunter.tasks.stories import StoriesTask

WAS_RAISES_SO = Claim(
    id="stories/was-raises-so",
    statement='In a linear model over 16 positions × 1,024 tokens that chooses among " and", " but", " for", " so", '
    '" or", the weight of " was" at the last position raises " so", and more than any of the other four.',
    source="Thoughts on Hand Crafting Language Models (Zephaniah Roe)",
    conditions=(
        Condition(
            "weight",
            'weight of " was" at the last position for " so", centred over the five classes',
            "nats",
            smallest_effect=0.5,
        ),
        Condition(
            "lead",
            'weight of " was" at the last position for " so" minus the largest of the other four',
            "nats",
            smallest_effect=0.5,
        ),
    ),
    family="stories",
    protocols=(
        Protocol("corrected", StoriesTask(), models=("linear",), note="seeds resample whole stories of the corpus"),
    ),
    controls={
        "planted:was-raises-so": Verdict.SUPPORTED,
        "planted:was-raises-so-twin": Verdict.REFUTED,
    },
    control_seeds="0-47",  # with two conditions, fewer resamples than 39 could refute nothing at 0.05
    bootstrap=True,
    published='" so" 5.43, " for" -0.83, " but" -1.15, " or" -1.37, " and" -3.17; centred weight 5.65, lead 6.26',
)

PUBLISHED = {" and": -3.17, " but": -1.15, " for": -0.83, " so": 5.43, " or": -1.37}


@claim(
    WAS_RAISES_SO,
    Profile(
        "Weight of “ was” at the last position for each word, centred",
        "nats",
        partial(weight_profile, token=" was"),
        published=centred_profile(PUBLISHED),
    ),
)
def test_was_raises_so(observation):
    return {"weight": centred_weight(observation, " was", " so"), "lead": weight_lead(observation, " was", " so")}
