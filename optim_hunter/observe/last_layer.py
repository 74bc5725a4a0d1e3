"""The last layer's MLP is run at the tokens that are read, and at no other: what it writes there nobody sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.sums import GroupSums


@contextmanager
def narrow_last_mlp(
    parts: DecoderParts, columns: Int[Tensor, "row position"], width: int, sums: GroupSums | None
) -> Iterator[None]:
    """For a pass over `width` columns, of which these and the last are read.

    Nothing is changed where sums are asked for, which are over all tokens, and in mixtures of experts.
    """
    if parts.last_mlp is None or sums is not None:
        yield
        return
    last = columns.new_full((len(columns), 1), width - 1)
    with _run_at(parts.last_mlp, torch.cat([columns, last], 1), width):
        yield


@contextmanager
def _run_at(module: nn.Module, columns: Int[Tensor, "row position"], width: int) -> Iterator[None]:
    """Let a module that treats each token by itself run at these columns; at others it gives zeros."""
    row = torch.arange(len(columns), device=columns.device)[:, None]

    def narrow(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, *rest = args
        return hidden[row, columns], *rest

    def widen(
        _module: nn.Module, _args: tuple[Any, ...], output: Float[Tensor, "row position d_model"]
    ) -> Float[Tensor, "row column d_model"]:
        everywhere = output.new_zeros(len(columns), width, output.shape[-1])
        everywhere[row, columns] = output
        return everywhere

    # Whoever listens or edits outside sees all columns: their hooks come before the one and behind the other.
    handles = [module.register_forward_pre_hook(narrow), module.register_forward_hook(widen, prepend=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
