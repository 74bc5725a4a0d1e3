"""Minimises the linear model's objective to a stated duality gap.

Method: Newton steps of the penalised objective (Lee, Sun and Saunders 2014) whose quadratic models are minimised
by coordinate descent (Friedman, Hastie and Tibshirani 2010; Yuan, Ho and Lin 2012), all classes of a feature at
once and the offsets always at their best. Only features of a working set are looked at: those with weights and
those whose gradient exceeds the penalty; but the gradient by all features decides who enters, and the gap. Windows
that are alike in all features of the set are merged. Without weights to start from, every eighth window is fitted
first, roughly: that takes an eighth of the time and saves most of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from optim_hunter.models import linear_kernels as kernels
from optim_hunter.models.linear_problem import Offsets, Problem, Weights, WorkingSet

LONGEST_STEP = 2.0
"""No weight moves further in one Newton step (nats): within it the curvature changes at most e²-fold."""

LENGTHS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
DAMPING = 1e-4
"""Added to a weight's curvature, as a share of the mean over its feature's classes: shifts of all are flat."""

PASSES, EARLY_PASSES, PATIENT_PASSES = 40, 5, 400
"""The most passes of one Newton step; few of them as long as the gap is above `ROUGH`, many in a stall."""

WHOLE_ACCURACY, NARROW_ACCURACY, PATIENT_ACCURACY = 0.03, 0.1, 1e-4
"""Share of the first pass's decrease, and of the last whole pass's, at which passes over all features, and over
those that moved, end; in a stall, the former."""

THINNED, ENOUGH = 8, 16_000
"""Every so manieth window is fitted first where there are so many."""

ROUGH, ROUGH_STEPS = 0.3, 20

SLOW, STALLED = 0.5, 3
"""A step that leaves more than this share of the gap is slow; so many of them in turn are a stall."""


@dataclass(frozen=True)
class Solution:
    """Weights and offsets, the objective there, a lower bound of the optimum, and the iterations it took."""

    weights: Weights
    offsets: Offsets
    objective: float
    bound: float
    iterations: int

    @property
    def gap(self) -> float:
        """Relative duality gap: (objective − bound) / objective."""
        return (self.objective - self.bound) / self.objective


def minimise(problem: Problem, tolerance: float, max_iterations: int, start: Weights | None = None) -> Solution:
    """Newton steps until the relative duality gap is at most `tolerance`, or `max_iterations` are spent.

    `start` are weights to begin with (a fit of similar data or of another penalty); the optimum is the same.
    """
    if start is None and max_iterations > 0:
        start = _rough_start(problem)
    iteration = _Iteration(problem, tolerance, start)
    # A NaN ends it too: nothing leads back from there, and whoever reads the gap must refuse it.
    while iteration.solution.gap > tolerance and iteration.solution.iterations < max_iterations:
        iteration.advance()
    return iteration.solution


def _rough_start(problem: Problem) -> Weights | None:
    """Weights of a rough fit to some of the windows; none where they are few, or lack a class."""
    thinned = problem.thinned(THINNED)
    if len(problem.labels) < ENOUGH or not thinned.prior.all():
        return None
    return minimise(thinned, ROUGH, ROUGH_STEPS).weights


def nearest_median(values: Float[np.ndarray, "... value"]) -> Float[np.ndarray, "..."]:
    """Of all medians along the last axis that which is nearest to 0; to take it away never raises Σ|value|."""
    ordered, size = np.sort(values, axis=-1), values.shape[-1]
    return np.asarray(np.clip(0.0, ordered[..., (size - 1) // 2], ordered[..., size // 2]))


def centred(weights: Weights) -> Weights:
    """The same model with less ‖W‖₁: what the weights of a token have in common changes no probability."""
    return weights - nearest_median(weights)[:, None]


def violations(gradient: Weights, weights: Weights, l1: float) -> Float[np.ndarray, "feature"]:
    """By how much the optimality conditions of a feature's weights are missed at most."""
    missed = np.where(weights != 0, np.abs(gradient + l1 * np.sign(weights)), np.abs(gradient) - l1)
    return np.maximum(missed, 0).max(1)


