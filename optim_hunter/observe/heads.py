"""Attention writes head by head: each head's output through its part of W_O."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from optim_hunter.claim import UserError
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.norms import affine_norm


def head_writes(
    parts: DecoderParts, layer: int, heads_input: Float[Tensor, "*batch heads_d_head"]
) -> tuple[Float[Tensor, "*batch head d_model"], Float[Tensor, "*batch d_model"]]:
    """What each head of a layer adds to the residual stream, and what is no head's (biases), in float32.

    Both together sum to the attention write. Where a norm follows the attention (Gemma), each head passes it with
    the norm's scale as it was in the pass.

    Args:
        parts: the decoder's layout.
        layer: of the heads.
        heads_input: the input of W_O, concatenated heads.

    Raises:
        UserError: W_O is no plain matrix, or the norm after the block neither an RMSNorm nor a LayerNorm.
    """
    matrix, bias = _projection(parts.head_output[layer])
    outputs = heads_input.float().reshape(*heads_input.shape[:-1], parts.heads, -1)
    terms = torch.einsum("...hk,hkd->...hd", outputs, matrix.reshape(parts.heads, -1, matrix.shape[1]))
    rest = bias.expand(*terms.shape[:-2], -1)
    after = parts.attention[layer]
    if after is parts.attention_blocks[layer]:
        return terms, rest
    norm = affine_norm(after)
    split = norm.split(torch.cat([terms, rest.unsqueeze(-2)], -2), terms.sum(-2) + rest)
    return split[..., :-1, :], split[..., -1, :] + norm.bias


def _projection(module: nn.Module) -> tuple[Float[Tensor, "heads_d_head d_model"], Float[Tensor, "d_model"]]:
    """W_O, to be multiplied from the right, and its bias (zeros where it has none); GPT-2's lies transposed."""
    if not isinstance(module, nn.Linear | Conv1D):
        raise UserError(
            f"the attention output {type(module).__name__} is no plain matrix, so that heads cannot be told apart: "
            "load the model without quantisation or adapters"
        )
    matrix = module.weight.float() if isinstance(module, Conv1D) else module.weight.float().T
    return matrix, matrix.new_zeros(matrix.shape[1]) if module.bias is None else module.bias.float()
