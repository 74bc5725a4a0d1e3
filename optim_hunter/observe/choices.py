"""Which word of a group comes next in held-out stories: what several choosers said, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.observe.store import Store
from optim_hunter.observe.versions import path_engine
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.held_out import ChoiceTask, Split, split_stories
from optim_hunter.tasks.stories import Windows, draw_windows, tokenizer_sha256, train_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from optim_hunter.models.linear_path import PathPoint

SPARSE_SHARE = 0.01
"""Of all weights, the most that may be other than zero in the view `sparse`."""

KEPT_LOSS = 0.01
"""By so much of the least loss may that of the view `fewest` lie above it, on the stories for choosing."""


@dataclass(frozen=True)
class ChoiceObservation:
    """Windows of a seed's held-out stories and what was said of them.

    `labels` are places in the group of the words that came, `story` the places of the windows' stories in the corpus;
    `log_probabilities` has for each view the logarithms (nats) of the probabilities of the group's words, which sum
    to 1 among themselves. `nonzero` is, for each view that is a linear model, the share of its weights other
    than zero. Without a seed (None) it shows all windows that are resampled.
    """

    seed: int | None
    group: tuple[str, ...]
    labels: Int[np.ndarray, "window"]
    story: Int[np.ndarray, "window"]
    log_probabilities: Mapping[str, Float[np.ndarray, "window class"]]
    checks: Mapping[str, float]
    nonzero: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FittedPath:
    """What a corpus's linear models of a group are: the fits of the path, in order of their strengths."""

    points: tuple[PathPoint, ...]
    prior: Float[np.ndarray, "class"]

    @property
    def chosen(self) -> PathPoint:
        """The fit that did best on the stories for choosing."""
        from optim_hunter.models.linear_path import chosen

        return chosen(self.points)

    @property
    def sparse(self) -> PathPoint:
        """The same among those with at most 1 % of their weights other than zero."""
        from optim_hunter.models.linear_path import chosen

        return chosen([point for point in self.points if point.nonzero <= SPARSE_SHARE * point.weights.size])

    @property
    def fewest(self) -> PathPoint:
        """The fit with the fewest weights among those whose loss on the stories for choosing is nearly the least."""
        most = (1 + KEPT_LOSS) * self.chosen.choosing_loss
        return min((point for point in self.points if point.choosing_loss <= most), key=lambda point: point.nonzero)


