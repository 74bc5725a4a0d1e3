"""Rules of the packaged book for conjunctions: each gains on held-out stories, and the one-layer model uses it."""

import json
import re
from importlib import resources

import pytest

from fixtures.held_out import QUICK, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.network import rule_frequency, rule_gain, rule_use
from optim_hunter.tasks.network import RuleTask
from optim_hunter.tasks.word_groups import WORD_GROUPS

FIRST = 10
"""So many rules, from the head of the file, are claims."""

CONTROLS, CONTROLS_OF_BOTH = (
    {f"planted:network-heeds-{what}": Verdict.SUPPORTED, f"planted:network-beside-{what}": Verdict.REFUTED}
    for what in ("comma", "conjunction")
)

BOOK = json.loads((resources.files("optim_hunter.data") / "rules" / f"{QUICK}.json").read_text(encoding="utf-8"))


def rule_holds(rule: dict) -> Claim:
    """The claim about one rule, as it stands in the file."""
    exactly = json.dumps({key: rule[key] for key in ("condition", "shifts")}, ensure_ascii=False)
    return Claim(
        id=f"stories/rule-{QUICK}-{named(rule)}",
        statement=f"{rule['sentence']} In held-out stories the rule book gains by this rule where it fires, and the "
        "one-layer model makes at least a quarter of its shift: so much is lost with what meets the rule's condition.",
        source=SOURCE,
        conditions=(
            Condition(
                "gain",
                "loss of the book without the rule minus that with it, all others as they are: mean over all windows "
                "in which it fires",
                "nats a window",
                smallest_effect=0.02,
                statistic="ratio of sums",
            ),
            Condition(
                "use",
                "what the network's log-probabilities lose along the rule's shifts when what meets its condition is "
                "replaced by tokens of like frequency, of a conjunction each part by itself and both (a difference of "
                "differences), less what all other rules lose, over the squared length of the shifts, all windows "
                "pooled",
                "share of the shift",
                smallest_effect=0.25,
                statistic="ratio of sums",
            ),
        ),
        shown=(
            Condition(
                "frequency",
                "share of the windows in which the rule fires",
                "share of the windows",
                smallest_effect=0.01,
                statistic="ratio of sums",
            ),
        ),
        family="stories-rules",
        protocols=(
            Protocol(
                "corrected",
                RuleTask(WORD_GROUPS[QUICK], (), 14, rule=rule["name"]),
                models=("one-layer",),
                note=f"the rule: {exactly}. A rule that the corpus supports and the network does not use fails by its "
                "use alone. Of a conjunction the controls are networks whose book has a rule about its first part too",
            ),
        ),
        controls=CONTROLS_OF_BOTH if "both" in rule["condition"] else CONTROLS,
        seeds="0-57",
    )


def named(rule: dict) -> str:
    """The rule's name in letters that an id may have."""
    return re.sub(r"[^\w-]", "-", rule["name"])


def of_rule(rule: dict):
    """The test of one rule."""

    @claim(rule_holds(rule))
    def test_rule(observation):
        return {
            "gain": rule_gain(observation),
            "use": rule_use(observation),
            "frequency": rule_frequency(observation),
        }

    return test_rule


globals().update(
    {
        f"test_rule_{named(rule).replace('-', '_')}": pytest.mark.slow(of_rule(rule))  # a thousand items together
        for rule in BOOK["rules"][:FIRST]
    }
)