class _Iteration:
    """State of the Newton steps: weights of all features, a working set, and what was last seen of its rows."""

    def __init__(self, problem: Problem, tolerance: float, start: Weights | None) -> None:
        self.problem, self.tolerance = problem, tolerance
        shape = (problem.all_features, problem.classes)
        self.weights = np.zeros(shape) if start is None else centred(start)
        self.offsets = np.log(problem.prior)
        self.bound, self.taken, self.slow_steps = 0.0, 0, 0
        self.enlarge((self.weights != 0).any(1))
        self.look()

    def enlarge(self, held: Float[np.ndarray, "feature"]) -> None:
        """Take another working set."""
        self.held, self.set = held, WorkingSet(self.problem, held)
        self.scores = self.set.scores(self.weights[held])

    def look(self) -> None:
        """Probabilities, gradient, objective and bound at the present weights."""
        loss, self.probabilities, self.offsets = self.set.with_best_offsets(self.scores, self.offsets)
        self.gradient = self.set.gradient(self.probabilities)
        self.bound = max(self.bound, self.set.bound(self.gradient, self.probabilities))
        objective = loss + self.problem.l1 * float(np.abs(self.weights).sum())
        self.solution = Solution(self.weights, self.offsets, objective, self.bound, self.taken)

    def advance(self) -> None:
        """One Newton step; features that would gain from a weight enter the working set."""
        entering = (np.abs(self.gradient) > self.problem.l1).any(1) & ~self.held
        if entering.any():
            many = 2 * len(self.set.first) > len(self.problem.labels)
            self.enlarge(self.held | (self.problem.candidates if many else entering))
            _, self.probabilities = self.set.evaluate(self.scores, self.offsets)
        model = self.model()
        weights, offsets = self.descended(model)
        direction = np.zeros((len(self.set.columns), self.problem.classes))
        direction[model.columns] = centred(weights) - model.base
        self.search(direction, offsets - self.offsets)
        self.taken += 1
        before = self.solution.gap
        self.look()
        self.slow_steps = self.slow_steps + 1 if self.solution.gap > SLOW * before else 0

    @property
    def stalls(self) -> bool:
        """Whether the last steps hardly closed the gap."""
        return self.slow_steps >= STALLED

    def model(self) -> kernels.QuadraticModel:
        """The loss to second order, in the features whose conditions are missed; in a stall, in all that have weights
        too: of features nearly alike, one alone is moved otherwise, and then the other back."""
        columns, single = self.set.columns, np.float32
        missed = violations(self.gradient[columns], self.weights[columns], self.problem.l1)
        weighty = self.stalls & (self.weights[columns] != 0).any(1)
        chosen = np.flatnonzero(weighty | (missed > 0.1 * self.tolerance * self.problem.l1))
        blocks = kernels.curvature_blocks(
            self.problem.features,
            self.set.first,
            self.set.places(columns[chosen]),
            self.probabilities,
            self.set.share,
            len(chosen),
        )
        _, curvature = kernels.offset_derivatives(self.probabilities, self.set.share)
        inverse = np.linalg.pinv(curvature, rcond=1e-10, hermitian=True)
        damping = DAMPING * np.trace(blocks, axis1=1, axis2=2) / self.problem.classes + 1e-12
        profiled = blocks - blocks @ inverse @ blocks + damping[:, None, None] * np.eye(self.problem.classes)
        return kernels.QuadraticModel(
            self.set.starts,
            self.set.rows,
            chosen,
            self.probabilities.astype(single),
            self.set.share.astype(single),
            self.gradient[columns[chosen]],
            blocks,
            profiled,
            inverse,
            self.weights[columns[chosen]],
        )

    def descended(self, model: kernels.QuadraticModel) -> tuple[Float[np.ndarray, "column class"], Offsets]:
        """Weights and offsets near the least value of the model: passes over all its features, and between them
        over those that still move."""
        change, total = np.zeros_like(model.probabilities), np.zeros(self.problem.classes)
        weights, moving = model.base.copy(), np.empty(len(model.base), dtype=bool)
        first, whole, last = 0.0, 0.0, 0.0
        accuracy = PATIENT_ACCURACY if self.stalls else WHOLE_ACCURACY
        for _ in range(EARLY_PASSES if self.solution.gap > ROUGH else PATIENT_PASSES if self.stalls else PASSES):
            if last <= NARROW_ACCURACY * whole:
                moving[:] = True
            every = bool(moving.all())
            last = float(kernels.descend(model, self.problem.l1, LONGEST_STEP, moving, change, total, weights))
            if every:
                first, whole = first or last, last
                if whole <= accuracy * first and whole < first:
                    break
        return weights, self.offsets - model.inverse @ total

    def search(self, direction: Float[np.ndarray, "column class"], offsets: Offsets) -> None:
        """Go along a direction as far as the objective falls."""
        columns, before = self.set.columns, self.weights
        follow = self.set.scores(direction)
        for length in LENGTHS:
            loss, _ = self.set.evaluate(self.scores + length * follow, self.offsets + length * offsets)
            weights = before[columns] + length * direction
            if loss + self.problem.l1 * np.abs(weights).sum() <= self.solution.objective * (1 + 1e-14):
                break
        self.weights = before.copy()
        self.weights[columns] = weights
        self.scores, self.offsets = self.scores + length * follow, self.offsets + length * offsets
