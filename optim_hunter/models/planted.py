"""Planted models: Llama weights set by construction, so that the right verdict on them is known.

Each plant has a twin that is alike in sizes and norms and lacks the planted effect; `docs/planted-models.md`
draws them. They answer the regression prompt of four features and of any number of examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from optim_hunter.claim import UserError
from optim_hunter.models.planted_decoys import backup_pair, discarded_head, erased_mlp, indirect_layer
from optim_hunter.models.planted_marks import base_rate, output_neurons
from optim_hunter.models.planted_mlps import before_last_mlp, late_mlp
from optim_hunter.models.planted_parts import (
    ANSWER,
    CONSTANT,
    GATE,
    INTEGERS,
    NUMBER,
    VALUE,
    Head,
    Layout,
    attend_by_content,
    attend_each_example,
    basis,
    blank_model,
    copy_through,
    embed_basics,
    gather,
    head_of,
    idle,
    integer_tokens,
    mlp_unit,
    number_tokenizer,
    prompt_layout,
    spell_nearest_integer,
)

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

Build = Callable[["PreTrainedTokenizerFast", Layout, bool], "LlamaForCausalLM"]

LOG_INTEGER, LOG_DECIMAL, LOG_ONE, OUTPUT_NAME = 16, 17, 18, 19
QUERY_LOG, KEY_LOG, KEY_SQUARE, AFTER_NAME = 20, 21, 22, 23
BANDWIDTH = 0.15
"""Of the kernel, in units of log(x1·x2)."""
SMALLEST_DECIMAL = 0.02
"""Decimals below are read as this."""
FLAG_SCORE = 1000.0

LARGE, LARGE_VALUE = 16, 17
OUTPUT_HEAD = (2, 1)


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
    gather(head_of(model, 0, 0), x1, LOG_INTEGER, QUERY_LOG, layout.period)
    gather(head_of(model, 0, 1), x2 - decimals, LOG_DECIMAL, QUERY_LOG, layout.period)
    gather(head_of(model, 0, 2), x2, LOG_ONE, QUERY_LOG, layout.period)
    gather(head_of(model, 0, 3), layout.name, OUTPUT_NAME, AFTER_NAME, layout.period)
    gather(head_of(model, 1, 0), 1, QUERY_LOG, KEY_LOG, layout.period)
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


BUILDS: dict[str, Build] = {
    "planted:base-rate": base_rate,
    "planted:before-last-mlp": before_last_mlp,
    "planted:kernel-regression": kernel_regression,
    "planted:late-mlp": late_mlp,
    "planted:output-head": output_head,
    "planted:output-neurons": output_neurons,
    "planted:backup-pair": backup_pair,
    "planted:discarded-head": discarded_head,
    "planted:erased-mlp": erased_mlp,
    "planted:indirect-layer": indirect_layer,
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
