"""From a reading to direct logit attribution and attention mass, with the checks of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.instruments import DecoderParts, Reading
from optim_hunter.observe.observation import AttentionMass, Attribution


def direct_contributions(
    seen: Reading, parts: DecoderParts, tokens: Sequence[int]
) -> Float[Tensor, "component candidate"]:
    """What each component adds to the logits of `tokens` through the final norm's own scale.

    RMSNorm divides by the root mean square of the whole residual stream, so that the contributions add up to
    the logits (Elhage et al. 2021, with the scale taken as it was in the pass).
    """
    epsilon = getattr(parts.norm, "variance_epsilon", getattr(parts.norm, "eps", 0.0))
    scale = parts.norm.weight.float() * torch.rsqrt(seen.residual.square().mean() + epsilon)  # type: ignore[operator]
    return (seen.writes * scale) @ parts.unembed.weight[list(tokens)].float().T


def attribute(
    seen: Reading, parts: DecoderParts, pair: tuple[int, int], pair_text: tuple[str, str], prompt: set[int]
) -> tuple[Attribution, dict[str, float]]:
    """Attribution to the pair and to the prompt's tokens, and the relative errors of its two checks."""
    tokens = sorted(prompt | set(pair))
    contributions = direct_contributions(seen, parts, tokens)
    columns = (tokens.index(pair[0]), tokens.index(pair[1]))
    attributed = contributions.sum(0)[list(columns)]
    observed = seen.logits[list(pair)]
    sizes = (contributions[:, columns[0]] - contributions[:, columns[1]]).abs()
    error = (attributed[0] - attributed[1]) - (observed[0] - observed[1])
    checks = {
        "residual stream": float((seen.writes.sum(0) - seen.residual).norm() / seen.residual.norm()),
        "attributed difference": float(error.abs() / sizes.sum()),
    }
    columns_of_prompt = np.array([column for column, token in enumerate(tokens) if token in prompt])
    return Attribution(contributions.cpu().numpy(), columns, columns_of_prompt, pair_text), checks


def attention_mass(
    rows: list[Float[Tensor, "head key"]], output_positions: list[int], feature_positions: list[int]
) -> AttentionMass:
    """Mass of each head's row on the tokens of the earlier outputs and of the features."""
    stacked = torch.stack(rows)
    outputs, features = (stacked[:, :, group].sum(-1).cpu().numpy() for group in (output_positions, feature_positions))
    return AttentionMass(outputs, features, len(output_positions), len(feature_positions))
