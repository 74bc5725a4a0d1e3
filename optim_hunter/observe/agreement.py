"""Whether a model, run as the pass runs it, says what its own code says."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from optim_hunter.observe.instruments import read_batch
from optim_hunter.observe.layouts import DecoderParts

PROBE_LENGTHS = (24, 17)
"""Tokens of the two pseudo-random prompts, run padded in our batch and each alone by the model."""


def disagreement(module: PreTrainedModel, parts: DecoderParts) -> float:
    """Relative difference of the next token's logits, ours (soft-capped) from the model's, worst of two prompts.

    The other checks compare the pass with itself. They do not see what an architecture does and the pass leaves
    out: attention sinks, position biases, logits that are multiplied after the unembedding. The model's own code
    runs with transformers' eager attention.
    """
    generator = torch.Generator().manual_seed(0)
    tokens = len(parts.unembed.weight)
    prompts = [torch.randint(tokens, (length,), generator=generator).tolist() for length in PROBE_LENGTHS]
    with torch.inference_mode():
        ours = _capped(module, read_batch(module, parts, prompts).logits)
        own = torch.stack([_own_logits(module, prompt) for prompt in prompts])
    return float(((ours - own).norm(dim=-1) / own.norm(dim=-1)).max())


def _own_logits(module: Any, prompt: list[int]) -> Float[Tensor, "vocabulary"]:
    before = module.config._attn_implementation
    module.config._attn_implementation = "eager"
    try:
        logits: Tensor = module(torch.tensor([prompt], device=module.device), logits_to_keep=1, use_cache=False).logits
    finally:
        module.config._attn_implementation = before
    return logits[0, -1].float()


def _capped(module: PreTrainedModel, logits: Float[Tensor, "row vocabulary"]) -> Float[Tensor, "row vocabulary"]:
    cap = getattr(module.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
