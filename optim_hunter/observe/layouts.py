"""Where decoders of the known families keep the parts that the instruments listen to."""

from __future__ import annotations

import inspect
from contextlib import suppress
from dataclasses import dataclass

from torch import nn

from optim_hunter.claim import UserError

FORWARD_ARGUMENTS = ("position_ids", "past_key_values", "logits_to_keep")
"""What a pass hands to a decoder: positions after padding and a shared prefix, its cache, which logits are wanted."""

KNOWN_FAMILIES = "choose a model of the Llama, Mistral, Qwen, GPT-2, GPT-NeoX or Gemma family"


@dataclass(frozen=True)
class DecoderParts:
    """The modules of a decoder that the instruments listen to, one entry a layer in the lists.

    The residual stream starts as the input of the first of `layers` (token and position embeddings, scaled or
    not), takes the outputs of `attention` and `mlp` (the norms after the blocks where there are any) and ends as
    the input of `norm`. `attention_blocks` compute the attention; `head_output` are their W_O, whose input is the
    concatenated heads, `heads` of them a layer. `mlp_output` are the down projections, whose input are the neurons'
    activations, and `last_mlp` is the block around the last of them; None where an MLP is no such thing (mixtures of
    experts).
    """

    layers: list[nn.Module]
    attention: list[nn.Module]
    mlp: list[nn.Module]
    attention_blocks: list[nn.Module]
    head_output: list[nn.Module]
    mlp_output: list[nn.Module] | None
    last_mlp: nn.Module | None
    norm: nn.Module
    unembed: nn.Linear
    heads: int

    def neurons(self, layers: int) -> tuple[int, list[nn.Module]]:
        """The first of the last `layers` layers (0 where there are fewer), and the down projections from it on.

        Raises:
            UserError: the MLPs have none.
        """
        if self.mlp_output is None:
            raise UserError(
                f"the MLPs of {type(self.layers[0]).__name__} have no single down projection, so that their neurons "
                "cannot be read: choose a model without a mixture of experts"
            )
        first = max(0, len(self.layers) - layers)
        return first, self.mlp_output[first:]


@dataclass(frozen=True)
class _Layout:
    """Attribute names: of the layers and the final norm in the model, of the parts in a layer."""

    layers: str
    norm: str
    attention: str
    mlp: str
    attention_block: str
    head_output: str
    mlp_block: str
    mlp_output: str


LAYOUTS = (
    _Layout(  # Gemma 2 and 3, OLMo 2: norms after the blocks
        "model.layers", "model.norm", "post_attention_layernorm", "post_feedforward_layernorm", "self_attn",
        "self_attn.o_proj", "mlp", "mlp.down_proj",
    ),
    _Layout(  # Llama
        "model.layers", "model.norm", "self_attn", "mlp", "self_attn", "self_attn.o_proj", "mlp", "mlp.down_proj",
    ),
    _Layout("transformer.h", "transformer.ln_f", "attn", "mlp", "attn", "attn.c_proj", "mlp", "mlp.c_proj"),  # GPT-2
    _Layout(
        "gpt_neox.layers", "gpt_neox.final_layer_norm", "attention", "mlp", "attention", "attention.dense",
        "mlp", "mlp.dense_4h_to_h",
    ),
)  # fmt: skip
"""Tried in this order: Llama keeps a `post_attention_layernorm` too, which there is the norm *before* its MLP."""


def decoder_parts(module: nn.Module) -> DecoderParts:
    """Where a decoder keeps its parts.

    Raises:
        UserError: the architecture keeps them elsewhere or cannot be run as the pass runs it, so that no write of
            it could be believed.
    """
    accepted = inspect.signature(module.forward).parameters
    for argument in FORWARD_ARGUMENTS:
        if argument not in accepted:
            raise _unknown(module, f"its forward takes no {argument}")
    unembed = getattr(module, "lm_head", None)
    if not isinstance(unembed, nn.Linear):
        raise _unknown(module, "it has no linear lm_head")
    for layout in LAYOUTS:
        try:
            return _parts(module, layout, unembed)
        except AttributeError:
            continue
    raise _unknown(module, "its layers or their parts are not where any known family has them")


def _parts(module: nn.Module, layout: _Layout, unembed: nn.Linear) -> DecoderParts:
    layers = list(module.get_submodule(layout.layers).children())
    attention, mlp, blocks, outputs = (
        [layer.get_submodule(name) for layer in layers]
        for name in (layout.attention, layout.mlp, layout.attention_block, layout.head_output)
    )
    neurons, last_mlp = None, None
    with suppress(AttributeError):
        neurons = [layer.get_submodule(layout.mlp_output) for layer in layers]
        last_mlp = layers[-1].get_submodule(layout.mlp_block)
    norm = module.get_submodule(layout.norm)
    heads = int(module.config.get_text_config().num_attention_heads)  # type: ignore[union-attr, operator]
    return DecoderParts(layers, attention, mlp, blocks, outputs, neurons, last_mlp, norm, unembed, heads)


def _unknown(module: nn.Module, reason: str) -> UserError:
    return UserError(
        f"{type(module).__name__} is not built like a decoder that the instruments know ({reason}): {KNOWN_FAMILIES}"
    )
