"""How well words of held-out stories were chosen, with intervals by story."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.stats.intervals import student
from optim_hunter.tasks.stories import Windows


@dataclass(frozen=True)
class Mean:
    """A mean over windows and the ends of its 90 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """Negative log-likelihood of the words that came (nats), and the share of likeliest words that are those."""

    nll: Mean
    accuracy: Mean


def scores(log_probabilities: Float[np.ndarray, "window class"], windows: Windows) -> Scores:
    """Scores of what was said of windows."""
    said = log_probabilities[np.arange(len(windows.labels)), windows.labels]
    right = log_probabilities.argmax(1) == windows.labels
    return Scores(mean_by_story(-said, windows.story), mean_by_story(right.astype(float), windows.story))


def mean_by_story(values: Float[np.ndarray, "window"], story: Int[np.ndarray, "window"]) -> Mean:
    """The mean over windows with Student's t interval over stories, since windows of a story go together.

    A story weighs by its number of windows, and the interval is that of the ratio of both sums, linearised.
    """
    _, place = np.unique(story, return_inverse=True)
    windows = np.bincount(place)
    residuals = np.bincount(place, values) - values.mean() * windows
    found = student(values.mean() + residuals / windows.mean())
    return Mean(float(values.mean()), float(found.low), float(found.high))
