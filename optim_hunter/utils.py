"""Prompts of the published notes, as text and as padded tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from optim_hunter.claim import UserError
from optim_hunter.tasks.datasets import Features, Outputs, TrainTestSplit
from optim_hunter.tasks.prompts import regression_prompt
from optim_hunter.tasks.regression import Episode

if TYPE_CHECKING:
    from torch import Tensor

    from optim_hunter.models.language import LanguageModel


def slice_dataset(
    x_train: Features, y_train: Outputs, x_test: Features, y_test: Outputs, seq_len: int
) -> TrainTestSplit:
    """The first `seq_len` examples [n, d], [n] and the first test case [1, d], [1].

    Raises:
        UserError: there are fewer examples, or none is asked for.
    """
    if not 1 <= seq_len <= len(y_train):
        raise UserError(f"{seq_len} examples asked for: choose 1 to {len(y_train)}, which the data set has")
    return x_train[:seq_len], y_train[:seq_len], x_test[:1], y_test[:1]


def prepare_prompt(x_train: Features, y_train: Outputs, x_test: Features) -> str:
    """The prompt as text, in the published layout: examples [n, d], [n], then the one test case [1, d].

    Raises:
        UserError: not one test case.
    """
    _check_one(len(x_test))
    return regression_prompt(Episode(0, x_train, y_train, x_test[0], np.nan)).text


def pad_numeric_tokens(
    model: LanguageModel, x_train: Features, y_train: Outputs, x_test: Features, length: int | None = None
) -> tuple[Int[Tensor, "example feature token"], Int[Tensor, "example token"], Int[Tensor, "test feature token"]]:
    """Numbers as tokens, each followed by tokens of "0" up to `length` (None: that of the longest number given).

    Every number has a decimal point, so that its value stays.

    Raises:
        UserError: a number takes more tokens than `length`, or the model's tokenizer does not allow padding.
    """
    from optim_hunter.observe.padded import pad

    examples, outputs, tests = pad(model, (x_train, y_train, x_test), length)
    return examples, outputs, tests


def prepare_prompt_from_tokens(
    model: LanguageModel,
    x_train_tokens: Int[Tensor, "example feature token"],
    y_train_tokens: Int[Tensor, "example token"],
    x_test_tokens: Int[Tensor, "1 feature token"],
) -> Int[Tensor, "1 token"]:
    """The tokens of the prompt, BOS first where the tokenizer has one: the text of `prepare_prompt` with zeros added.

    Raises:
        UserError: not one test case, a tokenizer that does not allow padding, or more tokens than the model reads.
    """
    import torch

    from optim_hunter.observe.padded import padded_prompt

    _check_one(len(x_test_tokens))
    return torch.tensor([padded_prompt(model, x_train_tokens, y_train_tokens, x_test_tokens).ids])


def _check_one(tests: int) -> None:
    if tests != 1:
        raise UserError(f"a prompt asks one test case, {tests} were given: take one with slice_dataset")
