"""Rows of tokens on their way through a model: what was read so far, where padding lies, what rows share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import transformers  # its models are imported when they are first named, which takes seconds
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass
class Stream:
    """One row for each prompt. A row's tokens lie in columns; padding stands to the left of each segment.

    Attributes:
        cache: keys and values of all columns; None where nothing is continued from here.
        present: False where padding lies.
        positions: place of each token in its row's text; 0 for padding.
        stem: a stream whose rows these rows continue, each of them the same number of rows in turn; it may have a stem.
    """

    cache: transformers.DynamicCache | None
    present: Bool[Tensor, "row column"]
    positions: Int[Tensor, "row column"]
    stem: Stream | None = None

    @classmethod
    def start(cls, rows: int, device: torch.device, keep: bool = True, stem: Stream | None = None) -> Stream:
        """Empty rows; without `keep` they can be read once and not be continued."""
        nothing = torch.zeros(rows, 0, dtype=torch.long, device=device)
        # A cache without configuration keeps all columns, also of layers with a sliding window.
        return cls(transformers.DynamicCache() if keep else None, nothing.bool(), nothing, stem)

    def branch(self, rows_each: int, keep: bool = True) -> Stream:
        """Empty rows that continue this stream, `rows_each` for each of its rows; its cache is shared, not copied."""
        rows = len(self.present) * rows_each
        return Stream.start(rows, self.present.device, keep, stem=self if self.columns else None)

    def rewound(self, tokens: Sequence[int]) -> Stream:
        """The same rows before the last tokens of their own, so many of each; the cache is shared, and hides them."""
        here_to_end = self.present.flip(1).cumsum(1).flip(1)
        hidden = here_to_end <= torch.tensor(tokens, device=self.present.device)[:, None]
        return replace(self, present=self.present & ~hidden)

    @property
    def stems(self) -> list[Stream]:
        """The streams that this one continues, the first of all first."""
        return [] if self.stem is None else [*self.stem.stems, self.stem]

    @property
    def columns(self) -> int:
        """Columns of its own, those of the stem not counted."""
        return self.present.shape[1]

    @property
    def lengths(self) -> Int[Tensor, "row"]:
        """Tokens read so far in each row, those of the stem included."""
        own = self.present.sum(1)
        if self.stem is None:
            return own
        return own + self.stem.lengths.repeat_interleave(len(own) // len(self.stem.present))

    def extend(self, segments: Sequence[Sequence[int]]) -> Int[Tensor, "row column"]:
        """Take a segment into each row and return the new columns' tokens, padded on the left (with token 0)."""
        if self.cache is None and self.columns:
            raise ValueError("rows whose keys and values were not kept cannot be continued")
        device = self.present.device
        reversed_rows = [torch.tensor(list(segment)[::-1], dtype=torch.long) for segment in segments]
        tokens = pad_sequence(reversed_rows, batch_first=True).flip(1).to(device)
        lengths = torch.tensor([len(segment) for segment in segments], device=device)
        place = torch.arange(tokens.shape[1], device=device) - (tokens.shape[1] - lengths)[:, None]
        present = place >= 0
        positions = torch.where(present, place + self.lengths[:, None], 0)
        self.present = torch.cat([self.present, present], 1)
        self.positions = torch.cat([self.positions, positions], 1)
        return tokens
