"""Direct logit attribution: what each component adds to the logits through the final norm and the unembedding."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.norms import affine_norm


def direct_contributions(
    writes: Float[Tensor, "*batch component d_model"],
    residual: Float[Tensor, "*batch d_model"],
    parts: DecoderParts,
    tokens: Sequence[int],
) -> tuple[Float[Tensor, "*batch component candidate"], Float[Tensor, "candidate"]]:
    """What each component adds to the logits of `tokens`, and what the biases add, in float32.

    The final norm's scale is held as it was in the pass (Elhage et al. 2021), so that contributions summed over
    the components, plus the constant, are the output of the unembedding, before any soft cap.

    Args:
        writes: what each component added to the residual stream, float32.
        residual: the input of the final norm, float32.
        parts: the decoder's layout.
        tokens: candidate tokens.

    Raises:
        UserError: the final norm is neither an RMSNorm nor a LayerNorm.
    """
    norm = affine_norm(parts.norm)
    directions = parts.unembed.weight[list(tokens)].float().T
    constant = norm.bias @ directions
    if parts.unembed.bias is not None:
        constant = constant + parts.unembed.bias[list(tokens)].float()
    return norm.split(writes, residual) @ directions, constant
