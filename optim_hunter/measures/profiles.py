"""Profiles of direct logit attribution of seeds with low and with high error."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.measures.attribution import pair_contributions, shares
from optim_hunter.observe.observation import RegressionObservation

PARTS = 8
"""Parts of the depth, so that models of different depth have the same candidates: four layers each of Llama's 32."""

PROFILE_NAMES = (
    "embedding",
    *(f"{block}, eighth {part} of the depth" for block in ("attention", "MLPs") for part in range(1, PARTS + 1)),
)
"""What `profile_by_depth` gives the shares of."""

SIGNED_NAMES = tuple(f"{name}: more at {group} error" for group in ("low", "high") for name in PROFILE_NAMES)
"""What `grouped_profile` goes through."""

LOW_ERROR_SHARE = 0.5
"""Errors below this part of what the mean baseline would be expected to make count as low."""


def has_low_error(observation: RegressionObservation) -> bool:
    """Whether the model errs by less than half of what predicting the mean of the examples errs by, over the examples.

    The rule knows neither the profile nor other seeds, and not how hard this test case is for a baseline.

    Raises:
        NoValue: the model's answer is no number.
    """
    outputs = observation.episode.outputs
    expected = np.abs(outputs - outputs.mean()).mean()
    return bool(abs(observation.prediction - observation.episode.gold) < LOW_ERROR_SHARE * expected)


def profile_by_depth(component_shares: Float[np.ndarray, "component"]) -> Float[np.ndarray, "name"]:
    """Shares of the embedding, then of attention, then of MLPs by parts of the depth; they add up to 1.

    Raises:
        NoValue: the model has fewer layers than parts.
    """
    blocks = [component_shares[1::2], component_shares[2::2]]
    if len(blocks[0]) < PARTS:
        raise NoValue(f"a model of {len(blocks[0])} layers has no {PARTS} parts to compare")
    parts = [part.sum() for block in blocks for part in np.array_split(block, PARTS)]
    return np.array([component_shares[0], *parts])


def grouped_profile(observation: RegressionObservation) -> Float[np.ndarray, "2 signed_name"]:
    """The seed's group (1 low error, 0 high) in row 0, its profile and the negative of it in row 1.

    Raises:
        NoValue: the answer is no number, or the mean baseline's, or the model is too shallow.
    """
    profile = profile_by_depth(shares(pair_contributions(observation.pair_attribution)))
    group = np.full(2 * len(profile), float(has_low_error(observation)))
    return np.stack([group, np.concatenate([profile, -profile])])