class LinearChooser:
    """Fits the path of a task's group to the stories for fitting, once; what a store has of it is not made again.

    Raises:
        UserError: a corpus without enough windows of the task.
    """

    def __init__(self, corpus: Corpus, task: ChoiceTask, store: Store | None = None) -> None:
        self.corpus, self.task, self._store = corpus, task, store
        self.fits = 0
        self.taken = 0

    @cached_property
    def split(self) -> Split:
        return split_stories(self.corpus.stories)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The corpus's own tokenizer, kept by the hash of the text."""
        from tokenizers import Tokenizer

        key = {"kind": "tokenizer", **self._about, "vocabulary": self.task.vocabulary, "engine": path_engine()}
        kept = self._store.get(key) if self._store is not None else None
        if kept is not None:
            return Tokenizer.from_str(kept.header["tokenizer"])
        trained = train_tokenizer(self.corpus, self.task.vocabulary)
        if self._store is not None:
            self._store.put(key, {"tokenizer": trained.to_str()}, {})
        return trained

    @cached_property
    def windows(self) -> Windows:
        """All windows of the corpus, whatever part their stories are in."""
        return draw_windows(self.corpus, self.task, self.tokenizer)

    @cached_property
    def path(self) -> FittedPath:
        """The fitted path; ends where smaller strengths do worse on the stories for choosing.

        Raises:
            UserError: a word without a window in the stories for fitting.
            InvalidInstrument: a fit that does not reach its gap.
        """
        return FittedPath(tuple(self.fit()), self.prior)

    @cached_property
    def prior(self) -> Float[np.ndarray, "class"]:
        """The words' shares of the windows for fitting."""
        labels = self.windows.of_stories(self.split.fitting).labels
        return np.bincount(labels, minlength=len(self.task.group)) / len(labels)

    def fit(self) -> Iterator[PathPoint]:
        """The points of the path one after the other, as they are fitted or taken from the store.

        Raises:
            UserError: a word without a window in the stories for fitting.
            InvalidInstrument: a fit that does not reach its gap.
        """
        from optim_hunter.models.linear_path import worsens

        self._require_every_word()
        points: list[PathPoint] = []
        for point in self._points():
            points.append(point)
            yield point
            if worsens(points):
                break

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of a seed (none where its stories have no word), and what the task's linear views say of them.

        Raises:
            UserError: a seed beyond the held-out stories, or as `path`.
            InvalidInstrument: as `path`.
        """
        if seed is None:
            raise ValueError("held-out stories are observed seed by seed")
        windows = self.windows.of_stories(self.split.part(self.task, seed))
        said = {view: LINEAR_VIEWS[view](self.path, windows) for view in self.task.views if view in LINEAR_VIEWS}
        checks = {"duality gap": float(np.max([point.gap for point in self.path.points]))} if said else {}
        fits = {view: POINTS[view](self.path) for view in said if view in POINTS}
        nonzero = {view: fit.nonzero / fit.weights.size for view, fit in fits.items()}
        return ChoiceObservation(seed, self.task.group, windows.labels, windows.story, said, checks, nonzero)

    def provenance(self) -> dict[str, Any]:
        """What the fits are made of, as plain JSON data."""
        counts = np.bincount(self.windows.labels, minlength=len(self.task.group)).tolist()
        fitted = {"l1": self.path.chosen.l1} if LINEAR_VIEWS.keys() & set(self.task.views) else {}
        return {
            "stories": len(self.corpus.stories),
            "held_out_stories": len(self.split.held_out),
            "tokenizer_sha256": self._tokenizer_sha256,
            "windows": dict(zip(self.task.group, counts, strict=True)),
            **fitted,
        }

    @cached_property
    def _tokenizer_sha256(self) -> str:
        """Asked for with every seed."""
        return tokenizer_sha256(self.tokenizer)

    def _require_every_word(self) -> None:
        group = self.task.group
        counts = np.bincount(self.windows.of_stories(self.split.fitting).labels, minlength=len(group))
        if not counts.all():
            raise UserError(
                f"corpus {self.corpus.name}: its stories for fitting have no window before {group[counts.argmin()]!r}; "
                "give a corpus in which more stories have the word"
            )

    @property
    def _about(self) -> dict[str, Any]:
        return {"corpus": self.corpus.name, "text": self.corpus.sha256}

    def _points(self) -> Iterator[PathPoint]:
        """The points of the path: from the store as long as it has them, then new ones that begin at its last."""
        from optim_hunter.models.linear_path import STRENGTHS, TOLERANCE, fit_path

        kept = list(self._kept())
        yield from kept
        last = kept[-1] if kept else None
        fitting, choosing = (self.windows.of_stories(part) for part in (self.split.fitting, self.split.choosing))
        for point in fit_path(fitting, choosing, len(self.task.group), STRENGTHS[len(kept) :], last):
            if not point.gap <= TOLERANCE:
                raise InvalidInstrument(
                    f"linear model on {self.corpus.name}: duality gap {point.gap:.1e} above {TOLERANCE:g} at "
                    f"l1 {point.l1:g}"
                )
            self.fits += 1
            self._keep(point)
            yield point

    def _kept(self) -> Iterator[PathPoint]:
        """The points that the store has, up to the first that it lacks."""
        from optim_hunter.models.linear_path import STRENGTHS

        for l1 in STRENGTHS:
            point = self._recall(l1)
            if point is None:
                return
            yield point

    def _key(self, l1: float) -> dict[str, Any]:
        windows = {name: getattr(self.task, name) for name in ("group", "vocabulary", "context")}
        return {"kind": "path", **self._about, **windows, "l1": l1, "engine": path_engine()}

    def _keep(self, point: PathPoint) -> None:
        if self._store is None:
            return
        places = np.flatnonzero(point.weights)
        arrays = {"places": places, "values": point.weights.ravel()[places], "offsets": point.offsets}
        header = {name: getattr(point, name) for name in ("gap", "fitting_loss", "choosing_loss", "seconds")}
        self._store.put(self._key(point.l1), header, arrays)

    def _recall(self, l1: float) -> PathPoint | None:
        from optim_hunter.models.linear_path import PathPoint

        kept = self._store.get(self._key(l1)) if self._store is not None else None
        if kept is None:
            return None
        self.taken += 1
        weights = np.zeros(self.task.context * self.tokenizer.get_vocab_size() * len(self.task.group))
        weights[kept.arrays["places"]] = kept.arrays["values"]
        return PathPoint(l1, weights.reshape(-1, len(self.task.group)), kept.arrays["offsets"], **kept.header)


POINTS: Mapping[str, Callable[[FittedPath], PathPoint]] = {
    "linear": lambda path: path.chosen,
    "sparse": lambda path: path.sparse,
    "fewest": lambda path: path.fewest,
}
"""Views that are fits of the path."""


def _linear(view: str, path: FittedPath, windows: Windows) -> Float[np.ndarray, "window class"]:
    from optim_hunter.models.linear_path import log_probabilities

    point = POINTS[view](path)
    return log_probabilities(windows, point.weights, point.offsets)


LINEAR_VIEWS: Mapping[str, Callable[[FittedPath, Windows], Float[np.ndarray, "window class"]]] = {
    "prior": lambda path, windows: np.tile(np.log(path.prior), (len(windows.labels), 1)),
    **{view: partial(_linear, view) for view in POINTS},
}
"""Views that need no language model."""


def with_views(
    observation: ChoiceObservation, said: Mapping[str, Float[np.ndarray, "window class"]], checks: Mapping[str, float]
) -> ChoiceObservation:
    """The same windows with further views."""
    return replace(
        observation,
        log_probabilities={**observation.log_probabilities, **said},
        checks={**observation.checks, **checks},
    )
