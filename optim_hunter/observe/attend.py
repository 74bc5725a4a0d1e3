"""The attention function of the pass, registered with transformers' `AttentionInterface`.

SDPA does the work. Two cases it does not know are computed here: rows that continue a stem which several of them
share (the stem's part of attention and each row's own are merged by log-sum-exp, so that no row copies the stem's
keys and values), and soft-capped scores (Gemma 2). Attention rows are computed for the asked queries alone, from
the rotated queries and keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from optim_hunter.observe.streams import Stream

NAME = "optim_hunter"


@dataclass(frozen=True)
class Scoring:
    """How a layer scores keys: factor, soft cap, and how many tokens back it looks (None: all)."""

    scale: float
    softcap: float | None
    window: int | None


@dataclass
class AttentionPass:
    """The pass under way: where its tokens lie, and the attention rows asked of it.

    `columns` are the asked queries of each row, counted in the new columns; None asks for no rows. `rows` gets one
    tensor a layer, over the columns of the stems and then of the stream; `error` the worst relative difference, by
    row, between an attention output rebuilt from its rows and the one that the model used.
    """

    stream: Stream
    new_columns: int
    columns: Int[Tensor, "row position"] | None
    rows: list[Float[Tensor, "row head position key"]] = field(default_factory=list)
    error: Float[Tensor, "row"] | None = None
    _masks: dict[tuple[int | None, int | None], Tensor | None] = field(default_factory=dict)

    def mask(self, stem: int | None, window: int | None) -> Bool[Tensor, "row query key"] | None:
        """Which keys of a stem, or (None) of the stream's own, a new query sees; made once for all layers alike."""
        if (stem, window) not in self._masks:
            made = self._own_mask(window) if stem is None else self._stem_mask(self.stream.stems[stem], window)
            self._masks[stem, window] = made
        return self._masks[stem, window]

    def _own_mask(self, window: int | None) -> Bool[Tensor, "row query key"] | None:
        """None where a causal kernel needs no mask."""
        stream, new = self.stream, self.new_columns
        plain = new in (1, stream.columns) and not self._binds(window) and bool(stream.present.all())
        if plain:
            return None
        queries = stream.positions[:, -new:]
        seen = _sees(queries, stream.positions, window) & stream.present[:, None]
        itself = torch.ones(new, stream.columns, dtype=torch.bool, device=seen.device)
        itself = itself.tril(stream.columns - new).triu(stream.columns - new)
        return seen | itself  # padding sees itself: a query without any key gives NaN

    def _stem_mask(self, stem: Stream, window: int | None) -> Bool[Tensor, "row query key"] | None:
        """None where every query sees the whole stem; one line for each row of the stem where padding alone hides."""
        if not self._binds(window):
            return None if bool(stem.present.all()) else stem.present[:, None]
        each = len(self.stream.present) // len(stem.present)
        positions, present = (part.repeat_interleave(each, 0) for part in (stem.positions, stem.present))
        return _sees(self.stream.positions[:, -self.new_columns :], positions, window) & present[:, None]

    def _binds(self, window: int | None) -> bool:
        return window is not None and int(self.stream.positions.max()) >= window


def _sees(
    queries: Int[Tensor, "row query"], keys: Int[Tensor, "row key"], window: int | None
) -> Bool[Tensor, "row query key"]:
    back = queries[:, :, None] - keys[:, None, :]
    return back >= 0 if window is None else (back >= 0) & (back < window)


_pass: ContextVar[AttentionPass] = ContextVar("the pass under way")


@contextmanager
def attending(module: Any, under_way: AttentionPass) -> Iterator[None]:
    """Let a model's attention run here for the length of one pass."""
    _register()
    before, token = module.config._attn_implementation, _pass.set(under_way)
    module.config._attn_implementation = NAME
    try:
        yield
    finally:
        module.config._attn_implementation = before
        _pass.reset(token)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, _no_mask: None, scaling: float | None = None,
    softcap: float | None = None, sliding_window: int | None = None, **_: Any,
) -> tuple[Float[Tensor, "row query head size"], None]:  # fmt: skip
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    under_way = _pass.get()
    scoring = Scoring(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, sliding_window)
    parts = _parts_of(under_way, module, key, value, scoring)
    if len(parts) == 1 and softcap is None:
        mask = parts[0][2]
        mask = mask[:, None] if mask is not None else None
        causal = mask is None and query.shape[2] > 1
        output, _nothing = sdpa_attention_forward(
            module, query, key, value, mask, scaling=scoring.scale, is_causal=causal
        )
    else:
        output = _merged(query, parts, scoring).to(query.dtype)
    if under_way.columns is not None:
        _record(under_way, under_way.columns, query, parts, scoring, output)
    return output, None


@cache
def _register() -> None:
    """Make this attention known to transformers, before the first pass.

    Imported here since it takes seconds, and a run from the store makes no pass.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, _attention)
    # Masks are made here, from positions: transformers' own do not know of stems and of padding between segments.
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)


Part = tuple[Tensor, Tensor, Bool[Tensor, "row query key"] | None]
"""Keys, values, and which of them each query sees; a mask of fewer rows or of one query holds for all that share it."""


def _parts_of(under_way: AttentionPass, module: Any, key: Tensor, value: Tensor, scoring: Scoring) -> list[Part]:
    """The keys and values of each stem, then the stream's own."""
    parts = []
    for place, stem in enumerate(under_way.stream.stems):
        assert stem.cache is not None
        layer: Any = stem.cache.layers[module.layer_idx]
        parts.append((layer.keys, layer.values, under_way.mask(place, scoring.window)))
    return [*parts, (key, value, under_way.mask(None, scoring.window))]


