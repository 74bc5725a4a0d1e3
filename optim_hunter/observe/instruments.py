"""One forward pass, read at the asked positions: component writes, attention rows, head outputs, logits.

Component writes are what each attention and MLP block adds to the residual stream, taken by forward hooks and
cloned, so that nothing else of the pass is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from optim_hunter.claim import UserError
from optim_hunter.observe.attend import AttentionPass, attending
from optim_hunter.observe.last_layer import narrow_last_mlp
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.streams import Stream
from optim_hunter.observe.sums import GroupSums, stacked, summing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Places = Sequence[Sequence[int]]
"""Places in each row's segment, as Python counts (−1 is its last token), the same number for each row."""


@dataclass(frozen=True)
class Capture:
    """What is captured of a pass beside component writes and logits.

    Writes and heads are read at `positions`, by default the last token alone; attention rows at `row_positions`, by
    default the same. `first_layer` is the first whose writes are read. Without `logits` the unembedding is not run.
    """

    rows: bool = False
    heads: bool = False
    positions: Places | None = None
    row_positions: Places | None = None
    first_layer: int = 0
    sums: GroupSums | None = None
    logits: bool = True


@dataclass(frozen=True)
class TokenReading:
    """What the instruments saw at one token of one prompt, in float32; see `Reading`."""

    logits: Float[Tensor, "vocabulary"]
    writes: Float[Tensor, "component d_model"]
    residual: Float[Tensor, "d_model"]

    def copied(self) -> TokenReading:
        """The same, without keeping the whole batch's reading alive."""
        return TokenReading(self.logits.clone(), self.writes.clone(), self.residual.clone())


@dataclass
class Reading:
    """What the instruments saw of one pass, in float32.

    Attributes:
        logits: the unembedding's output at the last token, before any soft cap; empty where they were not asked for.
        writes: embedding, then attention and MLP of each layer.
        residual: the input of the final norm.
        rows: one tensor for each prompt, over its tokens (padding left out); empty unless asked for.
        rows_error: largest relative difference between an attention output rebuilt from its rows and the one that
            the model used.
        heads_input: concatenated heads before W_O; None unless asked for.
        first_layer: the layer of the first write after the embedding's.
        sums: what was asked of `GroupSums`, over the segment; None unless asked for.
    """

    logits: Float[Tensor, "row vocabulary"]
    writes: Float[Tensor, "row position component d_model"]
    residual: Float[Tensor, "row position d_model"]
    rows: list[Float[Tensor, "layer head position key"]] = field(default_factory=list)
    rows_error: Float[Tensor, "row"] | None = None
    heads_input: Float[Tensor, "row position layer heads_d_head"] | None = None
    first_layer: int = 0
    sums: Float[Tensor, "row module group neuron"] | None = None

    def last_token(self, row: int) -> TokenReading:
        """What was seen at the last token of a row."""
        return TokenReading(self.logits[row], self.writes[row, -1], self.residual[row, -1])


@dataclass
class _Taps:
    """Forward hooks of one pass, and what they kept."""

    columns: Int[Tensor, "row position"]
    kept: dict[tuple[str, nn.Module], Tensor] = field(default_factory=dict)

    def take(self, name: str, module: nn.Module, value: Any) -> None:
        hidden: Tensor = value[0] if isinstance(value, tuple) else value
        row = torch.arange(len(hidden), device=hidden.device)[:, None]
        self.kept[name, module] = hidden[row, self.columns].float()

    def outputs(self, name: str, modules: Sequence[nn.Module]) -> list[Any]:
        return [module.register_forward_hook(lambda one, _, out: self.take(name, one, out)) for module in modules]

    def inputs(self, name: str, modules: Sequence[nn.Module]) -> list[Any]:
        def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.take(name, module, args[0] if args else kwargs["hidden_states"])

        return [module.register_forward_pre_hook(keep, with_kwargs=True) for module in modules]


def _writing(parts: DecoderParts, capture: Capture) -> list[nn.Module]:
    """Attention and MLP of each layer that is read, in the order in which they write."""
    pairs = list(zip(parts.attention, parts.mlp, strict=True))[capture.first_layer :]
    return [part for pair in pairs for part in pair]


@contextmanager
def _listening(taps: _Taps, parts: DecoderParts, capture: Capture) -> Iterator[None]:
    handles = taps.outputs("write", _writing(parts, capture))
    handles += taps.inputs("stream", [parts.layers[0], parts.norm])
    handles += taps.inputs("heads", parts.head_output[capture.first_layer :] if capture.heads else [])
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def advance(
    module: PreTrainedModel, parts: DecoderParts, stream: Stream, segments: Sequence[Sequence[int]],
    asked: GroupSums | None = None,
) -> Float[Tensor, "row module group neuron"] | None:  # fmt: skip
    """Run the next segment of every row, and read nothing but sums; None where none are asked or no token is run."""
    if not any(segments):
        return None
    tokens = stream.extend(segments)
    width = tokens.shape[1]
    with (
        attending(module, AttentionPass(stream, width, None)),
        narrow_last_mlp(parts, tokens[:, :0], width, asked),
        summing(asked, width, tokens.device) as sums,
    ):
        _forward(module.base_model, tokens, stream)
    return stacked(asked, sums)


