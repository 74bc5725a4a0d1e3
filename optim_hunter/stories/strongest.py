"""The strongest weights of a fit: which token at which position raises or lowers a word, and how often it is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from optim_hunter.evidence.text import number, stated
from optim_hunter.stories.fitted_folder import FittedFolder
from optim_hunter.tasks.stories import Windows, token_texts


@dataclass(frozen=True)
class Weight:
    """A weight (nats) of a token at a position, −1 being the last before the word; `windows` for fitting hold it."""

    token: str
    position: int
    weight: float
    windows: int


def occurrences(windows: Windows) -> Int[np.ndarray, "position token"]:
    """In how many windows each token stands at each position."""
    vocabulary = windows.tokenizer.get_vocab_size()
    return np.stack([np.bincount(column, minlength=vocabulary) for column in windows.tokens.T])


def strongest(fitted: FittedFolder, held: Int[np.ndarray, "position token"], word: int, most: int) -> Iterator[Weight]:
    """The largest weights of a word (its place in the classes) by size, none of them 0.

    Args:
        held: `occurrences` in the windows for fitting.
    """
    weights, texts = fitted.weights[:, :, word], token_texts(fitted.tokenizer)
    largest = np.argsort(-np.abs(weights), axis=None, kind="stable")[:most]
    for position, token in zip(*np.unravel_index(largest, weights.shape), strict=True):
        if weights[position, token] != 0:
            place = int(position) - len(weights)
            yield Weight(texts[token], place, float(weights[position, token]), int(held[position, token]))


def strongest_lines(fitted: FittedFolder, held: Int[np.ndarray, "position token"], most: int = 4) -> list[str]:
    """A line for each word."""
    lines = []
    for place, word in enumerate(fitted.classes):
        said = ", ".join(
            f"{one.token!r} at {stated(one.position)} {'+' * (one.weight > 0)}{number(one.weight)}"
            for one in strongest(fitted, held, place, most)
        )
        lines.append(f"  {word!r}: {said or 'no weight'}")
    return ["strongest weights (token, position before the word, nats):", *lines]
