"""Minimises the linear model's objective to a stated duality gap.

Method: accelerated proximal gradient (Beck and Teboulle 2009) with adaptive restart (O'Donoghue and Candès
2015), on the function of W that is left when the offsets are at their best, which takes away the direction
that all positions share and so allows steps several times as long; in the metric of the loss's own diagonal
curvature, without which rare classes and tokens would crawl; and with the shifts that change no probability
taken out after every step, since along them the loss is flat. Every few steps a Newton step on the active
weights by conjugate gradients ends what first-order steps leave, and gives the sharper bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from optim_hunter.models.linear_problem import Problem, Rows, Weights

LONGEST_STEP = 1.0
"""No weight moves further at once (nats): within it the curvature that set the step changes at most e-fold."""

FIRST_STIFFNESS = 4.0
"""Curvature along the stiffest direction over that of the diagonal, to begin with; grows where it is too small."""

NEWTON_LENGTHS = (1.0, 0.5, 0.25, 0.1)
CONJUGATE_STEPS = 30
CONJUGATE_ACCURACY = 0.03
DAMPING = 1e-3
CHECK_EVERY = 20
REFRESH_EVERY = 5


@dataclass(frozen=True)
class Solution:
    """Weights and offsets, the objective there, a lower bound of the optimum, and the iterations it took."""

    weights: Weights
    offsets: Float[np.ndarray, "class"]
    objective: float
    bound: float
    iterations: int

    @property
    def gap(self) -> float:
        """Relative duality gap: (objective − bound) / objective."""
        return (self.objective - self.bound) / self.objective


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums of one order on every machine; the products are too short to gain from a second thread."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def nearest_median(values: Float[np.ndarray, "... value"]) -> Float[np.ndarray, "..."]:
    """Of all medians along the last axis that which is nearest to 0; to take it away never raises Σ|value|."""
    ordered, size = np.sort(values, axis=-1), values.shape[-1]
    return np.asarray(np.clip(0.0, ordered[..., (size - 1) // 2], ordered[..., size // 2]))


def centred(weights: Weights, whole_positions: list[slice]) -> Weights:
    """The same model with less ‖W‖₁: shifts that change no probability are taken out, in place.

    A shift of one token's weights is common to all classes; a shift of one class at all tokens of a position
    is common to all windows, and goes to the offsets.
    """
    active = (weights != 0).any(1)
    weights[active] -= nearest_median(weights[active])[:, None]
    for position in whole_positions:
        weights[position] -= nearest_median(weights[position].T)
    return weights


def proximal_step(point: Weights, gradient: Weights, step: Weights, l1: float) -> Weights:
    """Soft-thresholded gradient step with a step length for each weight."""
    moved = point - step * gradient
    moved = np.sign(moved) * np.maximum(np.abs(moved) - l1 * step, 0)
    return point + np.clip(moved - point, -LONGEST_STEP, LONGEST_STEP)


def minimise(problem: Problem, tolerance: float, max_iterations: int, start: Weights | None = None) -> Solution:
    """Iterate until the relative duality gap is at most `tolerance`, or `max_iterations` are spent.

    `start` are weights to begin with (a fit of similar data or of another penalty); the optimum is the same.
    """
    with one_thread():
        solution = _Iteration(problem, tolerance, start).run(max_iterations)
    weights = np.zeros((problem.design.all_features, solution.weights.shape[1]))
    weights[problem.design.kept] = solution.weights
    return replace(solution, weights=weights)


def newton_direction(
    problem: Problem, weights: Weights, probabilities: Rows, gradient: Weights, signs: Weights
) -> Weights:
    """Towards the minimum of the quadratic model where every weight keeps its sign, by conjugate gradients.

    `signs` are 0 where a weight stays 0. Slightly damped, since tokens that always go together leave the
    model flat in some directions.
    """
    support = signs != 0
    metric = problem.curvature(probabilities)
    direction = np.zeros_like(weights)
    residual = -(gradient + problem.l1 * signs) * support
    scaled = residual / metric
    search, size = scaled, float(np.vdot(residual, scaled))
    target = CONJUGATE_ACCURACY**2 * size
    for _ in range(CONJUGATE_STEPS):
        if size <= target:
            break
        product = (problem.curvature_product(probabilities, search) + DAMPING * metric * search) * support
        length = size / float(np.vdot(search, product))
        direction, residual = direction + length * search, residual - length * product
        scaled = residual / metric
        size, before = float(np.vdot(residual, scaled)), size
        search = scaled + size / before * search
    return direction


class _Iteration:
    """State of the accelerated proximal gradient and of the Newton steps between."""

    def __init__(self, problem: Problem, tolerance: float, start: Weights | None) -> None:
        classes = problem.truth.shape[1]
        self.problem, self.tolerance = problem, tolerance
        self.offsets = np.zeros(classes)
        self.metric: Weights | None = None
        self.last_gradient: tuple[Weights, Weights] | None = None
        self.stiffness, self.bound = FIRST_STIFFNESS, 0.0
        features = problem.design.kept
        self.restart_at(np.zeros((len(features), classes)) if start is None else start[features])
        self.taken = 0
        self.solution = self.look()

    def restart_at(self, weights: Weights) -> None:
        """Go on from these weights without momentum."""
        self.weights = self.before = weights
        self.scores = self.scores_before = self.problem.design.scores(weights)
        self.inertia = self.inertia_before = 1.0

    def run(self, max_iterations: int) -> Solution:
        while self.taken < max_iterations and self.solution.gap > self.tolerance:
            self.taken += 1
            promising = self.advance()
            if promising or self.taken % CHECK_EVERY == 0 or self.taken == max_iterations:
                self.check()
                while self.solution.gap > self.tolerance and self.taken < max_iterations and self.newton():
                    pass
        return self.solution

    def advance(self) -> bool:
        """One proximal step; tells whether the gap may be closed, from the gradient at hand."""
        problem, momentum = self.problem, (self.inertia_before - 1) / self.inertia
        point = self.weights + momentum * (self.weights - self.before)
        scores = self.scores + momentum * (self.scores - self.scores_before)
        rows, self.offsets = problem.probabilities(scores, self.offsets, precision=problem.l1 / 100)
        gradient = problem.gradient(rows)
        self.stiffen(point, gradient)
        if self.metric is None or self.taken % REFRESH_EVERY == 0:
            fresh = problem.curvature(rows)
            self.metric = fresh if self.metric is None else np.maximum(fresh, self.metric / 2)
        moved = proximal_step(point, gradient, 1 / (self.stiffness * self.metric), problem.l1)
        moved = centred(moved, problem.design.whole_positions)
        self.inertia_before = self.inertia
        if np.vdot((point - moved) * self.metric, moved - self.weights) > 0:
            self.inertia_before = self.inertia = 1.0
        self.inertia = (1 + np.sqrt(1 + 4 * self.inertia_before**2)) / 2
        self.before, self.scores_before = self.weights, self.scores
        self.weights, self.scores = moved, problem.design.scores(moved)
        return 1 - problem.feasible_scale(gradient) <= 10 * self.tolerance

    def stiffen(self, point: Weights, gradient: Weights) -> None:
        """Shorten the steps to come where the curvature met since the last point was above what they assume."""
        if self.last_gradient is not None and self.metric is not None:
            moved, change = point - self.last_gradient[0], gradient - self.last_gradient[1]
            met = float(np.vdot(change, moved) / max(np.vdot(moved * self.metric, moved), 1e-300))
            if met > self.stiffness:
                self.stiffness = 1.2 * met
        self.last_gradient = point, gradient

    def check(self) -> None:
        """Look at the present weights; where the objective rose go back to the last look, with shorter steps."""
        found = self.look()
        if found.objective > self.solution.objective * (1 + self.tolerance):
            self.stiffness *= 2
            self.restart_at(self.solution.weights)
        else:
            self.solution = found

    def look(self) -> Solution:
        """Objective and bound at the present weights."""
        self.rows, self.offsets = self.problem.probabilities(self.scores, self.offsets)
        self.gradient = self.problem.gradient(self.rows)
        self.bound = max(self.bound, self.problem.bound(self.gradient, self.rows))
        objective = self.problem.objective(self.weights, self.rows)
        return Solution(self.weights, self.offsets, objective, self.bound, self.taken)

    def bound_along(self, direction: Weights) -> None:
        """Bound at the probabilities moved along a direction to first order.

        Along a Newton direction their residuals meet the dual's conditions up to what the conjugate gradients left,
        so that this bound is good long before that of the weights' own residuals.
        """
        change = self.problem.linear_change(self.rows, direction)
        length = min(1.0, 0.9 / max(float((-change / np.maximum(self.rows, 1e-300)).max()), 1e-300))
        rows = self.rows + length * change
        self.bound = max(self.bound, self.problem.bound(self.problem.gradient(rows), rows))

    def newton(self) -> bool:
        """One Newton step from the last look on the weights that are or become active; tells whether all of it paid."""
        self.taken += 1
        weights, last, gradient = self.solution.weights, self.solution, self.gradient
        entering = np.where(np.abs(gradient) > self.problem.l1, -np.sign(gradient), 0.0)
        signs = np.where(weights != 0, np.sign(weights), entering)
        direction = newton_direction(self.problem, weights, self.rows, gradient, signs)
        self.bound_along(direction)
        for length in NEWTON_LENGTHS:
            moved = weights + length * np.clip(direction, -LONGEST_STEP, LONGEST_STEP)
            self.restart_at(centred(np.where(np.sign(moved) == signs, moved, 0.0), self.problem.design.whole_positions))
            found = self.look()
            if found.objective < last.objective:
                self.solution = found
                return length == NEWTON_LENGTHS[0]
        self.restart_at(weights)
        self.look()
        return False
