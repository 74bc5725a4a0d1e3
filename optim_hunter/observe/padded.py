"""Regression prompts whose numbers all take the same number of tokens, so that every prompt has the same layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from optim_hunter.claim import UserError
from optim_hunter.models.language import LanguageModel
from optim_hunter.tasks.prompts import Value, closing, number_text, slots
from optim_hunter.tasks.templates import named_template

Numbers = Float[np.ndarray, "..."]


@dataclass(frozen=True)
class PaddedPrompt:
    """A prompt as tokens, BOS first; `start` and `end` of its values are tokens."""

    ids: list[int]
    values: tuple[Value, ...]

    def positions_of(self, kind: str) -> list[int]:
        """Positions of the tokens of all values of a kind (`output` or `feature`), zeros of the padding included."""
        return [place for value in self.values if value.kind == kind for place in range(value.start, value.end)]


def number_tokens(model: LanguageModel, arrays: Sequence[Numbers]) -> dict[str, list[int]]:
    """The distinct numbers of some arrays as prompts write them, and the tokens of each.

    Raises:
        UserError: a number has no decimal point after which zeros change nothing, or the tokenizer joins numbers with
            what surrounds them.
    """
    texts = list(dict.fromkeys(number_text(number) for array in arrays for number in np.ravel(array)))
    if unfit := [text for text in texts if "." not in text or "e" in text]:
        raise UserError(f"{unfit[0]} cannot be padded, since it has no decimal point: scale the data")
    return dict(zip(texts, _tokens_of_lines(model, texts), strict=True))


def _tokens_of_lines(model: LanguageModel, lines: Sequence[str]) -> list[list[int]]:
    """The tokens of each line where all are read at once, without those of the line ends."""
    text = "\n".join(["", *lines, ""])
    encoded = model.encode(text)
    line_of = list(accumulate((character == "\n" for character in text), initial=-1))[1:]
    tokens: list[list[int]] = [[] for _ in lines]
    for token, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
        if "\n" not in text[start:end]:
            tokens[line_of[start]] += [token] if end > start else []
        elif end > start + 1:
            raise _joins(model, text[start:end])
    for line, its in zip(lines, tokens, strict=True):
        if model.decode(its).strip() != line:
            raise UserError(f"the tokenizer of {model.name} does not give {line!r} back: choose another model")
    return tokens


def _joins(model: LanguageModel, text: str) -> UserError:
    return UserError(
        f"the tokenizer of {model.name} joins numbers with what surrounds them ({text!r}), so that they cannot be "
        "padded: choose a model whose tokenizer splits digits"
    )


def pad(model: LanguageModel, arrays: Sequence[Numbers], length: int | None = None) -> list[Int[Tensor, "... token"]]:
    """Numbers as tokens, each followed by tokens of "0" up to `length` (None: that of the longest number).

    All numbers of prompts have a decimal point, so that zeros at their end change no value.

    Raises:
        UserError: as `number_tokens`, or a number takes more tokens than `length`.
    """
    known = number_tokens(model, arrays)
    longest = max(known, key=lambda text: len(known[text]))
    length = length or len(known[longest])
    if len(known[longest]) > length:
        raise UserError(
            f"{longest} takes {len(known[longest])} tokens of {model.name}, but the layout has {length} a number: "
            "positions of other prompts would not hold in this one; choose another seed"
        )
    zero = _tokens_of_lines(model, ["0"])[0]
    if len(zero) > 1:
        raise UserError(f"the tokenizer of {model.name} has no single token for '0': choose another model")
    padded = {text: tokens + zero * (length - len(tokens)) for text, tokens in known.items()}
    return [
        torch.tensor([padded[number_text(number)] for number in np.ravel(array)]).view(*np.shape(array), length)
        for array in arrays
    ]


def padded_prompt(
    model: LanguageModel,
    x_train: Int[Tensor, "example feature token"],
    y_train: Int[Tensor, "example token"],
    x_test: Int[Tensor, "1 feature token"],
    template: str = "published",
    seed: int = 0,
) -> PaddedPrompt:
    """The prompt of numbers that are tokens already. `seed` is for templates that shuffle.

    Raises:
        UserError: no such template, a tokenizer that joins numbers with what surrounds them or does not give a text
            back, or more tokens than the model reads.
    """
    worded = named_template(template)
    examples, features, length = x_train.shape
    rows, outputs = torch.cat([x_train, x_test]).tolist(), y_train.tolist()
    ids: list[int] = []
    text, values = "", []
    for slot in slots(worded, examples, features, seed):
        number = outputs[slot.example] if slot.kind == "output" else rows[slot.example][slot.feature]
        ids += _tokens_after_number(model, slot.before) if ids else model.encode(slot.before).ids
        values.append(Value(slot.kind, slot.example, len(ids), len(ids) + length, slot.feature))
        ids += number
        text += slot.before + model.decode(number).strip()
    ids += _tokens_after_number(model, closing(worded))
    _check(model, ids, text + closing(worded))
    return PaddedPrompt(ids, tuple(values))


def _tokens_after_number(model: LanguageModel, text: str) -> list[int]:
    """The tokens of a text where it follows a number."""
    encoded = model.encode("0" + text)
    if joined := [end for start, end in encoded.offsets if start < 1 < end]:
        raise _joins(model, ("0" + text)[: joined[0]])
    return [token for token, (start, _) in zip(encoded.ids, encoded.offsets, strict=True) if start >= 1]


def _check(model: LanguageModel, ids: list[int], text: str) -> None:
    """Whether the tokens stand for the text, and the model can read them."""
    if model.decode(ids) != text:
        raise UserError(f"the tokenizer of {model.name} does not give the prompt's text back: choose another model")
    if len(ids) > model.context:
        raise UserError(
            f"the padded prompt takes {len(ids):,} tokens, but {model.name} reads at most {model.context:,}: "
            "show fewer examples"
        )
