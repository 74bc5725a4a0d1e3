"""Time to fit the linear model of the conjunctions, against scikit-learn's saga, to the same objective gap.

    python benchmarks/linear.py [--corpus FILE] [--json FILE]

The gap of a row is (objective − bound) / objective with the best lower bound known of the optimum, that of a
fit to a duality gap of 1e-6. Both solvers are run anew with more and more iterations, and the first run that
is within the gap counts, alone: so neither is charged for knowing when to stop. saga's offsets are set to
their best before the gap is taken. `ours_certified` is a fit that ends by its own duality gap, which is
stricter and is what `fit` does; saga has no such end. `ratio` is saga's time over the row's; for `ours_path`,
20 strengths from the largest of use to the smallest, it is the path's time over that of one certified fit at
the smallest.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from optim_hunter.models.linear_path import fit_path
from optim_hunter.models.linear_problem import Problem, WorkingSet
from optim_hunter.models.linear_solver import Solution, minimise
from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.stories import StoriesTask, Windows, draw_windows

STRENGTHS = (1e-3, 3e-4, 1e-4)
GAP = 1e-4
ITERATIONS = (1, 2, 3, 5, 7, 10, 14, 20, 28, 40, 56, 80, 113, 160, 226, 320)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def problem_of(windows: Windows, l1: float) -> Problem:
    ones = np.ones(len(windows.labels))
    classes, vocabulary = int(windows.labels.max()) + 1, windows.tokenizer.get_vocab_size()
    return Problem.of(windows.tokens, windows.labels, ones, classes, vocabulary, l1)


def within_gap(fit: Callable[[int], Any], objective: Callable[[Any], float], bound: float) -> tuple[float, float]:
    """Gap and time of the shortest run that comes within the gap (or of the longest)."""
    gap, seconds = 1.0, 0.0
    for iterations in ITERATIONS:
        fitted, seconds = timed(partial(fit, iterations))
        gap = (objective(fitted) - bound) / objective(fitted)
        if gap <= GAP:
            break
    return gap, seconds


def fit_ours(windows: Windows, l1: float, iterations: int) -> Solution:
    return minimise(problem_of(windows, l1), GAP, iterations)


def fit_saga(one_hot: Any, labels: Any, l1: float, iterations: int) -> LogisticRegression:
    strength = 1 / (len(labels) * l1)
    saga = LogisticRegression(l1_ratio=1.0, solver="saga", C=strength, max_iter=iterations, tol=0.0, random_state=0)
    return saga.fit(one_hot, labels)


def saga_objective(problem: Problem, saga: LogisticRegression) -> float:
    weights = saga.coef_.T
    held = (weights != 0).any(1)
    rows = WorkingSet(problem, held)
    loss, _, _ = rows.with_best_offsets(rows.scores(weights[held]), saga.intercept_)
    return loss + problem.l1 * float(np.abs(weights).sum())


def compare(windows: Windows, one_hot: Any, l1: float) -> Iterator[dict[str, Any]]:
    """Rows of one strength."""
    problem = problem_of(windows, l1)
    bound = minimise(problem, GAP / 100, 5000).bound
    saga_gap, saga = within_gap(partial(fit_saga, one_hot, windows.labels, l1), partial(saga_objective, problem), bound)
    gap, ours = within_gap(partial(fit_ours, windows, l1), lambda solution: solution.objective, bound)
    certified, seconds = timed(partial(fit_ours, windows, l1, 5000))
    yield {"name": "ours", "l1": l1, "seconds": ours, "gap": gap, "ratio": saga / ours}
    yield {"name": "ours_certified", "l1": l1, "seconds": seconds, "gap": certified.gap, "ratio": saga / seconds}
    yield {"name": "sklearn_saga", "l1": l1, "seconds": saga, "gap": saga_gap, "ratio": 1.0}


def path(windows: Windows) -> dict[str, Any]:
    """20 strengths, each fit begun at the last one's weights."""
    classes, strengths = int(windows.labels.max()) + 1, np.geomspace(3e-2, min(STRENGTHS), 20)
    _, single = timed(partial(fit_ours, windows, min(STRENGTHS), 5000))
    points, seconds = timed(lambda: list(fit_path(windows, windows, classes, strengths.tolist())))
    gap = max(point.gap for point in points)
    return {"name": "ours_path", "l1": min(STRENGTHS), "seconds": seconds, "gap": gap, "ratio": seconds / single}


def rows(windows: Windows) -> Iterator[dict[str, Any]]:
    categories = [list(range(windows.tokenizer.get_vocab_size()))] * windows.tokens.shape[1]
    one_hot = OneHotEncoder(categories=categories).fit_transform(windows.tokens)
    # Imports and first calls of both solvers lie outside the times.
    fit_ours(windows, 1e-2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit_saga(one_hot, windows.labels, 1e-2, 1)
        for l1 in STRENGTHS:
            yield from compare(windows, one_hot, l1)
    yield path(windows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="a text file of stories, or roneneldan/TinyStories; default: the packaged one")
    parser.add_argument("--json", type=Path, help="write the rows here")
    arguments = parser.parse_args()
    windows = draw_windows(read_corpus(arguments.corpus), StoriesTask())
    print(f"{len(windows.labels):,} windows")
    table = []
    for row in rows(windows):
        table.append(row)
        print("{name:14} l1 {l1:.0e}  {seconds:8.2f} s  gap {gap:.1e}  ratio {ratio:.2f}".format(**row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
