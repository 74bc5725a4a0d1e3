"""From a reading to direct logit attribution and attention mass, with the checks of both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.instruments import TokenReading
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.logits import direct_contributions
from optim_hunter.observe.observation import AttentionMass, Attribution


def closure_error(writes: Float[Tensor, "component d_model"], residual: Float[Tensor, "d_model"]) -> float:
    """How far embedding + Σ writes are from the final residual, relative to its norm."""
    return float((writes.sum(0) - residual).norm() / residual.norm())


def difference_error(
    contributions: Float[Tensor, "component candidate"],
    constant: Float[Tensor, "candidate"],
    logits: Float[Tensor, "candidate"],
) -> float:
    """How far attributed logit differences are from the observed ones, in root mean square over pairs of candidates.

    Relative to Σ |contribution to the difference|, in root mean square over the same pairs; 0 for one candidate.
    """
    if len(logits) < 2:
        return 0.0
    first, second = torch.triu_indices(len(logits), len(logits), 1, device=logits.device)
    errors = contributions.sum(0) + constant - logits
    sizes = (contributions[:, first] - contributions[:, second]).abs().sum(0)
    return float((errors[first] - errors[second]).norm() / sizes.norm())


def attribute(
    seen: TokenReading, parts: DecoderParts, pair: tuple[int, int], pair_text: tuple[str, str], prompt: set[int]
) -> tuple[Attribution, dict[str, float]]:
    """Attribution to the pair and to the prompt's tokens, and the relative errors of its two checks."""
    tokens = sorted(prompt | set(pair))
    contributions, constant = direct_contributions(seen.writes, seen.residual, parts, tokens)
    columns = (tokens.index(pair[0]), tokens.index(pair[1]))
    compared = list(columns)
    error = difference_error(contributions[:, compared], constant[compared], seen.logits[list(pair)])
    checks = {"residual stream": closure_error(seen.writes, seen.residual), "attributed difference": error}
    columns_of_prompt = np.array([column for column, token in enumerate(tokens) if token in prompt])
    return Attribution(contributions.cpu().numpy(), columns, columns_of_prompt, pair_text), checks


def attention_mass(rows: Float[Tensor, "layer head key"], positions: Mapping[str, list[int]]) -> AttentionMass:
    """Mass of each head's row on the tokens of the earlier outputs, of all features, and of the test case's.

    Args:
        rows: attention from the token that predicts the answer.
        positions: of `outputs`, `features` and `query_features`.
    """
    masses = {name: rows[:, :, group].sum(-1).cpu().numpy() for name, group in positions.items()}
    return AttentionMass(
        **masses,
        output_tokens=len(positions["outputs"]),
        feature_tokens=len(positions["features"]),
        query_feature_tokens=len(positions["query_features"]),
    )
