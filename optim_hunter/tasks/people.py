"""What people got right of the same question, as published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np


@dataclass(frozen=True)
class Person:
    """Who answered, how many of `n` answers were right, and where that is written."""

    who: str
    correct: int
    n: int
    source: str

    @property
    def share(self) -> float:
        """Share of right answers."""
        return self.correct / self.n

    def resampled_share(self, seed: int) -> float:
        """The share if as many answers were given again, each right with the recorded share (parametric bootstrap)."""
        generator = np.random.default_rng([seed, *self.who.encode()])
        return float(generator.binomial(self.n, self.share) / self.n)


def published_people() -> tuple[Person, ...]:
    """The author and the mentor of the published page."""
    record = json.loads(resources.files("optim_hunter.data").joinpath("people.json").read_text(encoding="utf-8"))
    return tuple(Person(**person) for person in record["people"])


def person(who: str) -> Person:
    """A published person by name (`author` or `mentor`)."""
    return next(one for one in published_people() if one.who == who)
