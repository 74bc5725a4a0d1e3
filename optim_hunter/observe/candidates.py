"""First tokens of several predictors' answers, and what each component adds to their logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.attribution import difference_error
from optim_hunter.observe.instruments import TokenReading
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.logits import direct_contributions
from optim_hunter.observe.observation import PREDICTORS, Candidates, Part
from optim_hunter.observe.posed import PosedPrompt, answer_tokens
from optim_hunter.tasks.prompts import tokens_of

FITTED = {
    "linear_regression": "linear_regression",
    "knn_regression": "knn_regression",
    "random_forest": "random_forest",
    "random": "baseline_random",
}
"""Predictors of `PREDICTORS` that are regressors of `optim_hunter.tasks.regressors` → their name there."""


def predictor_tokens(
    model: LanguageModel, posed: PosedPrompt, seen: TokenReading, predictions: Mapping[str, float]
) -> dict[str, int]:
    """Predictor → the token that its answer begins with after the prompt.

    Raises:
        NoValue: a regressor predicts nothing.
        UserError: the tokenizer joins the prompt's end with the answer.
    """
    episode = posed.episode
    numbers = {
        "gold": episode.gold,
        "average": float(episode.outputs.mean()),
        "last": float(episode.outputs[-1]),
        **{predictor: predictions[name] for predictor, name in FITTED.items()},
    }
    tokens = {predictor: answer_tokens(model, posed, number)[0] for predictor, number in numbers.items()}
    tokens["llm"] = int(seen.logits.argmax())
    return {predictor: tokens[predictor] for predictor in PREDICTORS}


def candidate_logits(
    model: LanguageModel, parts: DecoderParts, posed: PosedPrompt, seen: TokenReading, compared: Mapping[str, int]
) -> Part:
    """Logits and attribution of the compared tokens and of those that the prompt's outputs begin with."""
    outputs = [value for value in posed.prompt.values if value.kind == "output"]
    first = [posed.ids[tokens_of(value, posed.encoded.offsets)[0]] for value in outputs]
    tokens = sorted({*compared.values(), *first})
    contributions, constant = direct_contributions(seen.writes, seen.residual, parts, tokens)
    logits = seen.logits[tokens]
    shown = Candidates(
        contributions=contributions.cpu().numpy(),
        constant=constant.cpu().numpy(),
        logits=logits.cpu().numpy(),
        tokens=np.array(tokens),
        columns={predictor: tokens.index(token) for predictor, token in compared.items()},
        output_counts=np.array([first.count(token) for token in tokens]),
        texts=tuple(model.decode([token]) for token in tokens),
    )
    return Part(shown, {"attributed difference": difference_error(contributions, constant, logits)})
