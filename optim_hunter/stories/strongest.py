"""The strongest weights of a fit: which token at which position raises or lowers a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optim_hunter.evidence.text import number, stated
from optim_hunter.stories.fitted_folder import FittedFolder
from optim_hunter.tasks.stories import token_texts


@dataclass(frozen=True)
class Weight:
    """A weight (nats) of a token (its number and text) at a position, −1 being the last before the word."""

    token: int
    text: str
    position: int
    weight: float


def strongest(fitted: FittedFolder, word: int, most: int) -> Iterator[Weight]:
    """The largest weights of a word (its place in the classes) by size, none of them 0."""
    weights, texts = fitted.weights[:, :, word], token_texts(fitted.tokenizer)
    largest = np.argsort(-np.abs(weights), axis=None, kind="stable")[:most]
    for position, token in zip(*np.unravel_index(largest, weights.shape), strict=True):
        if weights[position, token] != 0:
            place = int(position) - len(weights)
            yield Weight(int(token), texts[token], place, float(weights[position, token]))


def strongest_lines(fitted: FittedFolder, most: int = 4) -> list[str]:
    """A line for each word."""
    lines = []
    for place, word in enumerate(fitted.classes):
        said = ", ".join(
            f"{one.text!r} at {stated(one.position)} {'+' * (one.weight > 0)}{number(one.weight)}"
            for one in strongest(fitted, place, most)
        )
        lines.append(f"  {word!r}: {said or 'no weight'}")
    return ["strongest weights (token, position before the word, nats):", *lines]
