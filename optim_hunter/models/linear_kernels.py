"""Compiled loops of the linear model: over windows and their features, and over coordinates of its weights.

A window has one feature (a number) for each of its positions. `place` gives the column of a feature in a working
set, −1 where it is not in it; `rows` are windows that are alike in all features of the set, merged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt
from numba import njit

Features = Int[np.ndarray, "window position"]
Rows = Float[np.ndarray, "row class"]
Blocks = Float[np.ndarray, "column class"]
Classes = Float[np.ndarray, "class"]
Square = Float[np.ndarray, "class class"]

BLOCK_SWEEPS = 50
BLOCK_ACCURACY = 1e-3
"""Share of the penalty to which the conditions of one feature's weights are met."""


class QuadraticModel(NamedTuple):
    """The loss to second order about some weights, in the features `columns` of a working set.

    The columns' rows lie one after the other in `rows`, from `starts`. `gradient` and `blocks` are the loss's
    derivatives by the weights of one feature, `profiled` the second one with the offsets following to their best,
    by way of `inverse`, that of their own curvature. `base` are the weights there.
    """

    starts: Int[np.ndarray, "place"]
    rows: Int[np.ndarray, "entry"]
    columns: Int[np.ndarray, "column"]
    probabilities: Float[np.ndarray, "row class"]
    share: Float[np.ndarray, "row"]
    gradient: Float[np.ndarray, "column class"]
    blocks: Float[np.ndarray, "column class class"]
    profiled: Float[np.ndarray, "column class class"]
    inverse: Float[np.ndarray, "class class"]
    base: Float[np.ndarray, "column class"]


@njit(cache=True)
def label_totals(
    features: Features,
    labels: Int[np.ndarray, "window"],
    share: Float[np.ndarray, "window"],
    totals: Float[np.ndarray, "feature class"],
) -> None:
    """Add the share of the windows that hold a feature, by label."""
    for window in range(len(labels)):
        for feature in features[window]:
            totals[feature, labels[window]] += share[window]


@njit(cache=True)
def probability_totals(
    features: Features,
    share: Float[np.ndarray, "window"],
    group: Int[np.ndarray, "window"],
    probabilities: Rows,
    totals: Float[np.ndarray, "feature class"],
) -> None:
    """Add the probabilities of the windows that hold a feature; those of a window are the row `group` of it."""
    classes = probabilities.shape[1]
    weighted = np.empty(classes)
    for window in range(len(group)):
        for c in range(classes):
            weighted[c] = share[window] * probabilities[group[window], c]
        for feature in features[window]:
            for c in range(classes):
                totals[feature, c] += weighted[c]


@njit(cache=True)
def alike(features: Features, place: Int[np.ndarray, "feature"], one: int, other: int) -> bool:
    """Whether two windows have the same features of the working set, in the same order."""
    width, at, beside = features.shape[1], 0, 0
    while True:
        while at < width and place[features[one, at]] < 0:
            at += 1
        while beside < width and place[features[other, beside]] < 0:
            beside += 1
        if at == width or beside == width:
            return at == beside
        if features[one, at] != features[other, beside]:
            return False
        at, beside = at + 1, beside + 1


@njit(cache=True)
def merge(
    features: Features, place: Int[np.ndarray, "feature"], keys: UInt[np.ndarray, "feature"], slots: int
) -> tuple[Int[np.ndarray, "window"], Int[np.ndarray, "row"]]:
    """The row of each window, and the first window of each row, by a hash table of `slots` (a power of 2)."""
    table = np.full(slots, -1, np.int32)
    first = np.empty(len(features), np.int32)
    group = np.empty(len(features), np.int32)
    count = 0
    for window in range(len(features)):
        key = np.uint64(0)
        for feature in features[window]:
            if place[feature] >= 0:
                key += keys[feature]
        slot = np.int64(key >> np.uint64(32)) & (slots - 1)
        while table[slot] >= 0 and not alike(features, place, first[table[slot]], window):
            slot = (slot + 1) & (slots - 1)
        if table[slot] < 0:
            table[slot] = count
            first[count] = window
            count += 1
        group[window] = table[slot]
    return group, first[:count].copy()


