"""Linear models fitted again on the weights that a sparse one has, at a lighter price than the one that made it sparse.

L1 chooses few weights and shrinks them in one. The same few at a light price say what so few weights can do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import sparse

from optim_hunter.claim import InvalidInstrument
from optim_hunter.models import linear_kernels as kernels
from optim_hunter.models.linear_path import mean_loss
from optim_hunter.models.linear_problem import Offsets, Problem, Rows, Weights, WorkingSet
from optim_hunter.tasks.stories import Windows

LIGHT = (1e-4, 3e-5, 1e-5)
"""Prices of a weight in nats of mean loss, the largest first."""

TOLERANCE = 1e-3
"""Relative duality gap of a fit, among models that have weights in these places alone."""

MAX_ITERATIONS = 2000
PRECISION = 0.002
"""The optimiser stops where no gradient misses its condition by more than this share of the price."""

Split = Float[np.ndarray, "part"]
"""Weights as what is above 0 and what is below, in two halves, so that their sizes have a gradient."""


def refitted(problem: Problem, choosing: Windows, weights: Weights, prices: Sequence[float] = LIGHT) -> tuple[
    Weights, Offsets
]:  # fmt: skip
    """Weights in the same places as these, and offsets, at the price that does best on the stories for choosing.

    Raises:
        InvalidInstrument: a fit misses its gap.
    """
    support, points = Support(problem, weights), list[tuple[Weights, Offsets]]()
    for l1 in prices:
        points.append(support.fit(l1, points[-1][0] if points else weights))
    return min(points, key=lambda point: mean_loss(choosing, *point))


class Support:
    """The places at which a linear model has weights other than 0, and fits of these alone."""

    def __init__(self, problem: Problem, weights: Weights) -> None:
        self._there = weights != 0
        self._held = self._there.any(1)
        self._free = self._there[self._held]
        self._rows = WorkingSet(problem, self._held)
        entries = np.ones(len(self._rows.rows))
        shape = (len(self._rows.first), len(self._free))
        columns = sparse.csc_array((entries, self._rows.rows, self._rows.starts), shape=shape)
        self._by_row, self._by_column = columns.tocsr(), columns.T.tocsr()
        self._offsets = np.log(problem.prior)

    def fit(self, l1: float, start: Weights) -> tuple[Weights, Offsets]:
        """Weights and offsets that do best at a price (nats), begun at some weights.

        Raises:
            InvalidInstrument: the fit misses its gap.
        """
        from scipy.optimize import minimize

        begun = start[self._there]
        parts = np.concatenate([np.maximum(begun, 0), np.maximum(-begun, 0)])
        options = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "ftol": 0.0, "gtol": PRECISION * l1}
        found = minimize(
            self._objective, parts, (l1,), "L-BFGS-B", jac=True, bounds=[(0, None)] * len(parts), options=options
        )
        own = self._own(found.x)
        if not (gap := self._gap(own, l1)) <= TOLERANCE:
            raise InvalidInstrument(f"the same weights at {l1:g} nats: duality gap {gap:.1e} above {TOLERANCE:g}")
        weights = np.zeros(self._there.shape)
        weights[self._held] = own
        return weights, self._offsets

    def _own(self, parts: Split) -> Weights:
        """The weights of the features that have some."""
        own, (above, below) = np.zeros(self._free.shape), np.split(parts, 2)
        own[self._free] = above - below
        return own

    def _objective(self, parts: Split, l1: float) -> tuple[float, Split]:
        loss, slope, _ = self._at(self._own(parts))
        return loss + l1 * float(parts.sum()), np.concatenate([l1 + slope, l1 - slope])

    def _at(self, own: Weights) -> tuple[float, Float[np.ndarray, "weight"], Rows]:
        """Loss at the offsets that are best, its slope by the weights, and probabilities."""
        loss, probabilities, self._offsets = self._rows.with_best_offsets(self._by_row @ own, self._offsets)
        slope = self._by_column @ (probabilities * self._rows.share[:, None] - self._rows.mass)
        return loss, slope[self._free], probabilities

    def _gap(self, own: Weights, l1: float) -> float:
        """As `models.linear_problem` bounds it, for the weights of the support alone."""
        loss, slope, probabilities = self._at(own)
        objective = loss + l1 * float(np.abs(own).sum())
        scale = min(1.0, l1 / max(float(np.abs(slope).max(initial=0.0)), 1e-300))
        return (objective - float(kernels.dual_value(probabilities, self._rows.mass, scale))) / objective
