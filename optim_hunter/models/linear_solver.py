"""Multinomial logistic regression on one-hot tokens with an L1 penalty, solved to a stated duality gap.

Problem, with class probabilities p_i = softmax(offsets + Σ_position weights[position, token]) and sample
weights s_i that sum to 1:

    P(W, b) = Σ_i s_i · −log p_i[y_i] + l1 · ‖W‖₁                         (offsets b are not penalised)

Its dual is to find distributions q_i with the largest mean entropy D(q) = Σ_i s_i · H(q_i), under
|Σ_i s_i x_i (q_i − onehot(y_i))| ≤ l1 for every weight and Σ_i s_i (q_i − onehot(y_i)) = 0 for every class.
With b optimal for its W, p itself meets the second condition, and q = onehot(y) + α·(p − onehot(y)) with
α = min(1, l1 / largest |gradient|) meets both and stays a distribution. So P − D(q) bounds how far W is
from the optimum, and the relative gap is (P − D) / P.

Method: accelerated proximal gradient (Beck and Teboulle 2009) with adaptive restart (O'Donoghue and Candès
2015), on the function of W that is left when b is at its minimum, which takes away the direction that all
positions share and so allows steps several times as long; in the metric of the loss's own diagonal
curvature, without which rare classes and tokens would crawl; and with a shift of each token's weights by
the median over the classes after every step, which leaves all probabilities alone, never raises ‖W‖₁, and
removes the one direction in which the loss is flat.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

Weights = Float[np.ndarray, "feature class"]
Rows = Float[np.ndarray, "window class"]

LONGEST_STEP = 1.0
"""No weight moves further at once (nats): within it the curvature that set the step changes at most e-fold."""

CURVATURE_FLOOR = 0.02
"""Least curvature of a weight, as a share of the mean over the classes of its token."""

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


class Design:
    """One-hot tokens by position as a sparse matrix [window, position × vocabulary], kept both ways round."""

    def __init__(self, tokens: Int[np.ndarray, "window position"], vocabulary: int) -> None:
        from scipy.sparse import csr_matrix

        windows, context = tokens.shape
        columns = (tokens + vocabulary * np.arange(context)).astype(np.int32).ravel()
        starts = np.arange(0, windows * context + 1, context, dtype=np.int32)
        rows = csr_matrix((np.ones(len(columns)), columns, starts), shape=(windows, context * vocabulary))
        self.features = context * vocabulary
        self.seen = np.bincount(columns, minlength=self.features).reshape(context, vocabulary) > 0
        self._rows, self._columns = _torch_sparse(rows), _torch_sparse(rows.T.tocsr())

    def scores(self, weights: Weights) -> Rows:
        """Sum of the weights of each window's tokens."""
        return (self._rows @ torch.from_numpy(weights)).numpy()  # type: ignore[no-any-return]

    def totals(self, rows: Rows) -> Weights:
        """Sum over the windows that hold each feature."""
        return (self._columns @ torch.from_numpy(rows)).numpy()  # type: ignore[no-any-return]


def _torch_sparse(matrix) -> torch.Tensor:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(*parts, size=matrix.shape, check_invariants=True)


@dataclass(frozen=True)
class Problem:
    """A design with labels (one-hot [window class]), sample weights that sum to 1 [window 1], and the penalty."""

    design: Design
    truth: Rows
    share: Float[np.ndarray, "window 1"]
    l1: float

    @classmethod
    def of(
        cls,
        tokens: Int[np.ndarray, "window position"],
        labels: Int[np.ndarray, "window"],
        sample_weight: Float[np.ndarray, "window"],
        classes: int,
        vocabulary: int,
        l1: float,
    ) -> Problem:
        """Windows of weight 0 are left out; every class needs a window with weight."""
        kept = sample_weight > 0
        share = sample_weight[kept, None] / sample_weight.sum()
        return cls(Design(tokens[kept], vocabulary), np.eye(classes)[labels[kept]], share, l1)

    def probabilities(
        self, scores: Rows, offsets: Float[np.ndarray, "class"], precision: float = 1e-11
    ) -> tuple[Rows, Float[np.ndarray, "class"]]:
        """Probabilities under the best offsets for these scores, by Newton's method, and those offsets.

        `precision` bounds the difference between the mean probability and the share of a class.
        """
        powers = np.exp(scores - row_maximum(scores))
        target = (self.share.T @ self.truth)[0]
        for _ in range(50):
            rows = powers * np.exp(offsets - offsets.max())
            rows /= (rows @ np.ones(len(offsets)))[:, None]
            mean = (self.share.T @ rows)[0]
            if np.abs(mean - target).max() < precision:
                break
            curvature = np.diag(mean) - (rows * self.share).T @ rows
            step = np.zeros(len(offsets))
            step[1:] = np.linalg.solve(curvature[1:, 1:], (mean - target)[1:])
            offsets = offsets - np.clip(step, -2, 2)
        return rows, offsets - offsets.mean()

    def gradient(self, probabilities: Rows) -> Weights:
        """Of the mean loss, by weight, with the offsets at their best."""
        return self.design.totals((probabilities - self.truth) * self.share)

    def curvature(self, probabilities: Rows) -> Weights:
        """Diagonal of the loss's second derivative, floored so that no step is without bound."""
        diagonal = self.design.totals(probabilities * (1 - probabilities) * self.share)
        return diagonal + CURVATURE_FLOOR * diagonal.mean(1, keepdims=True) + 1e-12

    def curvature_product(self, probabilities: Rows, direction: Weights) -> Weights:
        """The loss's second derivative times a direction, the offsets following to their best."""
        return self.design.totals(self.share * self.linear_change(probabilities, direction))

    def linear_change(self, probabilities: Rows, direction: Weights) -> Rows:
        """Change of the probabilities along a direction, to first order, the offsets following to their best."""
        weighted = probabilities * self.share
        offsets_curvature = np.diag(weighted.sum(0)) - weighted.T @ probabilities
        scores = self.design.scores(direction)
        change = scores - np.einsum("wc,wc->w", scores, probabilities)[:, None]
        follow = np.zeros(scores.shape[1])
        follow[1:] = np.linalg.solve(offsets_curvature[1:, 1:], -np.einsum("wc,wc->c", weighted, change)[1:])
        change += follow - (probabilities @ follow)[:, None]
        return probabilities * change

    def objective(self, weights: Weights, probabilities: Rows) -> float:
        """Mean loss + l1 · ‖W‖₁ (nats)."""
        likelihood = np.einsum("wc,wc->w", probabilities, self.truth)
        return float(-self.share[:, 0] @ np.log(likelihood) + self.l1 * np.abs(weights).sum())

    def bound(self, gradient: Weights, probabilities: Rows) -> float:
        """Value of the dual at the residuals, scaled until they are feasible: no objective is lower."""
        scaled = self.truth + self.feasible_scale(gradient) * (probabilities - self.truth)
        logarithms = np.log(scaled, out=np.zeros_like(scaled), where=scaled > 0)
        return float(-np.einsum("w,wc,wc->", self.share[:, 0], scaled, logarithms))

    def feasible_scale(self, gradient: Weights) -> float:
        return min(1.0, self.l1 / max(float(np.abs(gradient).max()), 1e-300))


