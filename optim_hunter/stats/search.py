"""A search over candidates, paid for: found on one half of the seeds, confirmed on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float


def halves(seeds: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Every other seed finds, the rest confirm."""
    return tuple(seeds[::2]), tuple(seeds[1::2])


def find_candidate(
    values: Mapping[str, Float[np.ndarray, "seed *candidate"]], smallest_effects: Mapping[str, float]
) -> tuple[int, ...]:
    """The candidate most likely to meet all conditions: the largest of the smallest t statistics."""
    worst = np.min([_t_statistics(values[name], smallest_effects[name]) for name in values], axis=0)
    return tuple(int(index) for index in np.unravel_index(np.argmax(worst), worst.shape))


def lowest_mean(values: Float[np.ndarray, "seed *candidate"]) -> tuple[int, ...]:
    """The candidate whose mean over the seeds is lowest."""
    means = values.mean(axis=0)
    return tuple(int(index) for index in np.unravel_index(np.argmin(means), means.shape))


def _t_statistics(
    values: Float[np.ndarray, "seed *candidate"], smallest_effect: float
) -> Float[np.ndarray, "*candidate"]:
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return (values.mean(axis=0) - smallest_effect) / np.maximum(error, 1e-12)
