"""What the tables of a one-layer model say of held-out stories: skip-trigrams of a head, windows of a neuron."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from optim_hunter.models.one_layer import BATCH, OneLayerModel
from optim_hunter.models.one_layer_tables import OneLayerTables, require
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.next_tokens import NextTokens, next_tokens

FREQUENT = 5e-4
"""Share of the windows that a token must follow to be named as raised or lowered: others move far and mean little."""

Shift = tuple[int, float]
"""A token, and by how many nats its logit is moved against the mean over tokens, weighted by how often they follow."""


@dataclass(frozen=True)
class Shifts:
    """The tokens that something raises and lowers most, the farthest moved first."""

    raised: tuple[Shift, ...]
    lowered: tuple[Shift, ...]


@dataclass(frozen=True)
class SkipTrigram:
    """An earlier token at a position and a last token, in which a head sees a reason for other tokens.

    `position` counts from the end, −1 being the last token; `windows` is how often the two occur; score and mean
    attention are the head's for the earlier token, and `shifts` what it then writes at that attention.
    """

    last: int
    position: int
    token: int
    windows: int
    score: float
    attention: float
    shifts: Shifts


@dataclass(frozen=True)
class ExcitedWindow:
    """A window, the token that came and the neuron's activation."""

    tokens: tuple[int, ...]
    following: int
    activation: float


class HeldOutTables:
    """A model's tables, read over every held-out token of a corpus that has a window before it.

    Raises:
        UserError: the corpus has no held-out story of more tokens than a window.
    """

    def __init__(self, model: OneLayerModel, corpus: Corpus) -> None:
        self.model, self.tables = model, OneLayerTables(model)
        held_out = split_stories(corpus.stories).held_out
        self.examples: NextTokens = next_tokens(model.tokenizer, corpus, held_out, model.shape.context)
        everything = np.arange(len(self.examples.places))
        self.windows, self.following = self.examples.windows(everything), self.examples.following(everything)

    @cached_property
    def shares(self) -> Float[np.ndarray, "token"]:
        """How often each token follows, as a share of the windows."""
        return np.bincount(self.following, minlength=self.model.shape.vocabulary) / len(self.following)

    def attention(self, head: int) -> Float[np.ndarray, "window position"]:
        """Attention of a head to each position."""
        return self.tables.attention(head, torch.as_tensor(self.windows)).numpy()

    def skip_trigrams(self, head: int, most: int) -> list[SkipTrigram]:
        """The strongest of a head: by the attention of all windows × the farthest shift to a higher logit.

        The last token itself is left out: what a head takes from it is no skip-trigram.
        """
        pairs, place = np.unique(self._pairs(), return_inverse=True)
        total = np.bincount(place.ravel(), self.attention(head)[:, :-1].ravel())
        windows = np.bincount(place.ravel())
        last, symbol = np.divmod(pairs, self.model.embedding.shape[0])
        moved = self.moved(self.tables.head_logits(head).numpy())
        farthest = moved[:, self._frequent].max(1)
        strongest = np.argsort(-total * farthest[symbol], kind="stable")[:most]
        return [
            self._trigram(head, int(last[one]), int(symbol[one]), int(windows[one]), float(total[one]), moved)
            for one in strongest
        ]

    def _pairs(self) -> Int[np.ndarray, "window earlier"]:
        """The last token and an earlier symbol as one number."""
        symbols = self.model.symbols(torch.as_tensor(self.windows)).numpy()
        return self.windows[:, -1:] * self.model.embedding.shape[0] + symbols[:, :-1]

    def _trigram(
        self, head: int, last: int, symbol: int, windows: int, total: float, moved: Float[np.ndarray, "symbol token"]
    ) -> SkipTrigram:
        position, token = divmod(symbol, self.model.shape.vocabulary)
        attention, score = total / windows, float(self.tables.scores(head, last)[symbol])
        shifts = self.shifts(attention * moved[symbol])
        return SkipTrigram(last, position - self.model.shape.context, token, windows, score, attention, shifts)

    def activations(self) -> Iterator[Float[np.ndarray, "window neuron"]]:
        """Activations of all neurons, some windows at a time."""
        with torch.inference_mode():
            for first in range(0, len(self.windows), BATCH):
                windows = torch.as_tensor(self.windows[first : first + BATCH])
                yield self.model.neurons(self.model.residual(windows)).numpy()

    def neuron(self, neuron: int) -> Float[np.ndarray, "window"]:
        """Activations of one neuron.

        Raises:
            UserError: no such neuron.
        """
        require("neuron", neuron, self.tables.neurons)
        return np.concatenate([part[:, neuron] for part in self.activations()])

    def excited(self, activations: Float[np.ndarray, "window"], most: int) -> list[ExcitedWindow]:
        """The windows that excite a neuron most, of each story at most one."""
        order = np.argsort(-activations, kind="stable")
        _, first = np.unique(self.examples.story[order], return_index=True)
        return [
            ExcitedWindow(tuple(self.windows[place].tolist()), int(self.following[place]), float(activations[place]))
            for place in order[np.sort(first)[:most]]
        ]

    def written(self, neuron: int) -> Shifts:
        """What a neuron writes for each unit of activation."""
        return self.shifts(self.moved(self.tables.neuron_logits().numpy()[neuron]))

    def shifts(self, moved: Float[np.ndarray, "token"], most: int = 2) -> Shifts:
        """The frequent tokens that are moved farthest up and down."""
        tokens = np.flatnonzero(self._frequent)
        order = tokens[np.argsort(-moved[tokens], kind="stable")]
        raised, lowered = order[:most], order[::-1][:most]
        return Shifts(*(tuple((int(token), float(moved[token])) for token in part) for part in (raised, lowered)))

    @property
    def _frequent(self) -> Bool[np.ndarray, "token"]:
        return self.shares >= FREQUENT

    def moved(self, logits: Float[np.ndarray, "*row token"]) -> Float[np.ndarray, "*row token"]:
        """Logits against their mean over what follows: adding the same to all of them changes no probability."""
        return logits - (logits @ self.shares)[..., None].astype(logits.dtype)