@njit(cache=True)
def by_column(
    features: Features, place: Int[np.ndarray, "feature"], first: Int[np.ndarray, "row"], width: int
) -> tuple[Int[np.ndarray, "place"], Int[np.ndarray, "entry"]]:
    """The rows of each column, one after the other, and where those of a column start."""
    starts = np.zeros(width + 1, np.int64)
    for window in first:
        for feature in features[window]:
            if place[feature] >= 0:
                starts[place[feature] + 1] += 1
    starts = np.cumsum(starts)
    ends = starts[:-1].copy()
    rows = np.empty(starts[-1], np.uint32)
    for row in range(len(first)):
        for feature in features[first[row]]:
            column = place[feature]
            if column >= 0:
                rows[ends[column]] = row
                ends[column] += 1
    return starts, rows


@njit(cache=True)
def sum_weights(
    features: Features,
    place: Int[np.ndarray, "feature"],
    first: Int[np.ndarray, "row"],
    weights: Blocks,
    scores: Rows,
) -> None:
    """Add the weights of each row's features to its scores."""
    for row in range(len(first)):
        for feature in features[first[row]]:
            column = place[feature]
            if column >= 0:
                for c in range(weights.shape[1]):
                    scores[row, c] += weights[column, c]


@njit(cache=True)
def evaluate(scores: Rows, offsets: Classes, mass: Rows, probabilities: Rows) -> float:
    """The loss (nats), and the probabilities into their array; `mass` is the share of a row by label."""
    loss, classes = 0.0, len(offsets)
    for row in range(len(scores)):
        largest = -np.inf
        for c in range(classes):
            largest = max(largest, scores[row, c] + offsets[c])
        total, whole = 0.0, 0.0
        for c in range(classes):
            above = scores[row, c] + offsets[c] - largest
            loss -= mass[row, c] * above
            whole += mass[row, c]
            probabilities[row, c] = np.exp(above)
            total += probabilities[row, c]
        for c in range(classes):
            probabilities[row, c] /= total
        loss += whole * np.log(total)
    return loss


@njit(cache=True)
def offset_derivatives(probabilities: Rows, share: Float[np.ndarray, "row"]) -> tuple[Classes, Square]:
    """The mean probabilities, and the second derivative of the loss by the offsets."""
    classes = probabilities.shape[1]
    mean, curvature = np.zeros(classes), np.zeros((classes, classes))
    for row in range(len(share)):
        for c in range(classes):
            weighted = share[row] * probabilities[row, c]
            mean[c] += weighted
            for k in range(classes):
                curvature[c, k] -= weighted * probabilities[row, k]
    for c in range(classes):
        curvature[c, c] += mean[c]
    return mean, curvature


@njit(cache=True)
def negative_entropy(value: float) -> float:
    """value · log value, 0 at 0."""
    return value * np.log(value) if value > 0 else 0.0


@njit(cache=True)
def dual_value(probabilities: Rows, mass: Rows, scale: float) -> float:
    """Mean entropy of onehot + scale · (probabilities − onehot) over all labels (nats)."""
    classes = probabilities.shape[1]
    terms, value = np.empty(classes), 0.0
    for row in range(len(mass)):
        total = 0.0
        for c in range(classes):
            terms[c] = negative_entropy(scale * probabilities[row, c])
            total += terms[c]
        for c in range(classes):
            if mass[row, c] > 0:
                own = negative_entropy(scale * probabilities[row, c] + 1 - scale)
                value -= mass[row, c] * (total - terms[c] + own)
    return value


@njit(cache=True)
def curvature_blocks(
    features: Features,
    first: Int[np.ndarray, "row"],
    place: Int[np.ndarray, "feature"],
    probabilities: Rows,
    share: Float[np.ndarray, "row"],
    width: int,
) -> Float[np.ndarray, "column class class"]:
    """Second derivatives of the loss by the weights of each column alone."""
    classes = probabilities.shape[1]
    blocks = np.zeros((width, classes * classes))
    own = np.empty(classes * classes)
    for row in range(len(first)):
        for c in range(classes):
            weighted = share[row] * probabilities[row, c]
            for k in range(classes):
                own[c * classes + k] = -weighted * probabilities[row, k]
            own[c * classes + c] += weighted
        for feature in features[first[row]]:
            column = place[feature]
            if column >= 0:
                for entry in range(classes * classes):
                    blocks[column, entry] += own[entry]
    return blocks.reshape(width, classes, classes)


