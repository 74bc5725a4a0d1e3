"""Greedy answers of a batch, up to the end of their first line, and where each leaves the mean baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture, Reading, TokenReading
from optim_hunter.observe.streams import Stream

MAX_NEW_TOKENS = 16
"""Length of a generated answer, as in the published runs."""


@dataclass
class Decoding:
    """An answer under way.

    Attributes:
        baseline: the tokens that the mean baseline's answer would take, with the end of its line.
        answer: the tokens so far.
        parted: what was seen at the token before the answers part, the baseline's token there and the model's.
        parted_after: how many tokens of the answer stand before that.
        ended: whether the line is complete.
    """

    baseline: Sequence[int]
    answer: list[int] = field(default_factory=list)
    parted: tuple[TokenReading, tuple[int, int]] | None = None
    parted_after: int = 0
    ended: bool = False

    def take(self, token: int, seen: Reading, row: int, model: LanguageModel) -> None:
        """Add the token that a row of `seen` predicts."""
        step = len(self.answer)
        self.answer.append(token)
        expected = self.baseline[step] if step < len(self.baseline) else None
        if self.parted is None and expected is not None and token != expected:
            self.parted, self.parted_after = (seen.last_token(row).copied(), (expected, token)), step
        self.ended = token in model.end_tokens or "\n" in model.decode([token])


def decode_greedily(
    engine: Engine,
    stream: Stream,
    seen: Reading,
    baselines: Sequence[Sequence[int]],
    labels: Sequence[str],
    most: int = MAX_NEW_TOKENS,
) -> list[Decoding]:
    """Continue every row of a stream with its likeliest tokens, `most` at the most; `seen` is its last reading."""
    decodings = [Decoding(baseline) for baseline in baselines]
    for _ in range(most):
        likeliest = seen.logits.argmax(-1).tolist()
        for row, decoding in enumerate(decodings):
            if not decoding.ended:
                decoding.take(likeliest[row], seen, row, engine.model)
        going = [not decoding.ended and len(decoding.answer) < most for decoding in decodings]
        if not any(going):
            break
        segments = [one.answer[-1:] if goes else [] for one, goes in zip(decodings, going, strict=True)]
        seen = engine.read(stream, segments, Capture(), labels)
    return decodings
