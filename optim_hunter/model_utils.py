"""Padded prompts of a layout that is the same for all seeds of a data set, and the positions of values in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from optim_hunter.models.language import LanguageModel, check_language_model
from optim_hunter.tasks.datasets import TrainTestSplit
from optim_hunter.utils import pad_numeric_tokens, slice_dataset

if TYPE_CHECKING:
    from torch import Tensor

    from optim_hunter.observe.padded import PaddedPrompt

LAYOUT_SEEDS = range(100)
"""The published seeds: their longest number gives the tokens of every number, whatever seed the prompt is of."""


DrawsData = Callable[..., TrainTestSplit]
"""A data set of `optim_hunter.datasets`, or any function that takes `random_state`."""


def get_tokenized_prompt(
    model: LanguageModel, seq_len: int, random_int: int, dataset: DrawsData, print_prompt: bool = True
) -> Int[Tensor, "1 token"]:
    """The padded prompt of seed `random_int` with `seq_len` examples, in the layout of `check_token_positions`.

    Raises:
        UserError: no language model; a number of this seed is longer than all of `LAYOUT_SEEDS`, so that the layout
            does not hold; or as `pad_numeric_tokens` and `prepare_prompt_from_tokens`.
    """
    import torch

    prompt = prompt_in_layout(model, seq_len, random_int, dataset)
    if print_prompt:
        print(model.to_string(prompt.ids))
    return torch.tensor([prompt.ids])


def check_token_positions(
    model: LanguageModel, dataset: DrawsData, seq_len: int, print_info: bool = True
) -> tuple[list[int], list[int]]:
    """Positions of all tokens of the examples' outputs, and of all features, those of the test case included.

    They are read off seed 0's prompt and hold in every prompt of `get_tokenized_prompt` with the same model, data set
    and `seq_len`. Zeros of the padding count as tokens of their number.

    Raises:
        UserError: as `get_tokenized_prompt`.
    """
    prompt = prompt_in_layout(model, seq_len, 0, dataset)
    outputs, features = prompt.positions_of("output"), prompt.positions_of("feature")
    if print_info:
        first = prompt.values[0]
        print(f"{len(prompt.ids)} tokens, {first.end - first.start} a number")
        print(f"outputs of {seq_len} examples at {outputs}")
        print(f"features of {seq_len + 1} cases at {features}")
    return outputs, features


def prompt_in_layout(model: LanguageModel, seq_len: int, seed: int, dataset: DrawsData) -> PaddedPrompt:
    """The padded prompt of a seed; only its numbers differ from those of other seeds.

    Raises:
        UserError: as `get_tokenized_prompt`.
    """
    from optim_hunter.observe.padded import padded_prompt

    check_language_model(model)
    x_train, y_train, x_test, _ = slice_dataset(*dataset(random_state=seed), seq_len)
    numbers = pad_numeric_tokens(model, x_train, y_train, x_test, length=tokens_of_a_number(model, dataset))
    return padded_prompt(model, *numbers)


_tokens: dict[tuple[str, DrawsData], int] = {}
"""By the model's fingerprint, so that no model is kept for it."""


def tokens_of_a_number(model: LanguageModel, dataset: DrawsData) -> int:
    """The tokens of the longest number of `LAYOUT_SEEDS`."""
    from optim_hunter.observe.padded import number_tokens

    key = model.fingerprint, dataset
    if key not in _tokens:
        drawn = [np.ravel(array) for seed in LAYOUT_SEEDS for array in dataset(random_state=seed)]
        _tokens[key] = max(map(len, number_tokens(model, drawn).values()))
    return _tokens[key]
