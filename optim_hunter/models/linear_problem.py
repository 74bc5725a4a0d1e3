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

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

Weights = Float[np.ndarray, "feature class"]
Rows = Float[np.ndarray, "window class"]

CURVATURE_FLOOR = 0.02
"""Least curvature of a weight, as a share of the mean over the classes of its token."""


class Design:
    """One-hot tokens by position as a sparse matrix [window, feature], kept both ways round.

    A feature is a token at a position. Its gradient is at most the share of windows that hold it, so features
    whose share is no more than the penalty are 0 at the optimum and are left out.
    """

    def __init__(
        self,
        tokens: Int[np.ndarray, "window position"],
        share: Float[np.ndarray, "window"],
        vocabulary: int,
        l1: float,
    ) -> None:
        from scipy.sparse import csr_matrix

        windows, context = tokens.shape
        columns = tokens + vocabulary * np.arange(context)
        self.all_features = context * vocabulary
        held = np.bincount(columns.ravel(), np.repeat(share, context), self.all_features)
        self.kept = np.flatnonzero(held > l1)
        place = np.full(self.all_features, -1, dtype=np.int32)
        place[self.kept] = np.arange(len(self.kept))
        places = place[columns]
        starts = np.concatenate([[0], np.cumsum((places >= 0).sum(1))]).astype(np.int32)
        places = places[places >= 0]
        rows = csr_matrix((np.ones(len(places)), places, starts), shape=(windows, len(self.kept)))
        self._rows, self._columns = _torch_sparse(rows), _torch_sparse(rows.T.tocsr())
        borders = np.searchsorted(self.kept, vocabulary * np.arange(context + 1))
        seen = (held.reshape(context, vocabulary) > 0).sum(1)
        self.whole_positions = [
            slice(first, last)
            for first, last, tokens_seen in zip(borders, borders[1:], seen, strict=False)
            if last - first == tokens_seen
        ]

    def scores(self, weights: Weights) -> Rows:
        """Sum of the weights of each window's features."""
        return np.asarray(torch.mm(self._rows, torch.from_numpy(weights)))

    def totals(self, rows: Rows) -> Weights:
        """Sum over the windows that hold each feature."""
        return np.asarray(torch.mm(self._columns, torch.from_numpy(rows)))


def _torch_sparse(matrix) -> torch.Tensor:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts, places, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(starts, places, values, matrix.shape, check_invariants=True)


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
        share = sample_weight[kept] / sample_weight.sum()
        return cls(Design(tokens[kept], share, vocabulary, l1), np.eye(classes)[labels[kept]], share[:, None], l1)

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
        return float(-self.share[:, 0] @ np.log(np.maximum(likelihood, 1e-300)) + self.l1 * np.abs(weights).sum())

    def bound(self, gradient: Weights, probabilities: Rows) -> float:
        """Value of the dual at the residuals, scaled until they are feasible: no objective is lower."""
        scaled = self.truth + self.feasible_scale(gradient) * (probabilities - self.truth)
        logarithms = np.log(scaled, out=np.zeros_like(scaled), where=scaled > 0)
        return float(-np.einsum("w,wc,wc->", self.share[:, 0], scaled, logarithms))

    def feasible_scale(self, gradient: Weights) -> float:
        return min(1.0, self.l1 / max(float(np.abs(gradient).max(initial=0.0)), 1e-300))


def row_maximum(rows: Rows) -> Float[np.ndarray, "window 1"]:
    """Largest of each row; over few columns this is several times as fast as `max(axis=1)`."""
    largest = rows[:, 0].copy()
    for column in rows.T[1:]:
        np.maximum(largest, column, out=largest)
    return largest[:, None]
