"""What components add to the difference of two answers' first tokens."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import NoValue
from optim_hunter.observe.observation import Candidates


def pair_difference(candidates: Candidates, first: str, second: str) -> Float[np.ndarray, "component"]:
    """What each component adds to logit(first predictor's token) − logit(second's), in logits.

    Raises:
        NoValue: both answers begin with the same token, so that the difference is 0 by definition.
    """
    columns = _columns(candidates, first, second)
    difference: Float[np.ndarray, "component"] = candidates.contributions[:, columns] @ np.array([1.0, -1.0])
    return difference


def observed_difference(candidates: Candidates, first: str, second: str) -> float:
    """logit(first predictor's token) − logit(second's), as the model's output has them.

    Raises:
        NoValue: both answers begin with the same token, so that the difference is 0 by definition.
    """
    columns = _columns(candidates, first, second)
    return float(candidates.logits[columns] @ np.array([1.0, -1.0]))


def _columns(candidates: Candidates, first: str, second: str) -> list[int]:
    columns = [candidates.columns[first], candidates.columns[second]]
    if columns[0] == columns[1]:
        raise NoValue(f"{first} and {second} begin with the same token {candidates.texts[columns[0]]!r}")
    return columns
