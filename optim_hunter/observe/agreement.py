"""Whether a model, run as the pass runs it, says what its own code says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.observe.instruments import read_batch
from optim_hunter.observe.layouts import DecoderParts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBE_LENGTHS = (24, 17)
"""Tokens of the two pseudo-random prompts."""


def disagreement(module: PreTrainedModel, parts: DecoderParts) -> float:
    """Relative difference of the next token's logits, ours (soft-capped) from the model's, worst of two prompts.

    The other checks compare the pass with itself. They do not see what an architecture does and the pass leaves
    out: attention sinks, position biases, logits that are multiplied after the unembedding. The model's own code
    runs with the attention kernel that the pass uses too, where it can, so that rounding does not look like a fault:
    between SDPA and eager attention bfloat16 alone may make 10 %.
    """
    generator = torch.Generator().manual_seed(0)
    tokens = len(parts.unembed.weight)
    worst = 0.0
    for length in PROBE_LENGTHS:
        prompt = torch.randint(tokens, (length,), generator=generator).tolist()
        with torch.inference_mode():
            ours = capped(module, read_batch(module, parts, [prompt]).logits[0])
            own = _own_logits(module, prompt)
        error = float((ours - own).norm() / own.norm())
        worst = error if math.isnan(error) else max(worst, error)
    return worst


def _own_logits(module: Any, prompt: list[int]) -> Float[Tensor, "vocabulary"]:
    before = module.config._attn_implementation
    capped = getattr(module.config.get_text_config(), "attn_logit_softcapping", None) is not None
    module.config._attn_implementation = "sdpa" if module._supports_sdpa and not capped else "eager"
    try:
        logits: Tensor = module(torch.tensor([prompt], device=module.device), logits_to_keep=1, use_cache=False).logits
    finally:
        module.config._attn_implementation = before
    return logits[0, -1].float()


def capped(module: PreTrainedModel, logits: Float[Tensor, "*vocabulary"]) -> Float[Tensor, "*vocabulary"]:
    """Logits as the model hands them out: through its soft cap, where it has one."""
    cap = getattr(module.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
