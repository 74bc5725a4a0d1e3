"""Most of what a one-layer model knows of the next word is linear: one claim for each word group."""

from fixtures.held_out import OF_THE_NETWORK, SOURCE, for_each_group
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.choices import summed_loss_lead
from optim_hunter.measures.network import share_of_gain
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.word_groups import WORD_GROUPS


def linear_enough(group: str) -> Claim:
    """The claim about one word group."""
    return Claim(
        id=f"stories/linear-enough-{group}",
        statement=f"Of what a one-layer model gains over the words' shares when it chooses among "
        f"{', '.join(WORD_GROUPS[group])} in held-out stories, a linear model of the same 16 tokens gains at least "
        "85 %.",
        source=SOURCE,
        conditions=(
            Condition(
                "share of the gap",
                "summed loss of the words' shares minus that of the linear model, over the same of the one-layer "
                "model, all windows pooled",
                "share of the gap",
                smallest_effect=0.85,
                statistic="ratio of sums",
            ),
        ),
        shown=(
            Condition(
                "what is not linear",
                "the linear model's loss minus the one-layer model's: mean over all windows",
                "nats a window",
                smallest_effect=0.05,
                statistic="ratio of sums",
            ),
        ),
        family="stories-linear-enough",
        protocols=(
            Protocol(
                "corrected",
                ChoiceTask(WORD_GROUPS[group], ("prior", "linear", "one-layer"), OF_THE_NETWORK),
                models=("one-layer",),
                note="each seed has held-out stories of its own; the one-layer model was trained on all next tokens of "
                "the stories for fitting and is read among the words of the group alone, the linear model was fitted "
                "to these words",
            ),
        ),
        controls={
            "planted:network-word-before": Verdict.SUPPORTED,
            "planted:network-both-words": Verdict.REFUTED,
        },
    )


def of_group(group: str):
    """The test of one word group."""

    @claim(linear_enough(group))
    def test_linear_enough(observation):
        return {
            "share of the gap": share_of_gain(observation, "linear", "one-layer"),
            "what is not linear": summed_loss_lead(observation, "one-layer", "linear"),
        }

    return test_linear_enough


globals().update(for_each_group("test_linear_enough", of_group))
