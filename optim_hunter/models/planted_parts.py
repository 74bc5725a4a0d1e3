"""Parts from which planted models are built: tokenizer, prompt layout, and weights with a known effect.

A residual stream has one coordinate, `CONSTANT`, that is so large that the RMS norm is nearly the same
everywhere; the norm's weight undoes the division, so that every component reads the stream itself.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import transformers  # its models are imported when they are first named, which takes seconds
from jaxtyping import Float, Int
from torch import Tensor

from optim_hunter.tasks.prompts import INSTRUCTION, regression_prompt, tokens_of
from optim_hunter.tasks.regression import Episode

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

INTEGERS = 2000
"""0 … 1999 are one token each; friedman_2 reaches about 1,762."""
SPECIAL = ("[UNK]", "[BOS]", "[EOS]")
CONTEXT = 8192
"""Tokens that a planted model reads."""
HEAD_SIZE = 64
PAIRS = HEAD_SIZE // 2
MLP_SIZE = 128

CONSTANT = 0
CONSTANT_SIZE = 1000.0
NUMBER, BREAK, VALUE, ANSWER = 1, 2, 3, 4
"""Coordinates: token of digits, line break, integer / 1000, the number that the unembedding spells out."""
JITTER = slice(8, 16)
"""Pseudo-random coordinates of each token, which idle heads look at a little."""

OFFSET_PAIRS = 12
OFFSET_STRENGTH = 24.0
"""Score per pair: the neighbours of the wanted token get e^-18 of its weight."""
PERIOD_PAIR = 4
"""RoPE pair that turns once an example; the pairs before it are faster, the last few hardly turn at all."""
STILL_PAIRS = range(27, PAIRS)
"""Pairs that turn by less than 0.01 rad over the longest prompt: for scores that depend on content alone."""
GATE = 20.0
"""Gates rest here, where silu is the identity to 1e-7, so that an MLP is linear (or a product) in its inputs."""


def number_tokenizer() -> PreTrainedTokenizerFast:
    """Tokenizer in which a number such as `487.12` is always three tokens: integer, point, decimals.

    Printable ASCII and line breaks survive encoding and decoding unchanged; anything else is `[UNK]`.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    found = {*re.findall("[A-Za-z]{2,}", INSTRUCTION), "Feature", "Output"}
    words = sorted(found, key=lambda word: (-len(word), word))  # in one order whatever the process
    numbers = [*map(str, range(INTEGERS)), *(f"0{digit}" for digit in range(10))]
    entries = dict.fromkeys([*SPECIAL, *numbers, *words, *string.printable])
    tokenizer = Tokenizer(models.WordLevel({entry: index for index, entry in enumerate(entries)}, SPECIAL[0]))
    pattern = "|".join([r"1\d{3}|[1-9]\d{0,2}|0\d?", *words, r"[\s\S]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    unknown, start, end = SPECIAL
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, unk_token=unknown, bos_token=start, eos_token=end, pad_token=end
    )


@dataclass(frozen=True)
class Layout:
    """Distances in tokens back from the token that predicts the answer, the same in every prompt.

    Attributes:
        period: from one example to the next.
        features: to the integer part of each feature of the same case.
        labels: to the digit in the name of each feature of the same case.
        output: to the integer part of the last example's output.
        name: from the integer part of an output to the word "Output" before it.
    """

    period: int
    features: tuple[int, ...]
    labels: tuple[int, ...]
    output: int
    name: int


def prompt_layout(tokenizer: PreTrainedTokenizerFast) -> Layout:
    """The distances in a prompt of four features, measured on one of two examples."""
    prompt = regression_prompt(Episode(0, np.full((2, 4), 1.25), np.full(2, 1.25), np.full(4, 1.25), 1.25))
    encoded = tokenizer(prompt.text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    last = len(offsets) - 1
    back = [(value, last - tokens_of(value, offsets)[0]) for value in prompt.values]
    outputs = [distance for value, distance in back if value.kind == "output"]
    features = tuple(distance for value, distance in back if value.kind == "feature" and value.example == 2)
    name = last - encoded["input_ids"][::-1].index(tokenizer.convert_tokens_to_ids("Output"))
    return Layout(
        period=outputs[0] - outputs[1],
        features=features,
        labels=tuple(distance + len([":", " ", "integer"]) for distance in features),
        output=outputs[1],
        name=last + 1 - name,
    )


def frequencies(period: int) -> Float[Tensor, " pair"]:
    """RoPE frequencies (rad per token) from 1 downwards, of which `PERIOD_PAIR` turns once in `period` tokens."""
    return rope_base(period) ** (-torch.arange(PAIRS) / PAIRS)


def rope_base(period: int) -> float:
    """The RoPE base (theta) that gives these frequencies."""
    return float((period / (2 * np.pi)) ** (PAIRS / PERIOD_PAIR))


def blank_model(tokenizer: PreTrainedTokenizerFast, period: int, layers: int, heads: int) -> LlamaForCausalLM:
    """A Llama model with all weights zero but the constant coordinate and the norms that undo themselves."""
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=heads * HEAD_SIZE,
        intermediate_size=MLP_SIZE,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": rope_base(period)},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        model: LlamaForCausalLM = transformers.LlamaForCausalLM(config).train(mode=False).requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.fill_(CONSTANT_SIZE / config.hidden_size**0.5 if "norm" in name else 0.0)
    model.model.embed_tokens.weight[:, CONSTANT] = CONSTANT_SIZE
    return model


def integer_tokens(tokenizer: PreTrainedTokenizerFast) -> Int[Tensor, " integer"]:
    """Token of each integer 0 … 1999, in this order."""
    return torch.tensor(tokenizer.convert_tokens_to_ids([str(number) for number in range(INTEGERS)]))


def embed_basics(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> None:
    """Give tokens their flags, integers their value, and every token its jitter."""
    embedding = model.model.embed_tokens.weight
    digits = [index for token, index in tokenizer.get_vocab().items() if token.isdecimal()]
    embedding[digits, NUMBER] = 1.0
    embedding[tokenizer.convert_tokens_to_ids("\n"), BREAK] = 1.0
    embedding[integer_tokens(tokenizer), VALUE] = torch.arange(INTEGERS) / 1000
    size = JITTER.stop - JITTER.start
    embedding[:, JITTER] = torch.randn(len(tokenizer), size, generator=generator) / size**0.5


@dataclass(frozen=True)
class Head:
    """Views of one head's weights: what is written here is written into the model."""

    query: Float[Tensor, "head model"]
    key: Float[Tensor, "head model"]
    value: Float[Tensor, "head model"]
    output: Float[Tensor, "model head"]


def head_of(model: LlamaForCausalLM, layer: int, head: int) -> Head:
    """The weights of one head."""
    attention = model.model.layers[layer].self_attn
    rows = slice(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)
    return Head(
        attention.q_proj.weight[rows],
        attention.k_proj.weight[rows],
        attention.v_proj.weight[rows],
        attention.o_proj.weight[:, rows],
    )


def attend_at_distance(head: Head, distance: int, period: int) -> None:
    """Make a head look at the one token that stands `distance` tokens back."""
    angles = -distance * frequencies(period)[:OFFSET_PAIRS]
    _turn_query(head, slice(OFFSET_PAIRS), angles, OFFSET_STRENGTH)
    head.key[:OFFSET_PAIRS, CONSTANT] = 1 / CONSTANT_SIZE


def attend_each_example(head: Head, flag: int, distance: int, period: int, strength: float) -> None:
    """Make a head look at flagged tokens `distance` back and in the same place of every example.

    The score is strength · flag · cos(2π · (distance to the token − `distance`) / period).
    """
    angle = -distance * frequencies(period)[PERIOD_PAIR : PERIOD_PAIR + 1]
    _turn_query(head, slice(PERIOD_PAIR, PERIOD_PAIR + 1), angle, strength)
    head.key[PERIOD_PAIR, flag] = 1.0


def _turn_query(head: Head, pairs: slice, angles: Float[Tensor, " pair"], strength: float) -> None:
    """A query, the same at all tokens, that meets unturned keys with strength · cos(turn + angle) in each pair."""
    scale = strength * HEAD_SIZE**0.5 / CONSTANT_SIZE
    head.query[:PAIRS][pairs, CONSTANT] = scale * angles.cos()
    head.query[PAIRS:][pairs, CONSTANT] = scale * angles.sin()


def attend_by_content(head: Head, terms: list[tuple[int, int, float]]) -> None:
    """Make a head's score the sum of weight · query coordinate · key coordinate over (query, key, weight)."""
    for row, (query, key, weight) in zip(STILL_PAIRS, terms, strict=False):
        head.query[row, query] = weight * HEAD_SIZE**0.5 / (CONSTANT_SIZE if query == CONSTANT else 1.0)
        head.key[row, key] = 1.0


def copy_through(head: Head, sources: range, targets: range, factor: float = 1.0) -> None:
    """Make a head write the attended tokens' source coordinates into the target coordinates."""
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        head.value[row, source] = 1.0
        head.output[target, row] = factor


def gather(head: Head, distance: int, source: int, target: int, period: int) -> None:
    """Make a head bring one coordinate from `distance` tokens back."""
    attend_at_distance(head, distance, period)
    copy_through(head, range(source, source + 1), range(target, target + 1))


def idle(head: Head, generator: torch.Generator, strength: float = 0.3) -> None:
    """Make a head attend diffusely: nearly alike to all tokens, a little by their jitter."""
    row = PAIRS - 1
    head.query[row, CONSTANT] = strength * HEAD_SIZE**0.5 / CONSTANT_SIZE
    head.key[row, JITTER] = torch.randn(JITTER.stop - JITTER.start, generator=generator)


def noise(model: LlamaForCausalLM, targets: range, size: float, generator: torch.Generator) -> Float[Tensor, " model"]:
    """A pseudo-random vector of norm `size` in the target coordinates."""
    vector = torch.zeros(model.config.hidden_size)
    drawn = torch.randn(len(targets), generator=generator)
    vector[targets.start : targets.stop] = size * drawn / drawn.norm()
    return vector


def write_always(head: Head, vector: Float[Tensor, " model"]) -> None:
    """Make a head write this vector, whatever it attends to (its last value dimension serves for it)."""
    head.value[-1, CONSTANT] = 1 / CONSTANT_SIZE
    head.output[:, -1] = vector


def mlp_unit(
    model: LlamaForCausalLM, layer: int, unit: int, source: int, write: Float[Tensor, " model"], gate: int | None = None
) -> None:
    """Make an MLP unit write source · `write`, or gate · source · `write` + GATE · source · `write` with a gate.

    The constant coordinate counts as 1 when it is the source. A gate must stay above about 12 - GATE.
    """
    mlp = model.model.layers[layer].mlp
    mlp.gate_proj.weight[unit, CONSTANT] = GATE / CONSTANT_SIZE
    mlp.up_proj.weight[unit, source] = 1 / CONSTANT_SIZE if source == CONSTANT else 1.0
    mlp.down_proj.weight[:, unit] = write if gate is not None else write / GATE
    if gate is not None:
        mlp.gate_proj.weight[unit, gate] = 1.0


def basis(model: LlamaForCausalLM, coordinate: int, size: float = 1.0) -> Float[Tensor, " model"]:
    """The vector with `size` in one coordinate."""
    vector = torch.zeros(model.config.hidden_size)
    vector[coordinate] = size
    return vector


def spell_nearest_integer(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, sharpness: float = 100) -> None:
    """Unembed the `ANSWER` coordinate m (thousands) as its nearest integer: logit ∝ 2·v·m − v² with v of the token.

    After a number a line break follows, after a line break the end.
    """
    unembedding, integers = model.lm_head.weight, integer_tokens(tokenizer)
    values = torch.arange(INTEGERS) / 1000
    unembedding[:, CONSTANT] = -10 * sharpness / CONSTANT_SIZE
    unembedding[integers, ANSWER] = 2 * sharpness * values
    unembedding[integers, CONSTANT] = -sharpness * values**2 / CONSTANT_SIZE
    unembedding[tokenizer.convert_tokens_to_ids("\n"), NUMBER] = 20 * sharpness
    unembedding[tokenizer.eos_token_id, BREAK] = 20 * sharpness