@torch.inference_mode()
def read(
    module: PreTrainedModel, parts: DecoderParts, stream: Stream, segments: Sequence[Sequence[int]], capture: Capture
) -> Reading:
    """Run the next segment of every row and read it."""
    tokens = stream.extend(segments)
    rows_at = capture.positions if capture.row_positions is None else capture.row_positions
    under_way = AttentionPass(stream, tokens.shape[1], _columns(segments, tokens, rows_at) if capture.rows else None)
    taps = _Taps(_columns(segments, tokens, capture.positions))
    logits: list[Tensor] = []
    unembedding = parts.unembed.register_forward_hook(lambda _, __, output: logits.append(output[:, -1].float()))
    try:
        with (
            _listening(taps, parts, capture),
            attending(module, under_way),
            narrow_last_mlp(parts, taps.columns, tokens.shape[1], capture.sums),
            summing(capture.sums, tokens.shape[1], tokens.device) as sums,
        ):
            if capture.logits:
                _forward(module, tokens, stream, logits_to_keep=1)
            else:
                _forward(module.base_model, tokens, stream)
                logits.append(torch.empty(len(tokens), 0, device=tokens.device))
    finally:
        unembedding.remove()
    seen = _reading(parts, stream, taps, logits[-1], under_way, capture)
    seen.sums = stacked(capture.sums, sums)
    return seen


def read_batch(
    module: PreTrainedModel, parts: DecoderParts, prompts: Sequence[Sequence[int]], rows: bool = False,
    heads: bool = False,
) -> Reading:  # fmt: skip
    """Run prompts as one batch, padded on the left, and read each at its last token.

    Args:
        module: the language model.
        parts: its layout (`decoder_parts`).
        prompts: token ids.
        rows: whether attention rows are asked for.
        heads: whether the input of W_O is.
    """
    stream = Stream.start(len(prompts), module.device, keep=False)
    return read(module, parts, stream, prompts, Capture(rows, heads))


def _forward(module: Any, tokens: Tensor, stream: Stream, **options: Any) -> None:
    positions = stream.positions[:, -tokens.shape[1] :]
    cached = {"past_key_values": stream.cache, "use_cache": True} if stream.cache is not None else {"use_cache": False}
    module(tokens, position_ids=positions, **cached, **options)


def _columns(
    segments: Sequence[Sequence[int]], tokens: Int[Tensor, "row column"], asked: Places | None
) -> Int[Tensor, "row position"]:
    """The asked positions as columns; padding stands before a segment. A row without tokens shows what is padding."""
    if asked is None:
        return torch.full((len(tokens), 1), tokens.shape[1] - 1, device=tokens.device)
    for segment, positions in zip(segments, asked, strict=True):
        if wrong := [place for place in positions if not -len(segment) <= place < len(segment)]:
            raise UserError(f"no position {wrong[0]}: the segment has {len(segment)} tokens")
    lengths = torch.tensor([[len(segment)] for segment in segments], device=tokens.device)
    places = torch.tensor(asked, device=tokens.device)
    return tokens.shape[1] - lengths + places % lengths


def _reading(
    parts: DecoderParts, stream: Stream, taps: _Taps, logits: Tensor, under_way: AttentionPass, capture: Capture
) -> Reading:
    kept = taps.kept
    writes = [kept["stream", parts.layers[0]], *(kept["write", part] for part in _writing(parts, capture))]
    seen = Reading(logits, torch.stack(writes, 2), kept["stream", parts.norm], first_layer=capture.first_layer)
    if capture.rows:
        seen.rows, seen.rows_error = _without_padding(stream, under_way.rows), under_way.error
    if capture.heads:
        seen.heads_input = torch.stack([kept["heads", part] for part in parts.head_output[capture.first_layer :]], 2)
    return seen


def _without_padding(stream: Stream, rows: list[Tensor]) -> list[Float[Tensor, "layer head position key"]]:
    """Attention rows of each prompt over its own tokens, those of its stems first."""
    shared = [one.present.repeat_interleave(len(stream.present) // len(one.present), 0) for one in stream.stems]
    present = torch.cat([*shared, stream.present], 1)
    return [torch.stack([layer[row][..., tokens] for layer in rows]) for row, tokens in enumerate(present)]
