"""What the linear model of a corpus shows: its weights, for the corpus and for resamples of its stories."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import InvalidInstrument, NoValue
from optim_hunter.observe.store import Store, Stored
from optim_hunter.observe.versions import fit_engine
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import (
    StoriesTask,
    Windows,
    draw_windows,
    story_counts,
    token_texts,
    tokenizer_sha256,
)

if TYPE_CHECKING:
    from optim_hunter.models.linear_solver import Solution

TOLERANCE = 1e-5
"""Relative duality gap of the fit to the corpus itself.

Where the loss is flat (rare tokens, shifts of a word at all tokens of a position) the penalty alone decides, and a gap
of g leaves g · objective / l1 nats of weight open: 0.05 at 1e-5, but half a nat at 1e-4.
"""

RESAMPLE_TOLERANCE = 1e-4
"""The same for a resample, whose own spread is larger than what is left of the fit.

No resample begins at the corpus's own weights: what the gap leaves open would then stay near them, and resamples would
look more alike than they are (of " was" in `planted:was-raises-so` a standard deviation of 0.039 for 0.076 nats at the
optimum, also with a gap of 1e-5). Begun at no weights they come within 0.0001 nats of it.
"""

MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class StoriesObservation:
    """A fitted linear model; `seed` None is the corpus itself, a number a resample of its stories.

    `frequency` is the share of the windows it was fitted to that hold each token at each position.
    """

    weights: Float[np.ndarray, "16 vocabulary class"]
    offsets: Float[np.ndarray, "class"]
    tokens: tuple[str, ...]
    group: tuple[str, ...]
    seed: int | None
    gap: float
    frequency: Float[np.ndarray, "16 vocabulary"]

    @property
    def checks(self) -> dict[str, float]:
        """The relative duality gap of the fit, as an instrument check."""
        return {"duality gap": self.gap}


class StoriesObserver:
    """Fits a corpus, and resamples of its stories, each from no weights; what a store has of it is not made again.

    Raises:
        UserError: a corpus without enough windows of the task.
        InvalidInstrument: a fit that does not reach its gap.
    """

    def __init__(self, corpus: Corpus, task: StoriesTask, store: Store | None = None) -> None:
        self._corpus, self._task, self._store = corpus, task, store
        self.fits = 0
        self.taken = 0
        self._about = self._recall("windows") or self._keep("windows", *self._described())

    def observe(self, seed: int | None) -> StoriesObservation:
        """Weights for the corpus (None), or for as many stories drawn from it with replacement (a seed).

        Raises:
            NoValue: a resample without any window of a class.
        """
        return self._whole if seed is None else self._observe(seed)

    def provenance(self) -> dict[str, Any]:
        """What the fits are made of, as plain JSON data."""
        return dict(self._about.header["provenance"])

    @cached_property
    def _whole(self) -> StoriesObservation:
        return self._observe(None)

    @cached_property
    def _windows(self) -> Windows:
        return draw_windows(self._corpus, self._task)

    def _described(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What an observation tells of the windows, so that they need not be drawn for a fit that is kept."""
        counts = np.bincount(self._windows.labels, minlength=len(self._task.group))
        texts = token_texts(self._windows.tokenizer)
        provenance = {
            "stories": len(self._corpus.stories),
            "tokenizer_sha256": tokenizer_sha256(self._windows.tokenizer),
            "vocabulary": len(texts),
            "windows": dict(zip(self._task.group, counts.tolist(), strict=True)),
            "l1": self._task.l1,
        }
        return {"provenance": provenance, "tokens": texts}, {}

    def _observe(self, seed: int | None) -> StoriesObservation:
        kept = self._recall("fit", seed)
        if kept is None:
            weight = self._sample_weight(seed)
            held = held_tokens(self._windows.tokens, weight, self._vocabulary)
            kept = self._keep("fit", *_packed(self._fit(seed, weight), held), seed)
        tokens = tuple(self._about.header["tokens"])
        weights = np.zeros(self._task.context * len(tokens) * len(self._task.group))
        weights[kept.arrays["places"]] = kept.arrays["values"]
        shaped = weights.reshape(self._task.context, len(tokens), len(self._task.group))
        held = kept.arrays["held"]
        frequency = held / held.sum(1, keepdims=True)
        gap = float(kept.header["gap"])
        return StoriesObservation(shaped, kept.arrays["offsets"], tokens, self._task.group, seed, gap, frequency)

    @property
    def _vocabulary(self) -> int:
        return int(self._about.header["provenance"]["vocabulary"])

    def _sample_weight(self, seed: int | None) -> Float[np.ndarray, "window"]:
        """How often each window is drawn."""
        windows = self._windows
        if seed is None:
            return np.ones(len(windows.labels))
        return story_counts(len(self._corpus.stories), seed)[windows.story].astype(float)

    def _fit(self, seed: int | None, weight: Float[np.ndarray, "window"]) -> Solution:
        from optim_hunter.models.linear_problem import Problem
        from optim_hunter.models.linear_solver import minimise

        self.fits += 1
        windows, classes = self._windows, len(self._task.group)
        missing = np.bincount(windows.labels, weight, minlength=classes) == 0
        if missing.any():
            raise NoValue(f"no story of this resample has a window before {self._task.group[int(missing.argmax())]!r}")
        problem = Problem.of(windows.tokens, windows.labels, weight, classes, self._vocabulary, self._task.l1)
        tolerance = TOLERANCE if seed is None else RESAMPLE_TOLERANCE
        solution = minimise(problem, tolerance, MAX_ITERATIONS)
        if not solution.gap <= tolerance:
            raise InvalidInstrument(
                f"linear model on {self._corpus.name}: duality gap {solution.gap:.1e} above {tolerance:g} after "
                f"{solution.iterations} iterations; raise the task's l1"
            )
        return solution

    def _recall(self, kind: str, seed: int | None = None) -> Stored | None:
        kept = self._store.get(self._key(kind, seed)) if self._store is not None else None
        self.taken += kept is not None
        return kept

    def _keep(
        self, kind: str, header: dict[str, Any], arrays: dict[str, np.ndarray], seed: int | None = None
    ) -> Stored:
        if self._store is not None:
            self._store.put(self._key(kind, seed), header, arrays)
        return Stored(header, arrays)

    def _key(self, kind: str, seed: int | None) -> dict[str, Any]:
        corpus = {"corpus": self._corpus.name, "text": self._corpus.sha256}
        return {"kind": kind, **corpus, "task": asdict(self._task), "seed": seed, "engine": fit_engine()}


def _packed(
    solution: Solution, held: Int[np.ndarray, "position vocabulary"]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A fit as the store keeps it: few of its weights are not zero."""
    weights = solution.weights.ravel()
    places = np.flatnonzero(weights)
    arrays = {"places": places, "values": weights[places], "offsets": solution.offsets, "held": held}
    return {"gap": solution.gap}, arrays


def held_tokens(
    tokens: Int[np.ndarray, "window position"], weight: Float[np.ndarray, "window"], vocabulary: int
) -> Int[np.ndarray, "position vocabulary"]:
    """How many windows hold each token at each position, each as often as it was drawn."""
    counts = [np.bincount(column, weight, vocabulary) for column in tokens.T]
    return np.array(counts).astype(np.int32)
