"""Sums of what goes into modules over groups of tokens, reduced in the pass so that no token's own is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class GroupSums:
    """Asks for sums of the inputs of `modules` over groups of each row's tokens.

    `group_of` gives the group, out of `groups`, of each token of each row's segment; −1: it belongs to none.
    """

    modules: Sequence[nn.Module]
    group_of: Sequence[Sequence[int]]
    groups: int

    def weights(self, columns: int, device: torch.device) -> Float[Tensor, "row group column"]:
        """1 where a column belongs to a group; padding stands before a segment and belongs to none."""
        padded = torch.tensor([[-1] * (columns - len(groups)) + list(groups) for groups in self.group_of])
        weights = padded[:, None] == torch.arange(self.groups)[:, None]
        return weights.float().to(device)


@contextmanager
def summing(
    asked: GroupSums | None, columns: int, device: torch.device
) -> Iterator[dict[nn.Module, Float[Tensor, "row group neuron"]]]:
    """Sums [row, group, neuron] by module, in float32, of the pass that runs inside; empty where nothing is asked."""
    sums: dict[nn.Module, Tensor] = {}
    if asked is None:
        yield sums
        return
    add = partial(_add, sums, asked.weights(columns, device))
    handles = [module.register_forward_pre_hook(add) for module in asked.modules]
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()


def _add(sums: dict[nn.Module, Tensor], weights: Tensor, module: nn.Module, args: tuple[Any, ...]) -> None:
    """Row by row: a float32 copy of a whole batch's activations would be larger than what the pass itself holds."""
    sums[module] = torch.stack([one @ hidden.float() for one, hidden in zip(weights, args[0], strict=True)])


def stacked(
    asked: GroupSums | None, sums: dict[nn.Module, Float[Tensor, "row group neuron"]]
) -> Float[Tensor, "row module group neuron"] | None:
    """The sums in the order of the modules asked for."""
    return None if asked is None else torch.stack([sums[module] for module in asked.modules], 1)
