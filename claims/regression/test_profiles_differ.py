"""What writes the answer is another thing where the answer is good."""

from fixtures.protocols import LLAMA, MODELS, SHARE, SOURCE
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.profiles import SIGNED_NAMES, grouped_profile
from optim_hunter.tasks.regression import RegressionTask

PROFILES_DIFFER = Claim(
    id="regression/profiles-differ",
    statement="Profiles of logit differences of low-error and high-error seeds differ: some part of the model (the "
    "embedding, or attention or MLPs of an eighth of the depth), found on one half of the seeds with the direction of "
    "the difference, holds more of the absolute direct logit attribution to the answer's pair in that group on the "
    "other half. A seed has low error if the model errs by less than half of what the mean of the examples errs by "
    "over the examples themselves.",
    source=SOURCE,
    conditions=(
        Condition(
            "difference",
            "mean share of the part over low-error seeds minus that over high-error seeds, times the direction found",
            SHARE,
            smallest_effect=0.02,  # as in late-mlps-dominate; an eighth of the MLPs holds 0.06 if all are alike
            statistic="low minus high",
        ),
    ),
    needs=frozenset({"answer", "attribution"}),
    family="regression-attribution",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25, pair="own"),
            models=MODELS,
            note="25 examples; each seed's own pair; seeds are split by a rule that looks at one seed's error alone",
        ),
        Protocol(
            "published",
            RegressionTask("friedman_2", examples=19, pair="seed 0"),
            models=MODELS,
            note="19 examples; seed 0's pair of tokens for every seed; the published list of low-error seeds, made on "
            "another data set, is not used, since it says nothing of other models",
        ),
    ),
    controls={"synthetic:profiles-differ": Verdict.SUPPORTED, "synthetic:profiles-alike": Verdict.REFUTED},
    control_seeds="0-99",
    made_about=LLAMA,
    seen_seeds="0-99",
    search=True,
    candidates=SIGNED_NAMES,
    published="MLP 31 holds 54 % at low and 30 % at high error for last vs LLM, 27 % at both for average vs LLM "
    "(seed 0's pairs, seeds split by the model's error on another data set)",
)


@claim(PROFILES_DIFFER)
def test_profiles_differ(observation):
    return grouped_profile(observation)
