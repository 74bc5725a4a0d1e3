"""A comma before the conjunction makes a language model expect " but": replaced, it does so less."""

from functools import partial

from fixtures.held_out import MODELS, SOURCE
from optim_hunter import Claim, Condition, Profile, Protocol, Verdict, claim
from optim_hunter.measures.replaced import drop_by_replacement, drop_leads, log_odds_drop
from optim_hunter.tasks.held_out import ReplacedTokenTask

COMMA_REPLACED = Claim(
    id="stories/comma-replaced",
    statement='A language model that chooses among " and", " but", " for", " so", " or" after 16 tokens of a held-out '
    'story that end in "," expects " but" less when that comma is replaced by another token of like frequency, which '
    "takes less from each of the other four.",
    source=SOURCE,
    conditions=(
        Condition(
            "drop",
            'log-odds of " but" against the other four with the comma, minus those with another token in its place; '
            "mean over the windows of a seed and over the three tokens that are nearest in frequency",
            "nats",
            smallest_effect=0.5,  # as for the weight in comma-raises-but
        ),
        Condition(
            "lead",
            'what the log-probability of " but" loses minus what that of another word of the five loses, for each of '
            "the other four",
            "nats",
            smallest_effect=0.5,
        ),
    ),
    family="stories-causal",
    protocols=(
        Protocol(
            "corrected",
            ReplacedTokenTask(views=("window",), stories_per_seed=6),
            models=MODELS,
            note="each seed has six held-out stories of its own (of the packaged corpus none has fewer than one such "
            "window, as counted before anything was run); the model is shown the 16 tokens alone",
        ),
    ),
    controls={"planted:comma-heeded": Verdict.SUPPORTED, "planted:comma-beside": Verdict.REFUTED},
    partner_of="stories/comma-raises-but",
)


@claim(
    COMMA_REPLACED,
    Profile("Drop with each token in the comma's place", "nats", partial(drop_by_replacement, word=" but")),
)
def test_comma_replaced(observation):
    return {"drop": log_odds_drop(observation, " but"), "lead": drop_leads(observation, " but")}
