"""Normalisations taken apart: with the scale held as it was in the pass, a norm is an affine map of its input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from optim_hunter.claim import UserError

KINDS = ((False, 0.0), (False, 1.0), (True, 0.0))
"""Whether the mean is taken off, and what is added to the weight: RMSNorm, Gemma's RMSNorm, LayerNorm."""


@dataclass(frozen=True)
class AffineNorm:
    """gain · (x − mean of x, if centred) / √(mean square of that + epsilon) + bias, in float32."""

    gain: Float[Tensor, "d_model"]
    bias: Float[Tensor, "d_model"]
    epsilon: float
    centred: bool

    def split(
        self, terms: Float[Tensor, "*batch term d_model"], total: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch term d_model"]:
        """What each term of `total` adds to the norm's output: over all terms they sum to it without the bias."""
        mean_square = self._centre(total).square().mean(-1)[..., None, None]
        return self._centre(terms) * torch.rsqrt(mean_square + self.epsilon) * self.gain

    def _centre(self, vectors: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return vectors - vectors.mean(-1, keepdim=True) if self.centred else vectors


def affine_norm(module: nn.Module) -> AffineNorm:
    """The affine map of a norm of a decoder, recognised by what it does to a probe and not by its name.

    The names do not tell: Gemma 3 and Qwen 3-Next add 1 to the weight, Gemma 3n and Qwen 3 do not. A norm that
    is no RMSNorm or LayerNorm is never guessed.

    Raises:
        UserError: the norm is of another kind.
    """
    for centred, offset in KINDS:
        norm = _assumed(module, centred, offset)
        if norm is not None and _agrees(norm, module):
            return norm
    raise UserError(
        f"{type(module).__name__} is neither an RMSNorm nor a LayerNorm, so that nothing can be attributed through "
        "it: choose a model of the Llama, Mistral, Qwen, GPT-2, GPT-NeoX or Gemma family"
    )


def _assumed(module: nn.Module, centred: bool, offset: float) -> AffineNorm | None:
    """The norm if it is of this kind; None if it does not have its attributes."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not isinstance(weight, Tensor) or not isinstance(epsilon, float):
        return None
    gain = weight.float() + offset
    return AffineNorm(gain, bias.float() if isinstance(bias, Tensor) else torch.zeros_like(gain), epsilon, centred)


def _agrees(norm: AffineNorm, module: nn.Module) -> bool:
    """Whether module and map agree on a probe with a mean, small enough for the epsilon to show.

    The module runs with float32 weights, where w and 1 + w differ beyond rounding even if w is in the thousands.
    """
    probe = torch.linspace(-1e-2, 2e-2, len(norm.gain), device=norm.gain.device)
    weights = {name: weight.float() for name, weight in module.named_parameters()}
    shown: Tensor = functional_call(module, weights, (probe,))
    return torch.allclose(norm.split(probe[None], probe)[0] + norm.bias, shown, rtol=1e-4, atol=1e-6, equal_nan=True)
