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

CHECK_EVERY = 25
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


def centred_by_median(weights: Weights) -> Weights:
    """Each feature's weights, shifted by that median over the classes which is nearest to 0 (least ‖W‖₁)."""
    active: Bool[np.ndarray, "feature"] = weights.any(1)
    ordered = np.sort(weights[active], axis=1)
    classes = weights.shape[1]
    weights[active] -= np.clip(0.0, ordered[:, (classes - 1) // 2], ordered[:, classes // 2])[:, None]
    return weights


def proximal_step(point: Weights, gradient: Weights, step: Weights, l1: float) -> Weights:
    """Soft-thresholded gradient step with a step length for each weight, then centred by the median."""
    moved = point - step * gradient
    moved = np.sign(moved) * np.maximum(np.abs(moved) - l1 * step, 0)
    return centred_by_median(point + np.clip(moved - point, -LONGEST_STEP, LONGEST_STEP))


def minimise(problem: Problem, tolerance: float, max_iterations: int, start: Weights | None = None) -> Solution:
    """Iterate until the relative duality gap is at most `tolerance`, or `max_iterations` are spent.

    `start` are weights to begin with (a fit of similar data or of another penalty); the optimum is the same.
    """
    with one_thread():
        return _Iteration(problem, tolerance, start).run(max_iterations)


class _Iteration:
    """State of the accelerated proximal gradient."""

    def __init__(self, problem: Problem, tolerance: float, start: Weights | None) -> None:
        classes = problem.truth.shape[1]
        self.problem, self.tolerance = problem, tolerance
        self.weights = np.zeros((problem.design.features, classes)) if start is None else start.copy()
        self.scores = problem.design.scores(self.weights)
        self.before, self.scores_before = self.weights, self.scores
        self.offsets = np.zeros(classes)
        self.inertia = self.inertia_before = 1.0
        self.metric: Weights | None = None
        self.stiffness = 5.0  # curvature along the stiffest direction over the diagonal's; grows where too small
        self.best: Solution | None = None
        self.bound = 0.0

    def run(self, max_iterations: int) -> Solution:
        iteration = 0
        for iteration in range(1, max_iterations + 1):
            promising = self.advance(iteration)
            if (promising or iteration % CHECK_EVERY == 0) and self.check(iteration).gap <= self.tolerance:
                break
        return self.best if self.best and self.best.iterations == iteration else self.check(iteration)

    def advance(self, iteration: int) -> bool:
        """One step; tells whether the gap may be closed, from the gradient at hand."""
        problem, momentum = self.problem, (self.inertia_before - 1) / self.inertia
        point = self.weights + momentum * (self.weights - self.before)
        scores = self.scores + momentum * (self.scores - self.scores_before)
        rows, self.offsets = problem.probabilities(scores, self.offsets, precision=problem.l1 / 1000)
        gradient = problem.gradient(rows)
        if self.metric is None or iteration % REFRESH_EVERY == 0:
            fresh = problem.curvature(rows)
            self.metric = fresh if self.metric is None else np.maximum(fresh, self.metric / 2)
        moved = proximal_step(point, gradient, 1 / (self.stiffness * self.metric), problem.l1)
        self.inertia_before = self.inertia
        if np.vdot((point - moved) * self.metric, moved - self.weights) > 0:
            self.inertia_before = self.inertia = 1.0
        self.inertia = (1 + np.sqrt(1 + 4 * self.inertia_before**2)) / 2
        self.before, self.scores_before = self.weights, self.scores
        self.weights, self.scores = moved, problem.design.scores(moved)
        return 1 - problem.feasible_scale(gradient) <= 10 * self.tolerance

    def check(self, iteration: int) -> Solution:
        """Objective and bound at the present weights; the stiffness is doubled where the objective rose."""
        rows, self.offsets = self.problem.probabilities(self.scores, self.offsets)
        objective = self.problem.objective(self.weights, rows)
        self.bound = max(self.bound, self.problem.bound(self.problem.gradient(rows), rows))
        if self.best is not None and objective > self.best.objective * (1 + self.tolerance):
            self.stiffness *= 2
            self.inertia_before = self.inertia = 1.0
            self.weights = self.before = self.best.weights
            self.scores = self.scores_before = self.problem.design.scores(self.weights)
        self.best = Solution(self.weights, self.offsets, objective, self.bound, iteration)
        return self.best
