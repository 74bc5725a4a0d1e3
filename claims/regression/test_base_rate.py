"""The rival explanation: tokens that often begin outputs in the prompt get large logits."""

from fixtures.protocols import LLAMA, MODELS
from optim_hunter import Claim, Condition, Protocol, Verdict, claim
from optim_hunter.measures.candidates import base_rate_correlation
from optim_hunter.tasks.regression import RegressionTask

BASE_RATE = Claim(
    id="regression/base-rate",
    statement="Within a prompt, the final logits of the tokens with which the predictors' answers begin follow how "
    "often these tokens begin outputs in the prompt.",
    source="rival explanation of Reverse-Engineering Linear Regression in Language Models, notes of December 2024 "
    "(G-structure/optim-hunt)",
    conditions=(
        Condition(
            "correlation",
            "Pearson correlation of logit and log(1 + number of outputs that begin with the token) over the different "
            "first tokens of eight answers (truth, linear regression, nearest neighbours, random forest, average, "
            "last, random, the model itself)",
            "correlation",
            # A tenth of the variance (0.3² = 0.09). Not Fisher's z: it is infinite at ±1, which three tokens can give.
            smallest_effect=0.3,
        ),
    ),
    needs=frozenset({"candidates"}),
    family="regression-attribution",
    protocols=(
        Protocol(
            "corrected",
            RegressionTask("friedman_2", examples=25, pair="own"),
            models=MODELS,
            note="25 examples; tokens, logits and counts of each prompt by itself: a preference for digits that all "
            "prompts share can correlate as well, so that support does not show that the model counts",
        ),
    ),
    controls={"planted:base-rate": Verdict.SUPPORTED, "planted:base-rate-twin": Verdict.REFUTED},
    made_about=LLAMA,
    seen_seeds="0-99",
    published="0.98 over 7 tokens, of logits and counts averaged over seeds (19 examples, seed 0's tokens)",
)


@claim(BASE_RATE)
def test_base_rate(observation):
    return base_rate_correlation(observation.candidates)
