"""For narrow enough subtasks a linear model matches a language model: one claim for each word group."""

from fixtures.held_out import MODELS, SOURCE, choosing, for_each_group
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.choices import loss_lead, summed_loss_lead
from optim_hunter.tasks.word_groups import WORD_GROUPS

LEAD = "the language model's loss minus the linear model's, both shown the 16 tokens of the window"


def linear_matches_llm(group: str) -> Claim:
    """The claim about one word group."""
    return Claim(
        id=f"stories/linear-matches-llm-{group}",
        statement=f"In held-out stories, the loss of a linear model over 16 tokens that chooses among "
        f"{', '.join(WORD_GROUPS[group])} is no more than 0.05 nats above that of the language model, whose softmax is "
        "taken over these words alone.",
        source=SOURCE,
        conditions=(
            Condition(
                "lead",
                f"{LEAD}: mean over the windows of a seed's stories",
                "nats a window",
                smallest_effect=-0.05,  # the registered margin: 5 % fewer of the probability of the word that came
                equivalence=0.05,
            ),
        ),
        shown=(
            Condition(
                "lead, all windows pooled",
                f"{LEAD}: mean over all windows, so that a seed counts by its windows",
                "nats a window",
                smallest_effect=-0.05,
                statistic="ratio of sums",
            ),
            Condition(
                "worth of the story",
                "the linear model's loss minus the language model's, shown the story from its beginning",
                "nats a window",
                smallest_effect=0.05,
            ),
        ),
        family="stories-linear-matches-llm",
        protocols=(
            Protocol(
                "corrected",
                choosing(group, "linear", "window", "story"),
                models=MODELS,
                note="each seed has held-out stories of its own, so that seeds are independent; what the non-linear "
                "part is worth, in nats, is the lead with its sign turned; with more context, the worth of the story",
            ),
        ),
        controls={"planted:one-cue": Verdict.SUPPORTED, "planted:two-cues": Verdict.REFUTED},
        published='" and", " but", " for", " so", " or" alone: the curves of the losses meet; no number is given',
    )


def of_group(group: str):
    """The test of one word group."""

    @claim(linear_matches_llm(group))
    def test_linear_matches_llm(observation):
        return {
            "lead": loss_lead(observation, "linear", "window"),
            "lead, all windows pooled": summed_loss_lead(observation, "linear", "window"),
            "worth of the story": loss_lead(observation, "story", "linear"),
        }

    return test_linear_matches_llm


globals().update(for_each_group("test_linear_matches_llm", of_group))
