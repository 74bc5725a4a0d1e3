"""Large weights are not those of rare tokens."""

from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.weights import frequent_share
from optim_hunter.tasks.stories import StoriesTask

RARE_TOKENS = Claim(
    id="stories/rare-tokens",
    statement="With an L1 penalty of 1e-4 nats, which leaves out by itself what fewer than 1 in 10,000 windows hold, "
    "most of the 100 tokens at positions with the largest weights are held by 1 in 1,000 windows or more.",
    source="Thoughts on Hand Crafting Language Models (Zephaniah Roe): L1 against large weights of tokens that are "
    "active on 1 in 100,000 examples",
    conditions=(
        Condition(
            "frequent",
            "of the 100 tokens at positions whose largest absolute weight, centred over the five words, is largest, "
            "the share that at least 1 in 1,000 windows hold there",
            "share",
            smallest_effect=0.5,
        ),
    ),
    family="stories-all-weights",
    protocols=(
        Protocol("corrected", StoriesTask(), models=("linear",), note="seeds resample whole stories of the corpus"),
    ),
    controls={
        "planted:frequent-marks": Verdict.SUPPORTED,
        "planted:frequent-marks-twin": Verdict.REFUTED,
    },
    bootstrap=True,
)


@claim(RARE_TOKENS)
def test_rare_tokens(observation):
    return frequent_share(observation)
