"""The last position carries more than any other."""

from optim_hunter import Claim, Condition, Profile, Protocol, Verdict, claim
from optim_hunter.measures.weights import last_position_lead, spread_profile
from optim_hunter.tasks.stories import StoriesTask

POSITION_MATTERS = Claim(
    id="stories/position-matters",
    statement="In a linear model over 16 positions × 1,024 tokens that chooses among five conjunctions, the last "
    "position moves the scores of the words from window to window more than any other position does.",
    source="Thoughts on Hand Crafting Language Models (Zephaniah Roe): a token of its own for each position; both "
    "weights shown are of the last",
    conditions=(
        Condition(
            "lead",
            "standard deviation over the windows of what the last position adds to the centred scores, root mean "
            "square over the five words, minus the largest of the other fifteen positions",
            "nats",
            smallest_effect=0.1,
        ),
    ),
    family="stories-all-weights",
    protocols=(
        Protocol("corrected", StoriesTask(), models=("linear",), note="seeds resample whole stories of the corpus"),
    ),
    controls={
        "planted:last-position": Verdict.SUPPORTED,
        "planted:last-position-twin": Verdict.REFUTED,
    },
    bootstrap=True,
)


@claim(
    POSITION_MATTERS,
    Profile("How much each position moves the scores, counted back from the word", "nats", spread_profile),
)
def test_position_matters(observation):
    return last_position_lead(observation)
