"""Examples for people: windows drawn at random from held-out stories, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optim_hunter.claim import UserError
from optim_hunter.evidence.text import visible
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.stories import Windows, tokenizer_sha256

EXAMPLES = 50
"""As many as the author and the mentor of the published figures were asked."""

CUT = "…"
"""Stands where the story goes on before the window; a letter right after it is the middle of a word."""

LINE_BREAK = "⏎"


@dataclass(frozen=True)
class Examples:
    """What a person is asked, in this order: a row of `windows` each, drawn from `corpus` by `seed`."""

    seed: int
    group: tuple[str, ...]
    corpus: Corpus
    windows: Windows

    @property
    def identity(self) -> dict[str, Any]:
        """What tells these examples from others, as plain JSON data without the words that came."""
        places = zip(self.windows.story.tolist(), self.windows.place.tolist(), strict=True)
        return {
            "seed": self.seed,
            "group": list(self.group),
            "corpus": self.corpus.name,
            "corpus_sha256": self.corpus.sha256,
            "tokenizer_sha256": tokenizer_sha256(self.windows.tokenizer),
            "examples": [{"story": story, "place": place} for story, place in places],
        }

    @property
    def texts(self) -> tuple[str, ...]:
        """The windows as a person sees them."""
        tokenizer, tokens = self.windows.tokenizer, self.windows.tokens
        opens = self.windows.place == tokens.shape[1]
        decoded = tokenizer.decode_batch(tokens.tolist(), skip_special_tokens=False)
        return tuple(window_text(text, at_start) for text, at_start in zip(decoded, opens.tolist(), strict=True))


def draw_examples(chooser: LinearChooser, seed: int) -> Examples:
    """Draw the examples of a seed from the stories that no linear model was fitted to or chosen by.

    Raises:
        UserError: a negative seed; fewer held-out stories with a window than examples.
    """
    if seed < 0:
        raise UserError(f"--seed {seed}: give zero or more")
    held_out = chooser.windows.of_stories(chooser.split.held_out)
    stories = len(np.unique(held_out.story))
    if stories < EXAMPLES:
        raise UserError(
            f"corpus {chooser.corpus.name}: of its held-out stories {stories} have a window of the group, "
            f"{EXAMPLES} are needed; give a larger corpus"
        )
    return Examples(seed, chooser.task.group, chooser.corpus, draw_windows_by_story(held_out, seed))


def draw_windows_by_story(windows: Windows, seed: int) -> Windows:
    """`EXAMPLES` windows in the order drawn, all alike likely, but none of a story that was drawn before.

    Two windows of one story would not be independent, and the later would often show the word that the earlier asks
    for. The words come as they come: nothing is balanced.
    """
    order = np.random.default_rng(seed).permutation(len(windows.labels))
    _, first = np.unique(windows.story[order], return_index=True)
    rows = order[np.sort(first)[:EXAMPLES]]
    columns = {name: getattr(windows, name)[rows] for name in ("tokens", "labels", "story", "place")}
    return replace(windows, **columns)


def window_text(text: str, at_start: bool) -> str:
    """A decoded window on one line: marked where it is cut, without the rest of a character that it cuts."""
    whole = text if at_start else CUT + text.lstrip("\ufffd")
    return visible(whole.replace("\n", LINE_BREAK))


def words_shown(group: Sequence[str]) -> list[str]:
    """The words of a group without the space before them."""
    return [word.strip() for word in group]
