"""Multinomial logistic regression on one-hot tokens with an L1 penalty: the problem, its dual, its derivatives.

With class probabilities p_i = softmax(offsets + Σ_position weights[position, token]) and sample weights s_i
that sum to 1:

    P(W, b) = Σ_i s_i · −log p_i[y_i] + l1 · ‖W‖₁                         (offsets b are not penalised)

Its dual is to find distributions q_i with the largest mean entropy D(q) = Σ_i s_i · H(q_i), under
|Σ_i s_i x_i (q_i − onehot(y_i))| ≤ l1 for every weight and Σ_i s_i (q_i − onehot(y_i)) = 0 for every class.
With b optimal for its W, p itself meets the second condition, and q = onehot(y) + α·(p − onehot(y)) with
α = min(1, l1 / largest |gradient|) meets both and stays a distribution. So P − D(q) bounds how far W is
from the optimum, and the relative gap is (P − D) / P.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from optim_hunter.models import linear_kernels as kernels

Weights = Float[np.ndarray, "feature class"]
Rows = Float[np.ndarray, "row class"]
Offsets = Float[np.ndarray, "class"]

NEWTON_STEPS = 50
LONGEST_OFFSET_STEP = 2.0


@dataclass(frozen=True)
class Problem:
    """Windows with labels, sample weights that sum to 1, and the penalty.

    A feature is a token at a position: token + vocabulary · position, or whatever else windows hold some of (rules).
    Where windows hold unequally many, the last feature is none: it fills their rows up (`filled`) and has no weight.
    """

    features: Int[np.ndarray, "window position"]
    labels: Int[np.ndarray, "window"]
    share: Float[np.ndarray, "window"]
    classes: int
    all_features: int
    l1: float
    filled: bool = False

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
        context = tokens.shape[1]
        features = tokens[kept].astype(np.int32) + np.arange(0, context * vocabulary, vocabulary, dtype=np.int32)
        share = sample_weight[kept] / sample_weight.sum()
        return cls(features, labels[kept].astype(np.int32), share, classes, context * vocabulary, l1)

    def thinned(self, every: int) -> Problem:
        """Every so manieth window alone."""
        share = self.share[::every]
        features, labels = self.features[::every].copy(), self.labels[::every].copy()
        return replace(self, features=features, labels=labels, share=share / share.sum())

    @cached_property
    def prior(self) -> Offsets:
        """Share of each class."""
        return np.bincount(self.labels, self.share, self.classes)

    @cached_property
    def candidates(self) -> Bool[np.ndarray, "feature"]:
        """Features that may have weights: a gradient is at most the share of the windows that hold the feature."""
        return self.truth.sum(1) > self.l1

    @cached_property
    def truth(self) -> Weights:
        """Share of the windows that hold a feature, by label."""
        totals = np.zeros((self.all_features, self.classes))
        kernels.label_totals(self.features, self.labels, self.share, totals)
        totals[self.all_features - self.filled :] = 0
        return totals


class WorkingSet:
    """The windows as some features alone see them: those that are alike in all of these are one row.

    This is exact, since the loss depends on the windows through these features and the labels; it leaves few rows
    where the set is small, as it is at strong penalties.
    """

    def __init__(self, problem: Problem, held: Bool[np.ndarray, "feature"]) -> None:
        self.problem = problem
        self.columns = np.flatnonzero(held)
        self.place = self.places(self.columns)
        windows = len(problem.labels)
        keys = np.random.default_rng(0).integers(0, 2**63, problem.all_features, dtype=np.uint64)
        slots = 1 << (2 * windows - 1).bit_length()
        self.group, self.first = kernels.merge(problem.features, self.place, keys, slots)
        self.starts, self.rows = kernels.by_column(problem.features, self.place, self.first, len(self.columns))
        size = len(self.first) * problem.classes
        mass = np.bincount(self.group * np.int64(problem.classes) + problem.labels, problem.share, size)
        self.mass: Rows = mass.reshape(-1, problem.classes)
        self.share: Float[np.ndarray, "row"] = self.mass.sum(1)

    def places(self, features: Int[np.ndarray, "column"]) -> Int[np.ndarray, "feature"]:
        """The place of each feature among these, −1 for all others."""
        place = np.full(self.problem.all_features, -1, dtype=np.int32)
        place[features] = np.arange(len(features), dtype=np.int32)
        return place

    def scores(self, weights: Float[np.ndarray, "column class"]) -> Rows:
        """Sum of the weights of each row's features."""
        scores = np.zeros_like(self.mass)
        kernels.sum_weights(self.problem.features, self.place, self.first, weights, scores)
        return scores

    def evaluate(self, scores: Rows, offsets: Offsets) -> tuple[float, Rows]:
        """Mean loss (nats) and probabilities."""
        probabilities = np.empty_like(scores)
        return float(kernels.evaluate(scores, offsets, self.mass, probabilities)), probabilities

    def with_best_offsets(
        self, scores: Rows, offsets: Offsets, precision: float = 1e-11
    ) -> tuple[float, Rows, Offsets]:
        """Loss, probabilities and offsets where these are at their best for the scores, by Newton's method.

        `precision` bounds the difference between the mean probability and the share of a class.
        """
        for _ in range(NEWTON_STEPS):
            loss, probabilities = self.evaluate(scores, offsets)
            mean, curvature = kernels.offset_derivatives(probabilities, self.share)
            if np.abs(mean - self.problem.prior).max() < precision:
                break
            step = np.zeros(len(offsets))
            step[1:] = np.linalg.solve(curvature[1:, 1:], (mean - self.problem.prior)[1:])
            offsets = offsets - np.clip(step, -LONGEST_OFFSET_STEP, LONGEST_OFFSET_STEP)
        return loss, probabilities, offsets - offsets.mean()

    def gradient(self, probabilities: Rows) -> Weights:
        """Of the mean loss, by the weights of all features, not only those of the set."""
        gradient = -self.problem.truth
        kernels.probability_totals(self.problem.features, self.problem.share, self.group, probabilities, gradient)
        gradient[self.problem.all_features - self.problem.filled :] = 0
        return gradient

    def bound(self, gradient: Weights, probabilities: Rows) -> float:
        """Value of the dual at the residuals, scaled until they are feasible: no objective is lower."""
        scale = min(1.0, self.problem.l1 / max(float(np.abs(gradient).max(initial=0.0)), 1e-300))
        return float(kernels.dual_value(probabilities, self.mass, scale))
