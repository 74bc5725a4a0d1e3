"""How likely a language model finds each of a few words after a text, among these words alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from optim_hunter.claim import UserError
from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.agreement import capped
from optim_hunter.observe.checks import require
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture
from optim_hunter.observe.memory import has_memory_for
from optim_hunter.observe.streams import Stream

CARRIER = "x"
"""A text that a word is put behind to see its token; some tokenizers write a word that begins a text otherwise."""

Prompt = tuple[int, ...]
"""Tokens that are read before a word."""


@dataclass(frozen=True)
class NextWords:
    """What a model said after each prompt.

    `log_probabilities` are logarithms (nats) of the words' probabilities, which sum to 1 among themselves; `checks`
    are instrument checks.
    """

    log_probabilities: Float[np.ndarray, "prompt word"]
    checks: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """Tokens that are run once, and which prompts end where: prompt → place of its last token, the last first."""

    tokens: Prompt
    ends: Mapping[int, int]


def word_tokens(model: LanguageModel, words: Sequence[str]) -> tuple[int, ...]:
    """The token that the model's tokenizer makes of each word where it follows a text.

    Raises:
        UserError: a word takes several tokens there, or is unknown to the tokenizer.
    """
    before = model.encode(CARRIER).ids
    pieces = [model.encode(CARRIER + word).ids for word in words]
    for word, ids in zip(words, pieces, strict=True):
        if len(ids) != len(before) + 1 or ids[:-1] != before or ids[-1] == model.tokenizer.unk_token_id:
            raise UserError(
                f"{model.name}: its tokenizer has no single token for {word!r}, so that its probability is not that of "
                "one next token: choose another group of words, or another model"
            )
    return tuple(ids[-1] for ids in pieces)


def next_words(engine: Engine, prompts: Sequence[Prompt], words: Sequence[str]) -> NextWords:
    """Softmax over the logits of the words alone, after each prompt.

    Prompts that begin alike share a row, so that all that end in the same story take one pass over it.

    Raises:
        UserError: a word that is no single token of the model, a model that cannot be opened, or memory that does not
            suffice for one row.
        InvalidInstrument: the pass does not compute what the model's own code does, or gives NaN.
    """
    tokens = word_tokens(engine.model, words)
    rows = share_rows(prompts)
    engine.open()
    logits, errors = np.zeros((len(prompts), len(words))), [0.0]
    for batch, seen in _read_all(engine, rows, tokens):
        for row, row_logits in zip(batch, seen.logits.tolist(), strict=True):
            for prompt, found in zip(row.ends, row_logits, strict=False):
                logits[prompt] = found
        errors.append(seen.error)
    checks = {
        "words' logits": float(np.max(errors)),  # a NaN stays one
        "model's own logits": engine.disagreement,
        "residual stream": engine.closure,
    }
    require(checks, engine.model.dtype)
    return NextWords(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), checks)


def share_rows(prompts: Sequence[Prompt]) -> list[Row]:
    """Rows that hold all prompts, each from the row's start; the longest row first.

    In the order of their tokens a prompt stands directly before those that go on from it.
    """
    rows: list[tuple[Prompt, dict[int, int]]] = []
    for place in sorted(range(len(prompts)), key=prompts.__getitem__, reverse=True):
        prompt = prompts[place]
        if not rows or rows[-1][0][: len(prompt)] != prompt:
            rows.append((prompt, {}))
        rows[-1][1][place] = len(prompt) - 1
    return sorted((Row(*row) for row in rows), key=lambda row: (-len(row.tokens), row.tokens))


@dataclass(frozen=True)
class _Seen:
    """The words' logits where prompts end (behind a row's own, repeated), and how far they are from the model's."""

    logits: Float[Tensor, "row prompt word"]
    error: float


def _read_all(engine: Engine, rows: Sequence[Row], tokens: Sequence[int]) -> Iterator[tuple[Sequence[Row], _Seen]]:
    """Read rows side by side, half as many where memory does not suffice."""
    at_once = engine.tokens_at_once
    while rows:
        batch = rows[: max(1, at_once // len(rows[0].tokens))]
        seen: list[_Seen] = []
        if has_memory_for(partial(_read_into, seen, engine, batch, tokens)):
            yield batch, seen[0]
            rows = rows[len(batch) :]
        elif len(batch) == 1:
            raise UserError(
                f"{engine.model.name}: memory of {engine.device} does not suffice for a text of "
                f"{len(rows[0].tokens):,} tokens",
                "try --claims-dtype bfloat16, or a larger device",
            )
        else:
            at_once = len(batch) // 2 * len(rows[0].tokens)
            engine.halvings += 1
            engine.free_memory()


@torch.inference_mode()
def _read_into(found: list[_Seen], engine: Engine, rows: Sequence[Row], tokens: Sequence[int]) -> None:
    """One pass over rows: the logits of the words alone at the places where prompts end."""
    most = max(len(row.ends) for row in rows)
    places = [[*row.ends.values(), *[-1] * (most - len(row.ends))] for row in rows]
    # Nothing is read of the layers, and no row is continued.
    capture = Capture(positions=places, first_layer=len(engine.parts.layers))
    labels = [f"a text of {len(row.tokens)} tokens" for row in rows]
    stream = Stream.start(len(rows), engine.device, keep=False)
    seen = engine.read(stream, [row.tokens for row in rows], capture, labels)
    unembed, picked = engine.parts.unembed, list(tokens)
    final = engine.parts.norm(seen.residual.to(unembed.weight.dtype))
    bias = None if unembed.bias is None else unembed.bias[picked]
    logits = linear(final, unembed.weight[picked], bias).float()
    # The first prompt of a row ends at its last token, where the model's own unembedding was read as well.
    own = seen.logits[:, picked]
    error = float(((logits[:, 0] - own).norm(dim=1) / own.norm(dim=1)).max())
    found.append(_Seen(capped(engine.model.module, logits).cpu(), error))
