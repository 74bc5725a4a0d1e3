"""The shifts of a rule book, fitted together: multinomial regression with an L1 penalty, on rules instead of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy import sparse

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.models.linear_problem import Offsets, Problem, Weights
from optim_hunter.models.linear_solver import minimise
from optim_hunter.tasks.rules import log_probabilities_of

STRENGTHS: tuple[float, ...] = tuple(float(f"{strength:.3g}") for strength in np.geomspace(3e-4, 3e-6, 7))
"""Prices of a shift in nats of mean loss, the largest first."""

TOLERANCE = 1e-4
"""Relative duality gap of a fit."""

MAX_ITERATIONS = 500


@dataclass(frozen=True)
class FittedShifts:
    """Shifts (nats) by rule, intercepts, their price, and the mean losses (nats) on both parts of the stories."""

    l1: float
    shifts: Weights
    offsets: Offsets
    gap: float
    fitting_loss: float
    choosing_loss: float


@dataclass(frozen=True)
class Fired:
    """Rules that fire in windows, and the words that came: places in the group."""

    rules: sparse.csr_array
    labels: Int[np.ndarray, "window"]

    def loss(self, shifts: Weights, offsets: Offsets) -> float:
        """Mean negative log-likelihood of the words that came (nats)."""
        said = log_probabilities_of(self.rules, shifts, offsets)
        return float(-said[np.arange(len(self.labels)), self.labels].mean())


def fit_shifts(fitting: Fired, classes: int, l1: float, start: Weights | None = None) -> tuple[Weights, Offsets, float]:
    """Shifts and offsets at one price, and the relative duality gap that was reached.

    Raises:
        UserError: a word that never comes in the windows.
        InvalidInstrument: the fit misses its gap.
    """
    problem = rule_problem(fitting, classes, l1)
    if not problem.prior.all():
        raise UserError("a word of the group never comes in the stories for fitting; give a larger corpus")
    padded = None if start is None else np.vstack([start, np.zeros((1, classes))])
    solution = minimise(problem, TOLERANCE, MAX_ITERATIONS, padded)
    if not solution.gap <= TOLERANCE:
        raise InvalidInstrument(f"shifts at {l1:g} nats: duality gap {solution.gap:.1e} above {TOLERANCE:g}")
    return solution.weights[:-1], solution.offsets, solution.gap


def fit_chosen(
    fitting: Fired,
    choosing: Fired,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    start: Weights | None = None,
) -> FittedShifts:
    """Of these prices the one whose shifts do best on the stories for choosing."""
    points: list[FittedShifts] = []
    for l1 in strengths:
        start, offsets, gap = fit_shifts(fitting, classes, l1, start)
        points.append(
            FittedShifts(l1, start, offsets, gap, fitting.loss(start, offsets), choosing.loss(start, offsets))
        )
    return min(points, key=lambda point: point.choosing_loss)


def rule_problem(fitting: Fired, classes: int, l1: float) -> Problem:
    """The fit as the linear model's solver takes it: the rules of a window in a row, filled up to the longest."""
    rules, windows = fitting.rules.shape[1], len(fitting.labels)
    counts = np.diff(fitting.rules.indptr)
    features = np.full((windows, max(1, int(counts.max(initial=0)))), rules, dtype=np.int32)
    within = np.arange(fitting.rules.nnz) - np.repeat(fitting.rules.indptr[:-1], counts)
    features[np.repeat(np.arange(windows), counts), within] = fitting.rules.indices
    share = np.full(windows, 1 / windows)
    return Problem(features, fitting.labels.astype(np.int32), share, classes, rules + 1, l1, filled=True)
