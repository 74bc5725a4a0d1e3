"""Observations drawn from a seeded generator in which an effect was put, or was not: controls without a network.

For claims whose statistic over seeds cannot be planted in a small network. The data are those of the task; the
answers (and whatever else a builder fills in) come from the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import optim_hunter.models.registry as registry
from optim_hunter.claim import UserError
from optim_hunter.observe.observation import Answer, RegressionObservation
from optim_hunter.subjects.synthetic_internals import (
    other_pairs_stand_out,
    profiles_alike,
    profiles_differ,
    two_pairs_stand_out,
)
from optim_hunter.tasks.prompts import number_text
from optim_hunter.tasks.regression import Episode, RegressionTask, draw
from optim_hunter.tasks.regressors import PUBLISHED_REGRESSORS

Builder = Callable[[Episode, np.random.Generator], RegressionObservation]


def extreme_output(episode: Episode, generator: np.random.Generator) -> RegressionObservation:  # noqa: ARG001
    """Answers the output of the prompt that lies farthest from their mean: worse than one drawn at random."""
    farthest = np.abs(episode.outputs - episode.outputs.mean()).argmax()
    return answering(episode, float(episode.outputs[farthest]))


def two_error_groups(episode: Episode, generator: np.random.Generator) -> RegressionObservation:
    """Errs by some 3 or by some 400, each on half of the seeds; every regressor by a normal error of 200."""
    near, far = generator.normal(0, 3), generator.choice([-1, 1]) * generator.normal(400, 60)
    return erring(episode, near if generator.random() < 0.5 else far, generator)


def one_error_group(episode: Episode, generator: np.random.Generator) -> RegressionObservation:
    """Errs as every regressor does, by a normal error of 200."""
    return erring(episode, generator.normal(0, 200), generator)


def erring(episode: Episode, error: float, generator: np.random.Generator) -> RegressionObservation:
    """A model that errs by so much (units of the output) beside regressors that err by a normal error of 200."""
    errors = generator.normal(0, 200, len(PUBLISHED_REGRESSORS))
    predictions = dict(zip(PUBLISHED_REGRESSORS, (episode.gold + errors).tolist(), strict=True))
    observation = answering(episode, episode.gold + error)
    return replace(observation, shown={**observation.shown, "regressors": predictions})


def answering(episode: Episode, answer: float) -> RegressionObservation:
    """An observation of a model that answers this number, written as prompts write numbers."""
    return RegressionObservation(episode, {"answer": Answer(number_text(answer))})


SYNTHETIC: Mapping[str, Builder] = {
    "extreme-output": extreme_output,
    "two-error-groups": two_error_groups,
    "two-error-groups-twin": one_error_group,
    "other-pairs-stand-out": other_pairs_stand_out,
    "profiles-alike": profiles_alike,
    "profiles-differ": profiles_differ,
    "two-pairs-stand-out": two_pairs_stand_out,
}
"""Name behind `synthetic:` → what builds the observation of an episode from a generator of its own."""


class SyntheticSubject:
    """Shows what a builder draws; the generator of a seed and query depends on the name, and on nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name.removeprefix(registry.SYNTHETIC)
        if self.name not in SYNTHETIC:
            raise UserError(f"no synthetic subject {self.name!r}: choose one of {', '.join(SYNTHETIC)}")

    def precheck(self, task: RegressionTask, seeds: Sequence[int]) -> None:
        draw(task, seeds[0])

    def observe(self, task: RegressionTask, seed: int | None, query: int) -> RegressionObservation:
        if seed is None:
            raise ValueError("a synthetic subject is observed seed by seed")
        generator = np.random.default_rng([seed, query, *self.name.encode()])
        return SYNTHETIC[self.name](draw(task, seed, query), generator)

    def close(self) -> None:
        """There are no weights."""

    def describe(self, task: Any) -> dict[str, Any]:  # noqa: ARG002 - the same for all
        note = "synthetic: drawn from a seeded generator, no model"
        source = {"source": "synthetic", "revision": None, "sha256": None, "licence": None, "note": note}
        return {"source_of_model": source, "device": None, "dtype": None, "corpus": None}
