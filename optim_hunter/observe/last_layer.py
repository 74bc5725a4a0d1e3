"""The last layer's MLP runs only at the tokens that are read: nothing comes after it that would see the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
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
    if parts.last_mlp is None or sums is not None or width == 1:
        yield
        return
    read = torch.zeros(len(columns), width, dtype=torch.bool, device=columns.device)
    read[torch.arange(len(columns), device=columns.device)[:, None], columns] = True
    read[:, -1] = True
    with _run_at(parts.last_mlp, read):
        yield


@contextmanager
def _run_at(module: nn.Module, read: Bool[Tensor, "row column"]) -> Iterator[None]:
    """Let a module that treats each token by itself run at some alone, as one row of them.

    At the others it gives NaN, so that who reads them by mistake does not get a sum that closes.
    """
    row, column = read.nonzero(as_tuple=True)

    def narrow(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, *rest = args
        return hidden[row, column][None], *rest

    def widen(
        _module: nn.Module, _args: tuple[Any, ...], output: Float[Tensor, "1 token d_model"]
    ) -> Float[Tensor, "row column d_model"]:
        everywhere = output.new_full((*read.shape, output.shape[-1]), torch.nan)
        everywhere[row, column] = output[0]
        return everywhere

    # Who edits inputs or listens to outputs sees all columns: these hooks come before the one and behind the other.
    handles = [module.register_forward_pre_hook(narrow), module.register_forward_hook(widen, prepend=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
