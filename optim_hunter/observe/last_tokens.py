"""Which word comes after which last token of a window: counted in a corpus, nothing is fitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from optim_hunter.observe.store import Store, Stored
from optim_hunter.observe.versions import last_tokens_engine
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import LastTokenTask, draw_windows, story_counts, token_texts, tokenizer_sha256


@dataclass(frozen=True)
class LastTokenCounts:
    """Windows by last token and following word; `seed` None is the corpus, a number a resample of its stories."""

    counts: Int[np.ndarray, "vocabulary class"]
    tokens: tuple[str, ...]
    group: tuple[str, ...]
    seed: int | None


class LastTokenCounter:
    """Draws a corpus's windows once, or takes what a store has of them, and counts resamples of its stories.

    Raises:
        UserError: a corpus without enough windows of the task.
    """

    fits = 0

    def __init__(self, corpus: Corpus, task: LastTokenTask, store: Store | None = None) -> None:
        self._corpus, self._task, self._store = corpus, task, store
        self.taken = 0

    def observe(self, seed: int | None) -> LastTokenCounts:
        """Counts for the corpus (None), or for as many stories drawn from it with replacement (a seed)."""
        arrays, tokens = self._windows.arrays, tuple(self._windows.header["tokens"])
        times = np.ones(len(self._corpus.stories)) if seed is None else story_counts(len(self._corpus.stories), seed)
        classes = len(self._task.group)
        cells = arrays["last"] * classes + arrays["labels"]
        counts = np.bincount(cells, times[arrays["story"]], len(tokens) * classes).astype(np.int64)
        return LastTokenCounts(counts.reshape(-1, classes), tokens, self._task.group, seed)

    def provenance(self) -> dict[str, Any]:
        """What was counted, as plain JSON data."""
        return dict(self._windows.header["provenance"])

    @cached_property
    def _windows(self) -> Stored:
        """Last token, word and story of every window."""
        about = {"corpus": self._corpus.name, "text": self._corpus.sha256, "task": asdict(self._task)}
        key = {"kind": "last tokens", **about, "engine": last_tokens_engine()}
        kept = self._store.get(key) if self._store is not None else None
        if kept is not None:
            self.taken += 1
            return kept
        drawn = self._drawn()
        if self._store is not None:
            self._store.put(key, drawn.header, drawn.arrays)
        return drawn

    def _drawn(self) -> Stored:
        windows = draw_windows(self._corpus, self._task)
        counts = np.bincount(windows.labels, minlength=len(self._task.group)).tolist()
        provenance = {
            "stories": len(self._corpus.stories),
            "tokenizer_sha256": tokenizer_sha256(windows.tokenizer),
            "vocabulary": windows.tokenizer.get_vocab_size(),
            "windows": dict(zip(self._task.group, counts, strict=True)),
        }
        header = {"provenance": provenance, "tokens": list(token_texts(windows.tokenizer))}
        return Stored(header, {"last": windows.tokens[:, -1], "labels": windows.labels, "story": windows.story})