def _scores(query: Tensor, part: Part, scoring: Scoring, causal: bool) -> Float[Tensor, "row head query key"]:
    """Scores of queries against keys that several rows and heads may share, in float32."""
    key, _, mask = part
    scores = (_by_key(query, key).float() * scoring.scale) @ key.float().transpose(-1, -2)
    scores = _by_row(scores, query.shape, key.shape)
    if scoring.softcap is not None:
        scores = scoring.softcap * torch.tanh(scores / scoring.softcap)
    if mask is None and causal:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=key.device).tril()[None]
    if mask is None:
        return scores
    return scores.masked_fill(~mask.repeat_interleave(len(scores) // len(mask), 0)[:, None], -torch.inf)


def _by_key(rows: Tensor, key: Tensor) -> Tensor:
    """[row head query x] → [key row, key head, everything that shares it, x]."""
    head_groups, heads = rows.shape[1] // key.shape[1], key.shape[1]
    split = rows.view(len(key), len(rows) // len(key), heads, head_groups, *rows.shape[2:])
    return split.transpose(1, 2).reshape(len(key), heads, -1, rows.shape[-1])


def _by_row(shared: Tensor, query_shape: torch.Size, key_shape: torch.Size) -> Tensor:
    """The way back."""
    rows, heads, queries, _ = query_shape
    split = shared.view(key_shape[0], key_shape[1], rows // key_shape[0], heads // key_shape[1], queries, -1)
    return split.transpose(1, 2).reshape(rows, heads, queries, -1)


def _merged(query: Tensor, parts: list[Part], scoring: Scoring) -> Float[Tensor, "row query head size"]:
    """Attention over several parts: each part's own softmax, merged by the log-sum-exp of its scores."""
    outputs, sums = zip(*(_attend(query, part, scoring, part is parts[-1]) for part in parts), strict=True)
    shares = torch.softmax(torch.stack(sums), 0)
    return (torch.stack(outputs) * shares[..., None]).sum(0).transpose(1, 2).contiguous()


def _attend(
    query: Tensor, part: Part, scoring: Scoring, own: bool
) -> tuple[Float[Tensor, "row head query size"], Float[Tensor, "row head query"]]:
    if not own and _has_kernel(query, part, scoring):
        return _attend_by_kernel(query, part, scoring)
    scores = _scores(query, part, scoring, causal=own and query.shape[2] > 1)
    # A query that sees no key of this part must get a tiny share of it, not NaN.
    largest = scores.amax(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min / 2)
    weights = scores.sub_(largest).exp_()
    total = weights.sum(-1).clamp_min(torch.finfo(scores.dtype).tiny)
    value = part[1]
    summed = _by_row(_by_key(weights, value) @ value.float(), query.shape, value.shape)
    return summed / total[..., None], largest.squeeze(-1) + total.log()


def _has_kernel(query: Tensor, part: Part, scoring: Scoring) -> bool:
    key, _, mask = part
    alike = mask is None or mask.shape[:2] == (len(key), 1)
    return query.device.type == "cpu" and scoring.softcap is None and alike


def _attend_by_kernel(
    query: Tensor, part: Part, scoring: Scoring
) -> tuple[Float[Tensor, "row head query size"], Float[Tensor, "row head query"]]:
    """The kernel behind SDPA on a CPU, called directly because it also gives the log-sum-exp."""
    key, value, mask = part
    hidden = None
    if mask is not None:
        hidden = query.new_zeros(1).where(mask[:, None], -torch.inf)
    output, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        _by_key(query, key), key, value, attn_mask=hidden, scale=scoring.scale
    )
    summed, sums = _by_row(output, query.shape, value.shape), _by_row(log_sum[..., None], query.shape, key.shape)
    return summed.float(), sums.squeeze(-1).float()


def _record(
    under_way: AttentionPass, columns: Int[Tensor, "row position"], query: Tensor, parts: list[Part],
    scoring: Scoring, output: Tensor,
) -> None:  # fmt: skip
    """Keep the rows of the asked queries, and how far an output rebuilt from them is from the one used."""
    row = torch.arange(len(query), device=query.device)[:, None]
    asked = query.transpose(1, 2)[row, columns].transpose(1, 2)
    scores = []
    for index, (key, value, mask) in enumerate(parts):
        seen = _visible(under_way, columns, mask, own=index == len(parts) - 1)
        scores.append(_scores(asked, (key, value, seen), scoring, causal=False))
    rows = torch.softmax(torch.cat(scores, -1), -1)
    rebuilt = torch.zeros(*asked.shape, dtype=torch.float32, device=query.device)
    for share, (_, value, _mask) in zip(torch.split(rows, [one.shape[-1] for one in scores], -1), parts, strict=True):
        rebuilt += _by_row(_by_key(share, value) @ value.float(), asked.shape, value.shape)
    used = output[row, columns].transpose(1, 2).float()
    error = (rebuilt - used).flatten(1).norm(dim=1) / used.flatten(1).norm(dim=1).clamp_min(1e-30)
    under_way.rows.append(rows)
    under_way.error = error if under_way.error is None else torch.maximum(under_way.error, error)


def _visible(
    under_way: AttentionPass, columns: Int[Tensor, "row position"], mask: Tensor | None, own: bool
) -> Bool[Tensor, "row position key"] | None:
    """The asked queries' lines of a mask; a causal kernel's own mask is written out for them."""
    if mask is not None and mask.shape[1] == 1:
        return mask
    if mask is not None:
        return mask[torch.arange(len(mask), device=mask.device)[:, None], columns]
    if not own or under_way.new_columns == 1:
        return None
    keys = torch.arange(under_way.stream.columns, device=columns.device)
    return keys <= columns[:, :, None]
