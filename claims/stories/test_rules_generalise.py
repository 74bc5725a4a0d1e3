"""A rule book keeps on another corpus what it gains."""

import pytest

from fixtures.held_out import OF_THE_NETWORK, QUICK, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.choices import summed_loss_lead
from optim_hunter.measures.network import share_of_gain
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.word_groups import WORD_GROUPS

RULES_GENERALISE = Claim(
    id="stories/rules-generalise",
    statement="The rule book for conjunctions that was fitted to the packaged corpus gains on held-out stories of "
    "another corpus at least 80 % of what the same rules gain there when their shifts are fitted to that corpus.",
    source=SOURCE,
    conditions=(
        Condition(
            "share kept",
            "summed loss of the words' shares in the other corpus minus that of the rule book, over the same of the "
            "refitted rules, all windows pooled",
            "share of the gain",
            smallest_effect=0.8,
            statistic="ratio of sums",
        ),
    ),
    shown=(
        Condition(
            "gain",
            "loss of the words' shares in the other corpus minus that of the rule book: mean over all windows",
            "nats a window",
            smallest_effect=0.05,
            statistic="ratio of sums",
        ),
    ),
    family="stories-rules-generalise",
    protocols=(
        Protocol(
            "corrected",
            ChoiceTask(WORD_GROUPS[QUICK], ("prior", "rules", "refitted"), OF_THE_NETWORK),
            models=("rule-book",),
            note="asked of --claims-corpus; on the packaged corpus, to which the book was fitted, it is invalid",
        ),
    ),
    controls={
        "planted:rules-elsewhere": Verdict.SUPPORTED,
        "planted:rules-elsewhere-twin": Verdict.REFUTED,
    },
)


@pytest.mark.slow  # it says nothing of the packaged corpus
@claim(RULES_GENERALISE)
def test_rules_generalise(observation):
    return {
        "share kept": share_of_gain(observation, "rules", "refitted"),
        "gain": summed_loss_lead(observation, "rules", "prior"),
    }