@njit(cache=True)
def block_step(
    curvature: Square, gradient: Classes, weights: Classes, base: Classes, limit: float, l1: float, step: Classes
) -> None:
    """The step of one feature's weights to the least value of its quadratic model, at most `limit` from `base`."""
    classes = len(weights)
    step[:] = 0
    slope = gradient.copy()
    for _ in range(BLOCK_SWEEPS):
        largest = 0.0
        for c in range(classes):
            now, stiffness = weights[c] + step[c], curvature[c, c]
            target = now - slope[c] / stiffness
            shrunk = np.sign(target) * max(abs(target) - l1 / stiffness, 0.0)
            change = min(max(shrunk, base[c] - limit), base[c] + limit) - now
            if change != 0:
                step[c] += change
                for k in range(classes):
                    slope[k] += curvature[k, c] * change
                largest = max(largest, abs(change) * stiffness)
        if largest < BLOCK_ACCURACY * l1:
            break


@njit(cache=True)
def add_product(matrix: Square, vector: Classes, factor: float, total: Classes) -> None:
    """total += factor · matrix @ vector."""
    for c in range(len(total)):
        for k in range(len(vector)):
            total[c] += factor * matrix[c, k] * vector[k]


@njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
def add_changes(own: Int[np.ndarray, "entry"], change: Rows, totals: Classes) -> None:
    """Add the changes of a column's rows."""
    for c in range(change.shape[1]):
        total = 0.0
        for row in own:
            total += change[row, c]
        totals[c] += total


@njit(cache=True, fastmath={"reassoc", "nsz", "contract"})
def move_rows(
    own: Int[np.ndarray, "entry"], probabilities: Rows, share: Float[np.ndarray, "row"], step: Classes, change: Rows
) -> None:
    """Let the probabilities of a column's rows, times their share, follow a step of its weights to first order."""
    classes = len(step)
    for row in own:
        mean = np.float32(0)
        for c in range(classes):
            mean += probabilities[row, c] * step[c]
        for c in range(classes):
            change[row, c] += share[row] * probabilities[row, c] * (step[c] - mean)


@njit(cache=True)
def descend(
    model: QuadraticModel,
    l1: float,
    limit: float,
    moving: Bool[np.ndarray, "column"],
    change: Rows,
    offsets_gradient: Classes,
    weights: Blocks,
) -> float:
    """A pass of block coordinate descent over the columns that are `moving`; of those that stay it is taken away.

    `change` is that of the rows' probabilities without the offsets', `offsets_gradient` what it makes of the
    loss's derivative by them: the offsets follow at once, at the cost of one block, and no row is touched for it.
    Returns half the squared length of the steps in the curvature, which is about what the model decreased by.
    """
    classes = weights.shape[1]
    gradient, follow, step = np.empty(classes), np.zeros(classes), np.empty(classes)
    add_product(model.inverse, offsets_gradient, -1.0, follow)
    decrease = 0.0
    for at in range(len(weights)):
        if not moving[at]:
            continue
        column = model.columns[at]
        own = model.rows[model.starts[column] : model.starts[column + 1]]
        gradient[:] = model.gradient[at]
        add_product(model.blocks[at], follow, 1.0, gradient)
        add_changes(own, change, gradient)
        block_step(model.profiled[at], gradient, weights[at], model.base[at], limit, l1, step)
        moving[at] = np.any(step != 0)
        if moving[at]:
            decrease += 0.5 * step @ (model.profiled[at] @ step)
            weights[at] += step
            add_product(model.blocks[at], step, 1.0, offsets_gradient)
            follow[:] = 0
            add_product(model.inverse, offsets_gradient, -1.0, follow)
            move_rows(own, model.probabilities, model.share, step.astype(np.float32), change)
    return decrease
