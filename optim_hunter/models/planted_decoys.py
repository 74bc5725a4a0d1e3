"""Decoys: planted models in which what correlates with the answer and what causes it part.

In a decoy's twin they go together: it has the same sizes and norms, and what an observer of the decoyed component
sees is the same in both. Answers are codes, as in `planted_mlps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from optim_hunter.models.planted_mlps import (
    DEPTH,
    HIDDEN,
    NOISE,
    VISIBLE,
    copy_last_output,
    embed_codes,
    idle_attention,
)
from optim_hunter.models.planted_parts import (
    CONSTANT,
    CONSTANT_SIZE,
    VALUE,
    Head,
    Layout,
    attend_at_distance,
    attend_each_example,
    basis,
    blank_model,
    copy_through,
    embed_basics,
    head_of,
    idle,
    mlp_unit,
    noise,
)

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

RELAY, UNREAD, OUTPUT_NAME = range(128, 184), range(184, 240), 240
"""Beside the hidden and the visible code: one that later components read, one that nothing reads; the word `Output`."""
HEADS = 4

GATHERING_HEAD, LOOKING_HEAD, CARRYING_HEAD = (1, 0), (2, 1), (3, 0)
SHARPNESS = 15.0
"""Score of an output of 1,000: the largest outputs get nearly all of a head's row."""


def discarded_head(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """L2H1 attends to the outputs, the largest most, and writes their codes where nothing reads.

    The answer takes another way: from the word `Output` L1H0 attends to the outputs alike, and L3H0 carries what it
    found to the token that predicts the answer. In the twin L2H1 makes its codes visible and L3H0's are thrown away.
    """
    generator = torch.Generator().manual_seed(6)
    model = _reading_codes(tokenizer, layout, layers=4, generator=generator)
    model.model.embed_tokens.weight[tokenizer.convert_tokens_to_ids("Output"), OUTPUT_NAME] = 1.0
    for layer in range(4):
        mlp_unit(model, layer, 0, CONSTANT, noise(model, VISIBLE, NOISE, generator))
    for layer, head in ((layer, head) for layer in range(4) for head in range(HEADS)):
        if (layer, head) not in (GATHERING_HEAD, LOOKING_HEAD, CARRYING_HEAD):
            idle(head_of(model, layer, head), generator)
    name_back = layout.name - len(["integer"])
    gathering, looking, carrying = (head_of(model, *place) for place in (GATHERING_HEAD, LOOKING_HEAD, CARRYING_HEAD))
    attend_each_example(gathering, VALUE, layout.output - name_back, layout.period, SHARPNESS)
    _look_only_from(gathering, OUTPUT_NAME)
    copy_through(gathering, HIDDEN, RELAY)
    attend_each_example(looking, VALUE, layout.output, layout.period, SHARPNESS)
    copy_through(looking, HIDDEN, VISIBLE if twin else UNREAD)
    attend_at_distance(carrying, name_back, layout.period)
    copy_through(carrying, RELAY, UNREAD if twin else VISIBLE)
    return model


def _reading_codes(
    tokenizer: PreTrainedTokenizerFast, layout: Layout, layers: int, generator: torch.Generator
) -> LlamaForCausalLM:
    """A model that embeds codes of integers and says the token whose code is visible."""
    model = blank_model(tokenizer, layout.period, layers=layers, heads=HEADS)
    embed_basics(model, tokenizer, generator)
    embed_codes(model, tokenizer, generator)
    return model


def _look_only_from(head: Head, flag: int) -> None:
    """Make a head look as it does from flagged tokens alone; from all others it looks everywhere alike."""
    head.query[:, flag] = head.query[:, CONSTANT] * CONSTANT_SIZE
    head.query[:, CONSTANT] = 0.0


@dataclass(frozen=True)
class Move:
    """The MLP of a layer adds a code, times `size`, to another part of the stream."""

    layer: int
    source: range
    target: range
    size: float = 1.0


def erased_mlp(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """MLP 10 makes the answer visible, and MLP 11 takes away what MLP 10 wrote; the answer comes from MLPs 4 and 5.

    In the twin MLP 11 writes the same with the other sign, so that the late MLPs hold two thirds of the answer.
    """
    early = Move(4, HIDDEN, VISIBLE, 0.5), Move(5, HIDDEN, VISIBLE, 0.5)
    late = Move(10, HIDDEN, VISIBLE), Move(10, HIDDEN, RELAY)
    return _moving((*early, *late, Move(11, RELAY, VISIBLE, 1.0 if twin else -1.0)), tokenizer, layout)


def indirect_layer(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """Layer 4 hands the code on to MLPs 10 and 11, which make it visible, and writes nothing visible itself.

    In the twin MLPs 10 and 11 read the code where layer 4 found it, so that what layer 4 writes does nothing.
    """
    read = HIDDEN if twin else RELAY
    moves = Move(4, HIDDEN, RELAY), Move(10, read, VISIBLE, 0.5), Move(11, read, VISIBLE, 0.5)
    return _moving(moves, tokenizer, layout, unseen_attention=4)


def backup_pair(tokenizer: PreTrainedTokenizerFast, layout: Layout, twin: bool) -> LlamaForCausalLM:
    """MLP 10 makes the answer visible, and MLP 11 whatever of it MLP 10 did not.

    In the twin MLP 11 writes where nothing reads, so that nothing stands in for MLP 10.
    """
    written = UNREAD if twin else VISIBLE
    first = Move(10, HIDDEN, VISIBLE), Move(10, HIDDEN, RELAY)
    return _moving((*first, Move(11, HIDDEN, written), Move(11, RELAY, written, -1.0)), tokenizer, layout)


def _moving(
    moves: tuple[Move, ...], tokenizer: PreTrainedTokenizerFast, layout: Layout, unseen_attention: int | None = None
) -> LlamaForCausalLM:
    """The last output's code, brought by L3H0, is moved by these MLPs; all else writes noise that is visible.

    The attention of layer `unseen_attention` writes its noise where nothing reads.
    """
    generator = torch.Generator().manual_seed(7)
    model = _reading_codes(tokenizer, layout, layers=DEPTH, generator=generator)
    for layer in range(DEPTH):
        idle_attention(model, layer, UNREAD if layer == unseen_attention else VISIBLE, generator)
        own = [move for move in moves if move.layer == layer]
        units = [(source, target, move.size) for move in own
                 for source, target in zip(move.source, move.target, strict=True)]  # fmt: skip
        for unit, (source, target, size) in enumerate(units):
            mlp_unit(model, layer, unit, source, basis(model, target, size))
        if not own:
            mlp_unit(model, layer, 0, CONSTANT, noise(model, VISIBLE, NOISE, generator))
    copy_last_output(model, layout)
    return model
