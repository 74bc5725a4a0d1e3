"""Planted models: Llama weights set by construction, so that the right verdict on them is known.

Each plant has a twin that is alike in sizes and norms and lacks the planted effect; `docs/planted-models.md`
draws them. They answer the regression prompt of four features and of any number of examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from optim_hunter.claim import UserError
from optim_hunter.models.planted_parts import (
    ANSWER,
    CONSTANT,
    GATE,
    INTEGERS,
    NUMBER,
    VALUE,
    Head,
    Layout,
    attend_at_distance,
    attend_by_content,
    attend_each_example,
    basis,
    blank_model,
    copy_through,
    embed_basics,
    head_of,
    idle,
    integer_tokens,
    mlp_unit,
    noise,
    number_tokenizer,
    prompt_layout,
    spell_nearest_integer,
    write_always,
)

Build = Callable[[PreTrainedTokenizerFast, Layout, bool], LlamaForCausalLM]

LOG_INTEGER, LOG_DECIMAL, LOG_ONE, OUTPUT_NAME = 16, 17, 18, 19
QUERY_LOG, KEY_LOG, KEY_SQUARE, AFTER_NAME = 20, 21, 22, 23
BANDWIDTH = 0.15
"""Of the kernel, in units of log(x1·x2)."""
SMALLEST_DECIMAL = 0.02
"""Decimals below are read as this."""
FLAG_SCORE = 1000.0

LARGE, LARGE_VALUE = 16, 17
OUTPUT_HEAD = (2, 1)

HIDDEN, VISIBLE = range(16, 72), range(72, 128)
LATE_LAYERS, EARLY_LAYERS, COPY_LAYER, DEPTH = (10, 11), (4, 5), 3, 12
NOISE = 0.15
"""Norm of what every other component writes; an answer's code has norm 1."""


