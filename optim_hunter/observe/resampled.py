"""Held-out windows resampled by story: what a chooser said of them, drawn again with every seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Int

from optim_hunter.claim import NoValue
from optim_hunter.observe.choices import ChoiceObservation
from optim_hunter.tasks.held_out import ResampledChoiceTask

Observer = TypeVar("Observer", bound=Any)


class Chooser(Protocol):
    """Shows the windows of a part of the held-out stories, and what was said of them."""

    def observe(self, seed: int | None) -> ChoiceObservation: ...


class ResampledChooser:
    """Asks a chooser about all parts that a task resamples, once, and draws stories from what it said.

    Raises:
        NoValue: none of the parts has a window of the group.
    """

    def __init__(self, chooser: Chooser, task: ResampledChoiceTask) -> None:
        self._chooser, self._task = chooser, task

    @cached_property
    def whole(self) -> ChoiceObservation:
        """The windows of all parts."""
        whole = joined([self._chooser.observe(part) for part in self._task.parts(())])
        if not len(whole.labels):
            raise NoValue(f"no word of {', '.join(map(repr, self._task.group))} in the stories that are resampled")
        return whole

    def observe(self, seed: int | None) -> ChoiceObservation:
        """The windows of as many stories, drawn with replacement; of all of them where there is no seed."""
        if seed is None:
            return self.whole
        generator = np.random.default_rng(seed)
        stories = np.unique(self.whole.story)
        drawn = generator.choice(stories, size=len(stories))
        places = [np.flatnonzero(self.whole.story == story) for story in drawn]
        return taken(self.whole, seed, np.concatenate(places))


def resampling(observer: Observer, task: Any) -> Observer | ResampledChooser:
    """What observes a task's seeds: the observer itself, or one that resamples what it said, where the task asks so."""
    return ResampledChooser(observer, task) if isinstance(task, ResampledChoiceTask) else observer


def joined(parts: Sequence[ChoiceObservation]) -> ChoiceObservation:
    """The windows of several observations of one task as one, with the worst error of each check."""
    first = parts[0]
    return replace(
        first,
        seed=None,
        labels=np.concatenate([part.labels for part in parts]),
        story=np.concatenate([part.story for part in parts]),
        log_probabilities={
            view: np.concatenate([part.log_probabilities[view] for part in parts]) for view in first.log_probabilities
        },
        checks={name: float(np.max([part.checks[name] for part in parts])) for name in first.checks},
    )


def taken(whole: ChoiceObservation, seed: int, places: Int[np.ndarray, "window"]) -> ChoiceObservation:
    """The windows at these places, as those of a seed."""
    said = {view: probabilities[places] for view, probabilities in whole.log_probabilities.items()}
    return replace(whole, seed=seed, labels=whole.labels[places], story=whole.story[places], log_probabilities=said)
