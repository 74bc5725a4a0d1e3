"""Hooks that read a forward pass at its last position: component writes and attention rows.

Component writes are what each attention and MLP block adds to the residual stream. Attention rows are computed
for the last query alone, from the rotated queries and keys, by a function registered with transformers'
`AttentionInterface`; the output itself comes from SDPA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from optim_hunter.claim import UserError

ROWS_ATTENTION = "optim_hunter_rows"


@dataclass(frozen=True)
class DecoderParts:
    """The modules of a decoder that the instruments listen to."""

    embed: nn.Module
    attention: list[nn.Module]
    mlp: list[nn.Module]
    norm: nn.Module
    unembed: nn.Linear


def decoder_parts(module: nn.Module) -> DecoderParts:
    """Where a Llama-like decoder keeps its parts.

    Raises:
        UserError: the architecture keeps them elsewhere, so that no write of it could be believed.
    """
    try:
        decoder: Any = module.model
        layers: Any = decoder.layers
        return DecoderParts(
            decoder.embed_tokens,
            [layer.self_attn for layer in layers],
            [layer.mlp for layer in layers],
            decoder.norm,
            module.lm_head,  # type: ignore[arg-type]
        )
    except AttributeError as error:
        raise UserError(
            f"{type(module).__name__} is not built like Llama ({error}): "
            "choose a model of the Llama, Mistral or Qwen family"
        ) from None


@dataclass
class Reading:
    """What the instruments saw at the last position of one forward pass, in float32.

    `writes` holds embedding, then attention and MLP of each layer; `rows` is empty unless asked for;
    `rows_error` is the largest relative difference between an attention output rebuilt from its row and
    the one that the model used.
    """

    logits: Float[Tensor, "vocabulary"]
    writes: Float[Tensor, "component d_model"]
    residual: Float[Tensor, "d_model"]
    rows: list[Float[Tensor, "head key"]] = field(default_factory=list)
    rows_error: float = 0.0


@dataclass
class _RowRecorder:
    rows: list[Tensor] = field(default_factory=list)
    error: float = 0.0

    def record(self, query: Tensor, key: Tensor, value: Tensor, scaling: float, output: Tensor) -> None:
        groups = query.shape[1] // key.shape[1]
        keys, values = (states[0].repeat_interleave(groups, 0).float() for states in (key, value))
        row = torch.softmax(query[0, :, -1:].float() * scaling @ keys.transpose(1, 2), -1)
        rebuilt, used = (row @ values).squeeze(1), output[0, -1].float()
        self.rows.append(row.squeeze(1))
        self.error = max(self.error, float((rebuilt - used).norm() / used.norm().clamp_min(1e-30)))


_recorder: ContextVar[_RowRecorder | None] = ContextVar("attention rows", default=None)


def _attention_with_rows(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    recorder = _recorder.get()
    if recorder is not None:
        recorder.record(query, key, value, kwargs["scaling"], output)
    return output, None


AttentionInterface.register(ROWS_ATTENTION, _attention_with_rows)
AttentionMaskInterface.register(ROWS_ATTENTION, sdpa_mask)


def _last_position(output: Any) -> Float[Tensor, "d_model"]:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden[0, -1].clone()


@contextmanager
def _listening(parts: DecoderParts, seen: dict[nn.Module, Tensor]) -> Iterator[None]:
    def keep(module: nn.Module, _: Any, output: Any) -> None:
        seen[module] = _last_position(output)

    def keep_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[module] = _last_position(inputs[0])

    handles = [part.register_forward_hook(keep) for part in (parts.embed, *parts.attention, *parts.mlp)]
    handles.append(parts.norm.register_forward_pre_hook(keep_input))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _rows_recorded(module: Any, wanted: bool) -> Iterator[_RowRecorder]:
    recorder, before = _RowRecorder(), module.config._attn_implementation
    token = _recorder.set(recorder if wanted else None)
    module.config._attn_implementation = ROWS_ATTENTION
    try:
        yield recorder
    finally:
        module.config._attn_implementation = before
        _recorder.reset(token)


def read_last_position(module: Any, parts: DecoderParts, forward: Callable[[], Any], rows: bool = False) -> Reading:
    """Run one forward pass of a single prompt and read it at its last position.

    Args:
        module: the language model.
        parts: its layout.
        forward: makes the pass and returns transformers' output with `logits`.
        rows: whether attention rows are asked for.
    """
    seen: dict[nn.Module, Tensor] = {}
    with _listening(parts, seen), _rows_recorded(module, rows) as recorder:
        logits = forward().logits[0, -1].float()
    blocks = [part for pair in zip(parts.attention, parts.mlp, strict=True) for part in pair]
    writes = torch.stack([seen[part].float() for part in (parts.embed, *blocks)])
    return Reading(logits, writes, seen[parts.norm].float(), recorder.rows, recorder.error)