def row_maximum(rows: Rows) -> Float[np.ndarray, "window 1"]:
    """Largest of each row; over few columns this is several times as fast as `max(axis=1)`."""
    largest = rows[:, 0].copy()
    for column in rows.T[1:]:
        np.maximum(largest, column, out=largest)
    return largest[:, None]


def nearest_median(values: Float[np.ndarray, "... value"]) -> Float[np.ndarray, "..."]:
    """Of all medians along the last axis that which is nearest to 0; to take it away never raises Σ|value|."""
    ordered, size = np.sort(values, axis=-1), values.shape[-1]
    return np.asarray(np.clip(0.0, ordered[..., (size - 1) // 2], ordered[..., size // 2]))


def centred(weights: Weights, seen: Bool[np.ndarray, "position vocabulary"]) -> Weights:
    """The same model with less ‖W‖₁: shifts that change no probability are taken out, in place.

    A shift of one token's weights is common to all classes; a shift of one class at one position is common
    to all windows, and goes to the offsets.
    """
    active = weights.any(1)
    weights[active] -= nearest_median(weights[active])[:, None]
    by_position = weights.reshape(*seen.shape, -1)
    half = seen.sum(1)[:, None] / 2
    lopsided = ((by_position > 0).sum(1) > half) | ((by_position < 0).sum(1) > half)
    for position, word in np.argwhere(lopsided):
        here = seen[position]
        by_position[position, here, word] -= nearest_median(by_position[position, here, word])
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
        return _Iteration(problem, tolerance, start).run(max_iterations)


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
        self.seen: tuple[Weights, Weights] | None = None
        self.stiffness, self.bound = FIRST_STIFFNESS, 0.0
        self.restart_at(np.zeros((problem.design.features, classes)) if start is None else start.copy())
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
        moved = centred(moved, problem.design.seen)
        self.inertia_before = self.inertia
        if np.vdot((point - moved) * self.metric, moved - self.weights) > 0:
            self.inertia_before = self.inertia = 1.0
        self.inertia = (1 + np.sqrt(1 + 4 * self.inertia_before**2)) / 2
        self.before, self.scores_before = self.weights, self.scores
        self.weights, self.scores = moved, problem.design.scores(moved)
        return 1 - problem.feasible_scale(gradient) <= 10 * self.tolerance

    def stiffen(self, point: Weights, gradient: Weights) -> None:
        """Shorten the steps to come where the curvature met since the last point was above what they assume."""
        if self.seen is not None and self.metric is not None:
            moved, change = point - self.seen[0], gradient - self.seen[1]
            met = float(np.vdot(change, moved) / max(np.vdot(moved * self.metric, moved), 1e-300))
            if met > self.stiffness:
                self.stiffness = 1.2 * met
        self.seen = point, gradient

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
        length = min(1.0, 0.9 / max(float((-change / self.rows).max()), 1e-300))
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
            self.restart_at(centred(np.where(np.sign(moved) == signs, moved, 0.0), self.problem.design.seen))
            found = self.look()
            if found.objective < last.objective:
                self.solution = found
                return length == NEWTON_LENGTHS[0]
        self.restart_at(weights)
        self.look()
        return False