def kernel_regression(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """Nadaraya–Watson regression over log(x1·x2) of the examples; the twin reads the features' names, not values.

    Layer 0 gathers log x1 + log x2 at the token before each output, layer 1 shifts it onto the output and squares
    it, head 0 of layer 2 averages the outputs with weights exp(−(difference of logs)² / (2·h²)).
    """
    generator = torch.Generator().manual_seed(1)
    model = blank_model(tokenizer, layout.period, layers=3, heads=4)
    embed_basics(model, tokenizer, generator)
    _embed_logs(model, tokenizer)
    (_, x1, x2, _), decimals = (layout.labels, 0) if twin else (layout.features, len(["integer", "."]))
    _gather(head_of(model, 0, 0), x1, LOG_INTEGER, QUERY_LOG, layout)
    _gather(head_of(model, 0, 1), x2 - decimals, LOG_DECIMAL, QUERY_LOG, layout)
    _gather(head_of(model, 0, 2), x2, LOG_ONE, QUERY_LOG, layout)
    _gather(head_of(model, 0, 3), layout.name, OUTPUT_NAME, AFTER_NAME, layout)
    _gather(head_of(model, 1, 0), 1, QUERY_LOG, KEY_LOG, layout)
    mlp_unit(model, 1, 0, KEY_LOG, basis(model, KEY_SQUARE), gate=KEY_LOG)
    mlp_unit(model, 1, 1, KEY_LOG, basis(model, KEY_SQUARE, -GATE))
    _average_alike(head_of(model, 2, 0))
    for layer, head in ((layer, head) for layer in (1, 2) for head in (1, 2, 3)):
        idle(head_of(model, layer, head), generator)
    spell_nearest_integer(model, tokenizer)
    return model


def _embed_logs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Logs of a token read as an integer and as the decimals after `0.`, centred; `1` can lift `.0` to 1.0."""
    embedding = model.model.embed_tokens.weight
    embedding[integer_tokens(tokenizer), LOG_INTEGER] = torch.arange(INTEGERS).clamp(min=1).log() - 6.5
    for token, index in tokenizer.get_vocab().items():
        if token.isdecimal():
            embedding[index, LOG_DECIMAL] = 1 + math.log(max(float(f"0.{token}"), SMALLEST_DECIMAL))
    embedding[tokenizer.convert_tokens_to_ids("1"), LOG_ONE] = -math.log(SMALLEST_DECIMAL)
    embedding[tokenizer.convert_tokens_to_ids("Output"), OUTPUT_NAME] = 1.0


def _gather(head: Head, distance: int, source: int, target: int, layout: Layout) -> None:
    """Make a head bring one coordinate from `distance` tokens back."""
    attend_at_distance(head, distance, layout.period)
    copy_through(head, range(source, source + 1), range(target, target + 1))


def _average_alike(head: Head) -> None:
    """Make a head average the outputs (numbers after the name `Output:`) of examples alike to the query."""
    precision = BANDWIDTH**-2
    kernel = [(QUERY_LOG, KEY_LOG, precision), (CONSTANT, KEY_SQUARE, -precision / 2)]
    flags = [(CONSTANT, flag, FLAG_SCORE) for flag in (AFTER_NAME, NUMBER)]
    attend_by_content(head, kernel + flags)
    copy_through(head, range(VALUE, VALUE + 1), range(ANSWER, ANSWER + 1))


def output_head(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """Head 1 of layer 2 attends to all outputs of 100 or more and moves them; the twin's, to all values of x1.

    All other heads are diffuse. The answer is about nine tenths of the mean of what is moved.
    """
    generator = torch.Generator().manual_seed(2)
    model = blank_model(tokenizer, layout.period, layers=4, heads=4)
    embed_basics(model, tokenizer, generator)
    large = integer_tokens(tokenizer)[100:]
    model.model.embed_tokens.weight[large, LARGE] = 1.0
    model.model.embed_tokens.weight[large, LARGE_VALUE] = torch.arange(100, INTEGERS) / 1000
    for layer, head in ((layer, head) for layer in range(4) for head in range(4)):
        if (layer, head) != OUTPUT_HEAD:
            idle(head_of(model, layer, head), generator)
    planted = head_of(model, *OUTPUT_HEAD)
    attend_each_example(planted, LARGE, layout.features[1] if twin else layout.output, layout.period, strength=6.0)
    copy_through(planted, range(LARGE_VALUE, LARGE_VALUE + 1), range(ANSWER, ANSWER + 1))
    spell_nearest_integer(model, tokenizer)
    return model


def late_mlp(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """The last two MLPs make the answer visible to the unembedding; in the twin MLPs 4 and 5 do.

    Head 0 of layer 3 brings the code of the last example's output, in a subspace that the unembedding does not
    see; two MLPs move half of it each to the visible subspace. All else writes pseudo-random vectors there.
    """
    generator = torch.Generator().manual_seed(3)
    model = blank_model(tokenizer, layout.period, layers=DEPTH, heads=2)
    embed_basics(model, tokenizer, generator)
    _embed_codes(model, tokenizer, generator)
    swapped = dict(zip(LATE_LAYERS + EARLY_LAYERS, EARLY_LAYERS + LATE_LAYERS, strict=True)) if twin else {}
    for layer in range(DEPTH):
        _idle_attention(model, layer, generator)
        if layer not in LATE_LAYERS:
            mlp_unit(model, swapped.get(layer, layer), 0, CONSTANT, noise(model, VISIBLE, NOISE, generator))
    for layer in LATE_LAYERS:
        for unit, (source, target) in enumerate(zip(HIDDEN, VISIBLE, strict=True)):
            mlp_unit(model, swapped.get(layer, layer), unit, source, basis(model, target, 0.5))
    copier = head_of(model, COPY_LAYER, 0)
    attend_at_distance(copier, layout.output, layout.period)
    copy_through(copier, HIDDEN, HIDDEN)
    return model


def _idle_attention(model: LlamaForCausalLM, layer: int, generator: torch.Generator) -> None:
    """Diffuse heads, of which the second writes a pseudo-random vector; the head that copies stays free."""
    if layer != COPY_LAYER:
        idle(head_of(model, layer, 0), generator)
    idle(head_of(model, layer, 1), generator)
    write_always(head_of(model, layer, 1), noise(model, VISIBLE, NOISE, generator))


def _embed_codes(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> None:
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


BUILDS: dict[str, Build] = {
    "planted:kernel-regression": kernel_regression,
    "planted:late-mlp": late_mlp,
    "planted:output-head": output_head,
}
NAMES: tuple[str, ...] = tuple(name + suffix for name in BUILDS for suffix in ("", "-twin"))


def build(name: str) -> LlamaForCausalLM:
    """The planted model of this name (float32, on the CPU), the same on every call; it reads `number_tokenizer`.

    Raises:
        UserError: no such planted model.
    """
    if name not in NAMES:
        raise UserError(f"no planted model {name!r}: choose one of {', '.join(NAMES)}")
    tokenizer = number_tokenizer()
    construct = BUILDS[name.removesuffix("-twin")]
    return construct(tokenizer, prompt_layout(tokenizer), name.endswith("-twin"))
