"""Stories held out from a fit, and the question which word comes next put to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.stories import CONJUNCTIONS

CHOOSING_FROM, HELD_OUT_FROM = 0.8, 0.9
"""Of all stories, 80 % are for fitting, 10 % for choosing the strength, 10 % for what is claimed and scored."""

VIEWS = {
    "prior": "how often each word comes in the stories for fitting",
    "linear": "the linear model whose strength did best on the stories for choosing",
    "sparse": "the best linear model of the path with at most 1 % of its weights other than zero",
    "fewest": "the linear model of the path with the fewest weights other than zero whose loss on the stories for "
    "choosing is within 1 % of the least",
    "window": "the language model, shown the tokens of the window alone",
    "story": "the language model, shown the story from its beginning",
    "one-layer": "the one-layer model, among the group's words alone",
    "rules": "the rule book of the group",
    "refitted": "the same rules, their shifts fitted anew to the stories for fitting",
}
"""Who may be asked for the probabilities of a group's words."""


@dataclass(frozen=True)
class ChoiceTask:
    """Choose among the words of `group` in stories that no linear model was fitted to.

    A seed is a part of its own of the held-out stories, `stories_per_seed` of them, so that seeds share no story and
    are independent. `views` names who chooses, out of `VIEWS`; the windows are those of `StoriesTask`.
    """

    group: tuple[str, ...] = CONJUNCTIONS
    views: tuple[str, ...] = ("linear", "window")
    stories_per_seed: int = 3
    vocabulary: int = 1024
    context: int = 16
    minimum_windows: int = 100

    def __post_init__(self) -> None:
        if unknown := [view for view in self.views if view not in VIEWS]:
            raise UserError(f"no view {unknown[0]!r}: choose out of {', '.join(VIEWS)}")
        if self.stories_per_seed < 1:
            raise UserError(f"{self.stories_per_seed} stories a seed: choose 1 or more")

    def parts(self, seeds: Sequence[int]) -> tuple[int, ...]:
        """The parts of the held-out stories that these seeds look at."""
        return tuple(seeds)


@dataclass(frozen=True)
class ReplacedTokenTask(ChoiceTask):
    """The windows that end in `token`, shown as they are and with that token replaced.

    It is replaced by each of the `replacements` tokens, none of them a word of the group, that are as frequent as it is
    in the windows of the stories for fitting, or nearly.
    """

    token: str = ","
    replacements: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.replacements < 1:
            raise UserError(f"{self.replacements} tokens to replace {self.token!r}: choose 1 or more")


@dataclass(frozen=True)
class ResampledChoiceTask(ChoiceTask):
    """The same windows, but every seed resamples them: for what must be uncertain together with something else.

    A seed draws whole stories, with replacement, from the first `whole` parts of the held-out stories; the estimate is
    that of all of these. Such seeds are a bootstrap distribution, no replicates.
    """

    whole: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.whole < 1:
            raise UserError(f"{self.whole} parts of the held-out stories to resample: choose 1 or more")

    def parts(self, seeds: Sequence[int]) -> tuple[int, ...]:  # noqa: ARG002 - every seed looks at all of them
        """All parts that are resampled."""
        return tuple(range(self.whole))


@dataclass(frozen=True)
class Split:
    """Places of stories in the corpus: for fitting, for choosing the strength, and held out from both.

    Each lies in the order of the stories' hashes: random, and the same on every machine. Of equal stories only one
    is in it, so that none is on both sides.
    """

    fitting: Int[np.ndarray, "story"]
    choosing: Int[np.ndarray, "story"]
    held_out: Int[np.ndarray, "story"]

    def part(self, task: ChoiceTask, seed: int) -> Int[np.ndarray, "story"]:
        """The held-out stories of a seed.

        Raises:
            UserError: there are not so many.
        """
        parts = len(self.held_out) // task.stories_per_seed
        if seed >= parts:
            raise UserError(
                f"seed {seed}: {len(self.held_out)} held-out stories make {parts} parts of {task.stories_per_seed}; "
                f"ask for seeds below {parts}, or give a larger corpus"
            )
        return self.held_out[seed * task.stories_per_seed : (seed + 1) * task.stories_per_seed]


def split_stories(stories: Sequence[str]) -> Split:
    """Split a corpus by the hash of each story's text, so that a longer corpus moves none to another side."""
    places = {story: place for place, story in reversed(list(enumerate(stories)))}
    drawn = np.array([_uniform(story) for story in places])
    order = np.argsort(drawn)
    sorted_places, sorted_drawn = np.array(list(places.values()))[order], drawn[order]
    ends = np.searchsorted(sorted_drawn, [CHOOSING_FROM, HELD_OUT_FROM])
    return Split(*np.split(sorted_places, ends))


def _uniform(story: str) -> float:
    """A number in [0, 1) that the text decides."""
    return int.from_bytes(hashlib.sha256(story.encode()).digest()[:6], "big") / 2**48
