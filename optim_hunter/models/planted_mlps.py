"""Planted models in which MLPs make the answer visible to the unembedding: which of them do is what was planted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.models.planted_parts import (
    CONSTANT,
    NUMBER,
    Layout,
    attend_at_distance,
    basis,
    blank_model,
    copy_through,
    embed_basics,
    head_of,
    idle,
    integer_tokens,
    mlp_unit,
    noise,
    write_always,
)

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

HIDDEN, VISIBLE = range(16, 72), range(72, 128)
LATE_LAYERS, EARLY_LAYERS, COPY_LAYER, DEPTH = (10, 11), (4, 5), 3, 12
LAST_LAYER, BEFORE_LAST = DEPTH - 1, DEPTH - 2
NOISE = 0.15
"""Norm of what every other component writes; an answer's code has norm 1."""


def late_mlp(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """The last two MLPs make the answer visible to the unembedding; in the twin MLPs 4 and 5 do."""
    swapped = dict(zip(LATE_LAYERS + EARLY_LAYERS, EARLY_LAYERS + LATE_LAYERS, strict=True)) if twin else {}
    return _made_visible_by(LATE_LAYERS, swapped, tokenizer, layout)


def before_last_mlp(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """The last MLP but one makes the answer visible; in the twin the last one does, alone."""
    swapped = {BEFORE_LAST: LAST_LAYER, LAST_LAYER: BEFORE_LAST} if twin else {}
    return _made_visible_by((BEFORE_LAST,), swapped, tokenizer, layout)


def _made_visible_by(
    writers: tuple[int, ...], swapped: Mapping[int, int], tokenizer: PreTrainedTokenizerFast, layout: Layout
) -> LlamaForCausalLM:
    """MLPs of the layers `writers` share in making the answer visible; `swapped` MLPs then stand in other layers.

    Head 0 of layer 3 brings the code of the last example's output, in a subspace that the unembedding does not
    see; the writers move equal parts of it to the visible subspace. All else writes pseudo-random vectors there.
    """
    generator = torch.Generator().manual_seed(3)
    model = blank_model(tokenizer, layout.period, layers=DEPTH, heads=2)
    embed_basics(model, tokenizer, generator)
    embed_codes(model, tokenizer, generator)
    for layer in range(DEPTH):
        idle_attention(model, layer, VISIBLE, generator)
        if layer not in writers:
            mlp_unit(model, swapped.get(layer, layer), 0, CONSTANT, noise(model, VISIBLE, NOISE, generator))
    for layer in writers:
        for unit, (source, target) in enumerate(zip(HIDDEN, VISIBLE, strict=True)):
            mlp_unit(model, swapped.get(layer, layer), unit, source, basis(model, target, 1 / len(writers)))
    copy_last_output(model, layout)
    return model


def copy_last_output(model: LlamaForCausalLM, layout: Layout) -> None:
    """Make head 0 of layer 3 bring the hidden code of the last example's output."""
    copier = head_of(model, COPY_LAYER, 0)
    attend_at_distance(copier, layout.output, layout.period)
    copy_through(copier, HIDDEN, HIDDEN)


def idle_attention(model: LlamaForCausalLM, layer: int, target: range, generator: torch.Generator) -> None:
    """Diffuse heads, of which the second writes a pseudo-random vector; the head that copies stays free."""
    for head in range(model.config.num_attention_heads):
        if (layer, head) != (COPY_LAYER, 0):
            idle(head_of(model, layer, head), generator)
    write_always(head_of(model, layer, 1), noise(model, target, NOISE, generator))


def embed_codes(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> None:
    """A pseudo-random code of norm 1 for each token: hidden in integers' embeddings, read by the unembedding."""
    embedding, unembedding = model.model.embed_tokens.weight, model.lm_head.weight
    drawn = torch.randn(len(tokenizer), len(VISIBLE), generator=generator)
    codes: Float[Tensor, "token code"] = drawn / drawn.norm(dim=-1, keepdim=True)
    visible = slice(VISIBLE.start, VISIBLE.stop)
    integers, newline = integer_tokens(tokenizer), tokenizer.convert_tokens_to_ids("\n")
    embedding[integers, HIDDEN.start : HIDDEN.stop] = codes[integers]
    embedding[embedding[:, NUMBER] > 0, visible] = 3 * codes[newline]
    embedding[newline, visible] = 3 * codes[tokenizer.eos_token_id]
    unembedding[:, visible] = 10 * codes
