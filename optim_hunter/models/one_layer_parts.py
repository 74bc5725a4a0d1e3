"""Parts of a one-layer model ablated: what attention or the MLP wrote replaced, and random parts as large beside it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import OneLayerModel

Part = Literal["attention", "mlp"]
REPLACEMENTS = ("zero", "mean", "resample")
"""What stands in the place of what was written: nothing, the mean over other windows, what was written in others."""


@torch.inference_mode()
def stream_and_write(
    model: OneLayerModel, part: Part, windows: Int[np.ndarray, "window position"]
) -> tuple[Float[Tensor, "window width"], Float[Tensor, "window width"]]:
    """The residual stream just behind a part, and what of it the part wrote.

    Raises:
        UserError: the model was trained without the part.
    """
    if not getattr(model, part):
        raise UserError(f"this one-layer model was trained without its {part}: there is nothing to ablate")
    tokens = torch.as_tensor(windows, dtype=torch.long)
    residual = model.residual(tokens)
    if part == "attention":
        return residual, residual - embedding(model.symbols(tokens)[:, -1], model.embedding)
    write = model.neurons(residual) @ model.mlp_out
    return residual + write, write


@torch.inference_mode()
def logits_after(
    model: OneLayerModel, part: Part, stream: Float[Tensor, "window width"]
) -> Float[Tensor, "window token"]:
    """The logits, from a residual stream behind a part on: behind attention the MLP reads it."""
    if part == "attention" and model.mlp:
        stream = stream + model.neurons(stream) @ model.mlp_out
    return stream @ model.unembedding + model.bias


def replaced(
    write: Float[Tensor, "window width"],
    reference: Float[Tensor, "other_window width"],
    replacement: str,
    generator: np.random.Generator,
) -> Float[Tensor, "window width"]:
    """What stands in the place of what was written; `reference` was written in other windows."""
    if replacement == "resample":
        return reference[torch.from_numpy(generator.integers(len(reference), size=len(write)))]
    mean = reference.mean(0) if replacement == "mean" else torch.zeros_like(reference[0])
    return mean.expand_as(write)


def without_random_part(
    stream: Float[Tensor, "window width"],
    reference: Float[Tensor, "other_window width"],
    size: float,
    generator: np.random.Generator,
) -> Float[Tensor, "window width"]:
    """The stream with its mean over `reference` along random directions, as many as make up a mean squared change.

    The directions are the first of a random orthogonal basis; of the last of them as much is taken as is lacking. Where
    the whole stream varies less than `size`, all of it is taken.

    Args:
        size: mean squared length, over `reference`, of the change that the random part shall be as large as.
    """
    width = stream.shape[1]
    basis, _ = torch.linalg.qr(torch.from_numpy(generator.normal(size=(width, width)).astype(np.float32)))
    mean = reference.mean(0)
    spread = ((reference - mean) @ basis).square().mean(0)
    taken_before = torch.cat([torch.zeros(1), spread.cumsum(0)[:-1]])
    share = ((size - taken_before) / spread.clamp(min=1e-12)).clamp(0, 1).sqrt()
    return stream - ((stream - mean) @ basis * share) @ basis.T
