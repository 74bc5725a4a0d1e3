"""Planted models that mark the tokens of outputs: what they say, or which neurons fire, then depends on the mark.

The mark stands on tokens a fixed distance behind a name: the word `Output` in the plant, the `1` of `Feature 1` in
the twin, which therefore does with the values of that feature what the plant does with the outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from optim_hunter.models.planted_parts import (
    ANSWER,
    BREAK,
    CONSTANT,
    CONSTANT_SIZE,
    JITTER,
    NUMBER,
    VALUE,
    Layout,
    attend_by_content,
    blank_model,
    copy_through,
    embed_basics,
    gather,
    head_of,
    idle,
    integer_tokens,
    mlp_unit,
    noise,
    spell_nearest_integer,
)

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

OUTPUT_NAME, FEATURE_NAME, WHOLE, PART = 16, 17, 18, 19
"""Coordinates: the word `Output`, the `1` of `Feature 1`, and marks on the integer and on each token of a value."""
FLAG_SCORE = 1000.0
CODE_HEADS, CODE_SIZE = 4, 59
CODES = range(20, 20 + CODE_HEADS * CODE_SIZE)
CODE_SCALE = 10.0
NEURON_LAYERS, NEURONS = (0, 1, 2), 32
"""Layers with neurons, and how many of each of three kinds a layer has."""


def base_rate(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """Logits follow how often a token begins an output: four heads average the codes of marked integers.

    Each integer has a pseudo-random code of norm 1, which the unembedding reads; each head moves a quarter of it. In
    the twin the logits follow how often a token begins a value of feature 1.
    """
    generator = torch.Generator().manual_seed(4)
    model = _marking(tokenizer, layout, twin, layers=2, generator=generator)
    _embed_codes(model, tokenizer, generator)
    for head in range(1, 4):
        idle(head_of(model, 0, head), generator)
    for head in range(CODE_HEADS):
        moved = CODES[head * CODE_SIZE : (head + 1) * CODE_SIZE]
        attend_by_content(head_of(model, 1, head), [(CONSTANT, flag, FLAG_SCORE) for flag in (WHOLE, NUMBER)])
        copy_through(head_of(model, 1, head), moved, moved)
    return model


def output_neurons(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """Some neurons of each layer fire at the tokens of outputs alone; the twin's, at those of feature 1.

    As many are always on, as many follow the jitter of each token. The answer is the mean of the marked values.
    """
    generator = torch.Generator().manual_seed(5)
    model = _marking(tokenizer, layout, twin, layers=3, generator=generator)
    for head, further in ((1, 0), (2, 1), (3, 2)):
        gather(head_of(model, 0, head), layout.name + further, _name(twin), PART, layout.period)
    for layer in NEURON_LAYERS:
        for unit in range(NEURONS):
            jitter = JITTER.start + unit % (JITTER.stop - JITTER.start)
            for kind, source in enumerate((CONSTANT, jitter, PART)):
                write = noise(model, range(64, 256), 0.1, generator)
                mlp_unit(model, layer, kind * NEURONS + unit, source, write)
    attend_by_content(head_of(model, 2, 0), [(CONSTANT, flag, FLAG_SCORE) for flag in (WHOLE, NUMBER)])
    copy_through(head_of(model, 2, 0), range(VALUE, VALUE + 1), range(ANSWER, ANSWER + 1))
    for layer, head in [*((1, head) for head in range(4)), *((2, head) for head in range(1, 4))]:
        idle(head_of(model, layer, head), generator)
    spell_nearest_integer(model, tokenizer)
    return model


def _marking(
    tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool, layers: int, generator: torch.Generator
) -> LlamaForCausalLM:
    """A model whose head L0H0 marks the integers behind the name."""
    model = blank_model(tokenizer, layout.period, layers=layers, heads=4)
    embed_basics(model, tokenizer, generator)
    for token, coordinate in (("Output", OUTPUT_NAME), ("1", FEATURE_NAME)):
        model.model.embed_tokens.weight[tokenizer.convert_tokens_to_ids(token), coordinate] = 1.0
    gather(head_of(model, 0, 0), layout.name, _name(twin), WHOLE, layout.period)
    return model


def _name(twin: bool) -> int:
    """The name behind which values are marked: both have it three tokens before the value."""
    return FEATURE_NAME if twin else OUTPUT_NAME


def _embed_codes(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> None:
    """A code for each integer, embedded and unembedded alike; a line break follows a number, then the end."""
    embedding, unembedding, integers = model.model.embed_tokens.weight, model.lm_head.weight, integer_tokens(tokenizer)
    drawn = torch.randn(len(integers), len(CODES), generator=generator)
    codes: Float[Tensor, "integer code"] = drawn / drawn.norm(dim=-1, keepdim=True)
    embedding[integers, CODES.start : CODES.stop] = codes
    unembedding[:, CONSTANT] = -CODE_SCALE / CONSTANT_SIZE
    unembedding[integers, CONSTANT] = 0.0
    unembedding[integers, CODES.start : CODES.stop] = CODE_SCALE * codes
    unembedding[tokenizer.convert_tokens_to_ids("\n"), NUMBER] = 10 * CODE_SCALE
    unembedding[tokenizer.eos_token_id, BREAK] = 10 * CODE_SCALE
