"""Few weights are enough: one in a hundred keeps the loss within 1 %, one claim for each word group."""

from fixtures.held_out import SOURCE, choosing, for_each_group
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.choices import relative_loss_lead
from optim_hunter.tasks.word_groups import WORD_GROUPS


def l1_keeps_the_loss(group: str) -> Claim:
    """The claim about one word group."""
    return Claim(
        id=f"stories/l1-keeps-the-loss-{group}",
        statement=f"Of the linear models over 16 tokens that choose among {', '.join(WORD_GROUPS[group])}, the best "
        "with at most 1 % of its weights other than zero has a held-out loss at most 1 % above that of the best of all "
        "strengths of L1.",
        source=SOURCE,
        conditions=(
            Condition(
                "loss kept",
                "summed loss of the best model minus that of the sparse one, over the former, all windows pooled",
                "share of the loss",
                smallest_effect=-0.01,  # "within 1 %"
                statistic="ratio of sums",
            ),
        ),
        shown=(
            Condition(
                "weights needed",
                "share of the weights other than zero in the sparsest model of the path whose loss on the stories for "
                "choosing is within 1 % of the best; the same for every seed",
                "share of the weights",
                smallest_effect=0.01,
            ),
            Condition(
                "loss kept by the weights needed",
                "the same as the loss kept, of that model",
                "share of the loss",
                smallest_effect=-0.01,
                statistic="ratio of sums",
            ),
        ),
        family="stories-l1",
        protocols=(
            Protocol(
                "corrected",
                choosing(group, "linear", "sparse", "fewest"),
                models=("linear",),
                note="strengths are chosen on stories that neither fit nor claim looks at; the path has 20 strengths, "
                "so that a model between two of them may need fewer weights. A price that leaves few weights shrinks "
                "them too: what is lost is an upper bound of what so few weights lose when they are fitted alone",
            ),
        ),
        controls={"planted:strong-cue": Verdict.SUPPORTED, "planted:weak-cues": Verdict.REFUTED},
        control_seeds="0-99",  # what the weak cues are worth is not far from the 1 %
        published='an L1 loss "to find solutions with fewer non-zero weights"; no number is given',
    )


def of_group(group: str):
    """The test of one word group."""

    @claim(l1_keeps_the_loss(group))
    def test_l1_keeps_the_loss(observation):
        return {
            "loss kept": relative_loss_lead(observation, "sparse", "linear"),
            "weights needed": observation.nonzero["fewest"],
            "loss kept by the weights needed": relative_loss_lead(observation, "fewest", "linear"),
        }

    return test_l1_keeps_the_loss


globals().update(for_each_group("test_l1_keeps_the_loss", of_group))
