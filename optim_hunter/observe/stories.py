"""What the linear model of a corpus shows: its weights, for the corpus and for resamples of its stories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import InvalidInstrument, NoValue
from optim_hunter.observe.checks import TOLERANCES
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import StoriesTask, draw_windows, token_texts, tokenizer_sha256

TOLERANCE = 1e-4
"""Relative duality gap of the fit to the corpus itself."""

RESAMPLE_TOLERANCE = TOLERANCES["float64"]["duality gap"]
"""The same for a resample, whose own spread is far larger than what is left of the fit."""

MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class StoriesObservation:
    """A fitted linear model; `seed` None is the corpus itself, a number a resample of its stories."""

    weights: Float[np.ndarray, "16 vocabulary class"]
    offsets: Float[np.ndarray, "class"]
    tokens: tuple[str, ...]
    group: tuple[str, ...]
    seed: int | None
    gap: float

    @property
    def checks(self) -> dict[str, float]:
        """The relative duality gap of the fit, as an instrument check."""
        return {"duality gap": self.gap}


class StoriesObserver:
    """Fits a corpus once, and then resamples of its stories from there.

    Raises:
        UserError: a corpus without enough windows of the task.
        InvalidInstrument: a fit that does not reach its gap.
    """

    def __init__(self, corpus: Corpus, task: StoriesTask) -> None:
        self._corpus, self._task = corpus, task
        self._windows = draw_windows(corpus, task)
        self._texts = token_texts(self._windows.tokenizer)
        self._full: StoriesObservation | None = None

    def observe(self, seed: int | None) -> StoriesObservation:
        """Weights for the corpus (None), or for as many stories drawn from it with replacement (a seed).

        Raises:
            NoValue: a resample without any window of a class.
        """
        if self._full is None:
            self._full = self._fit(None, np.ones(len(self._windows.labels)), None)
        if seed is None:
            return self._full
        drawn = story_counts(len(self._corpus.stories), seed)
        return self._fit(seed, drawn[self._windows.story].astype(float), self._full.weights)

    def provenance(self) -> dict[str, Any]:
        """What the fits are made of, as plain JSON data."""
        counts = np.bincount(self._windows.labels, minlength=len(self._task.group))
        return {
            "stories": len(self._corpus.stories),
            "tokenizer_sha256": tokenizer_sha256(self._windows.tokenizer),
            "vocabulary": len(self._texts),
            "windows": dict(zip(self._task.group, counts.tolist(), strict=True)),
            "l1": self._task.l1,
        }

    def _fit(
        self,
        seed: int | None,
        sample_weight: Float[np.ndarray, "window"],
        start: Float[np.ndarray, "16 vocabulary class"] | None,
    ) -> StoriesObservation:
        from optim_hunter.models.linear_problem import Problem
        from optim_hunter.models.linear_solver import minimise

        windows, classes = self._windows, len(self._task.group)
        missing = np.bincount(windows.labels, sample_weight, minlength=classes) == 0
        if missing.any():
            raise NoValue(f"no story of this resample has a window before {self._task.group[int(missing.argmax())]!r}")
        problem = Problem.of(windows.tokens, windows.labels, sample_weight, classes, len(self._texts), self._task.l1)
        tolerance = TOLERANCE if seed is None else RESAMPLE_TOLERANCE
        solution = minimise(problem, tolerance, MAX_ITERATIONS, None if start is None else start.reshape(-1, classes))
        if solution.gap > tolerance:
            raise InvalidInstrument(
                f"linear model on {self._corpus.name}: duality gap {solution.gap:.1e} above {tolerance:g} after "
                f"{solution.iterations} iterations; raise the task's l1"
            )
        weights = solution.weights.reshape(self._task.context, len(self._texts), classes)
        return StoriesObservation(weights, solution.offsets, self._texts, self._task.group, seed, solution.gap)


def story_counts(stories: int, seed: int) -> Int[np.ndarray, "story"]:
    """How often each story is drawn when as many are drawn with replacement (the bootstrap by story)."""
    return np.random.default_rng(seed).multinomial(stories, np.full(stories, 1 / stories))
