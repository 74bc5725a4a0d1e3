"""Linear models over a path of L1 strengths, and the strength that does best on stories that were not fitted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from optim_hunter.claim import InvalidInstrument
from optim_hunter.models.linear_problem import Problem, Weights
from optim_hunter.models.linear_solver import minimise
from optim_hunter.tasks.stories import Windows

STRENGTHS: tuple[float, ...] = tuple(float(f"{strength:.3g}") for strength in np.geomspace(1e-2, 1e-5, 20))
"""Prices of a weight in nats of mean loss, the largest first."""

TOLERANCE = 1e-4
"""Relative duality gap of every fit of the path."""

MAX_ITERATIONS = 2000
PATIENCE = 2
"""Strengths in a row that did worse than the best before them, after which the path ends."""


@dataclass(frozen=True)
class PathPoint:
    """A fit of the path: losses are mean losses in nats, without the price of the weights; `seconds` to fit it."""

    l1: float
    weights: Weights
    offsets: Float[np.ndarray, "class"]
    gap: float
    fitting_loss: float
    choosing_loss: float
    seconds: float

    @property
    def nonzero(self) -> int:
        """Weights other than zero."""
        return int(np.count_nonzero(self.weights))


def fit_path(
    fitting: Windows,
    choosing: Windows,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    start: PathPoint | None = None,
) -> Iterator[PathPoint]:
    """Fits at one strength after the other, each begun at the weights of the last (at first those of `start`)."""
    vocabulary = fitting.tokenizer.get_vocab_size()
    weights = None if start is None else start.weights
    ones = np.ones(len(fitting.labels))
    problem = Problem.of(fitting.tokens, fitting.labels, ones, classes, vocabulary, max(strengths, default=1.0))
    for l1 in strengths:
        started = time.perf_counter()
        solution = minimise(replace(problem, l1=l1), TOLERANCE, MAX_ITERATIONS, weights)
        weights = solution.weights
        found = solution.objective - l1 * float(np.abs(weights).sum())
        other = mean_loss(choosing, weights, solution.offsets)
        yield PathPoint(l1, weights, solution.offsets, solution.gap, found, other, time.perf_counter() - started)


def worsens(points: Sequence[PathPoint]) -> bool:
    """Whether the last `PATIENCE` strengths did worse on the stories for choosing than the best before them."""
    losses = [point.choosing_loss for point in points]
    return len(losses) > PATIENCE and min(losses[-PATIENCE:]) > min(losses[:-PATIENCE])


def chosen(points: Sequence[PathPoint]) -> PathPoint:
    """The point with the least loss on the stories for choosing."""
    return min(points, key=lambda point: point.choosing_loss)


def log_probabilities(
    windows: Windows, weights: Weights, offsets: Float[np.ndarray, "class"]
) -> Float[np.ndarray, "window class"]:
    """Logarithms of the probabilities that a linear model gives to the classes (nats).

    Raises:
        InvalidInstrument: a weight or an offset is not finite.
    """
    from scipy.special import log_softmax

    if not (np.isfinite(weights).all() and np.isfinite(offsets).all()):
        raise InvalidInstrument("a linear model has weights that are not finite")
    context, vocabulary = windows.tokens.shape[1], windows.tokenizer.get_vocab_size()
    scores = np.tile(offsets, (len(windows.labels), 1))
    for position in range(context):
        scores += weights[windows.tokens[:, position] + vocabulary * position]
    return np.asarray(log_softmax(scores, axis=1))


def mean_loss(windows: Windows, weights: Weights, offsets: Float[np.ndarray, "class"]) -> float:
    """Mean negative log-likelihood of the words that came (nats)."""
    found = log_probabilities(windows, weights, offsets)
    return float(-found[np.arange(len(windows.labels)), windows.labels].mean())
