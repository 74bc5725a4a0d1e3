"""Interventions: one prompt is run again with chosen components writing something else at chosen tokens.

Tokens before the first one touched, and layers before the first one touched, are run once for all interventions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from optim_hunter.claim import UserError
from optim_hunter.observe.attribution import closure_error
from optim_hunter.observe.checks import require
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture, Reading, TokenReading
from optim_hunter.observe.layouts import DecoderParts
from optim_hunter.observe.streams import Stream


@dataclass(frozen=True)
class Component:
    """An attention block, an MLP, or one head of an attention block."""

    kind: Literal["attention", "mlp", "head"]
    layer: int
    head: int | None = None

    def __post_init__(self) -> None:
        if (self.head is not None) != (self.kind == "head"):
            raise UserError(f"component {self.kind} of layer {self.layer}: a head, and nothing else, has a number")


Values = Mapping[Component, Float[Tensor, "#position width"]]
"""What components give at some tokens: writes of width d_model, of a head its output before W_O."""


@dataclass(frozen=True)
class Intervention:
    """What is put in the place of components' own writes.

    Attributes:
        values: for each component touched, what it gives at each position; see `zeros`, `values_of` and `mean`.
        positions: tokens of the prompt, counted as Python counts (−1 is the last).
    """

    values: Values
    positions: tuple[int, ...] = (-1,)


def zeros(components: Iterable[Component]) -> Values:
    """Zero ablation: the components write nothing."""
    return {component: torch.zeros(1, 1) for component in components}


def values_of(parts: DecoderParts, reading: Reading, row: int, components: Iterable[Component]) -> Values:
    """What components gave at the positions of a reading: for resample ablation (the reading of another seed) or
    activation patching (of another prompt).

    Args:
        parts: the model's layout (`Engine.parts`).
        reading: with `heads_input`, if any component is a head.
        row: the prompt's row.
        components: those wanted.
    """
    return {component: _value_of(parts, reading, row, component) for component in components}


def _value_of(parts: DecoderParts, reading: Reading, row: int, component: Component) -> Float[Tensor, "position width"]:
    layer = component.layer - reading.first_layer
    if not 0 <= layer < (reading.writes.shape[2] - 1) // 2:
        raise UserError(f"this reading does not show layer {component.layer}")
    if component.head is None:
        return reading.writes[row, :, 1 + 2 * layer + (component.kind == "mlp")]
    if reading.heads_input is None:
        raise UserError("this reading shows no heads: ask for them with Capture(heads=True)")
    outputs = reading.heads_input[row, :, layer]
    return outputs.reshape(len(outputs), parts.heads, -1)[:, component.head]


def mean(values: Sequence[Values]) -> Values:
    """Mean ablation: the mean of what components gave, over seeds."""
    return {component: torch.stack([one[component] for one in values]).mean(0) for component in values[0]}


def intervene(
    engine: Engine, prompt: Sequence[int], interventions: Sequence[Intervention], label: str = "the prompt"
) -> tuple[TokenReading, list[TokenReading]]:
    """Read a prompt's last token, as it is and under each intervention.

    Args:
        engine: runs the model.
        prompt: its tokens.
        interventions: each on its own, not one after the other.
        label: what messages call the prompt.

    Raises:
        UserError: a position, layer or head that is not there.
        InvalidInstrument: logits are not finite, or parts do not sum to the whole.
    """
    engine.open()
    touched = [_places(engine.parts, prompt, one) for one in interventions]
    first_token = min((min(places) for places in touched), default=len(prompt) - 1)
    first_layer = min((component.layer for one in interventions for component in one.values), default=0)
    stem, rest = engine.start(1), prompt[first_token:]
    engine.advance(stem, [prompt[:first_token]])
    with kept_inputs(engine.parts.layers[first_layer : first_layer + 1]) as inputs:
        clean = engine.read(_continued(engine, stem, 1), [rest], Capture(), [label]).last_token(0)
    edits = [(one, [at - first_token for at in places]) for one, places in zip(interventions, touched, strict=True)]
    with resumed(engine.parts, first_layer, inputs[0]):
        edited_readings = list(_read_edited(engine, stem, rest, edits, first_layer, label))
    changed = [_with_writes_before(one, clean, first_layer) for one in edited_readings]
    for one in (clean, *changed):
        require({"residual stream": closure_error(one.writes, one.residual)}, engine.model.dtype)
    return clean, changed


def _read_edited(
    engine: Engine, stem: Stream, rest: Sequence[int], edits: Sequence[Edit], first_layer: int, label: str
) -> Iterator[TokenReading]:
    """The last token under each edit, as many side by side as the engine runs."""
    at_once, capture = max(1, engine.tokens_at_once // len(rest)), Capture(first_layer=first_layer)
    for start in range(0, len(edits), at_once):
        some = edits[start : start + at_once]
        many = len(some)
        with edited(engine.parts, some):
            seen = engine.read(_continued(engine, stem, many), [rest] * many, capture, [label] * many)
        yield from map(seen.last_token, range(many))


def _with_writes_before(seen: TokenReading, clean: TokenReading, first_layer: int) -> TokenReading:
    """The reading with the writes of the layers that were not run again."""
    before = clean.writes[1 : 1 + 2 * first_layer]
    return replace(seen, writes=torch.cat([seen.writes[:1], before, seen.writes[1:]]))


def _continued(engine: Engine, stem: Stream, rows: int) -> Stream:
    return Stream.start(rows, engine.device, keep=False, stem=stem if stem.columns else None)


def _places(parts: DecoderParts, prompt: Sequence[int], intervention: Intervention) -> list[int]:
    """The positions of an intervention, counted from the start."""
    for component in intervention.values:
        if not 0 <= component.layer < len(parts.layers):
            raise UserError(f"no layer {component.layer}: the model has 0 to {len(parts.layers) - 1}")
        if component.head is not None and not 0 <= component.head < parts.heads:
            raise UserError(f"no head {component.head}: a layer of the model has 0 to {parts.heads - 1}")
    for position in intervention.positions:
        if not -len(prompt) <= position < len(prompt):
            raise UserError(f"no position {position}: the prompt has {len(prompt)} tokens")
    for component, value in intervention.values.items():
        if len(value) not in (1, len(intervention.positions)):
            raise UserError(
                f"{len(value)} values of {component} for {len(intervention.positions)} positions: give as many"
            )
    if not intervention.positions or not intervention.values:
        raise UserError("an intervention touches at least one component at one position")
    return [position % len(prompt) for position in intervention.positions]


@contextmanager
def kept_inputs(layers: Sequence[nn.Module]) -> Iterator[list[Float[Tensor, "row token width"]]]:
    """The inputs of layers, in their order, in the pass that is made meanwhile."""
    inputs: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    handles = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in layers]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def resumed(parts: DecoderParts, first_layer: int, hidden: Float[Tensor, "prompt token d_model"]) -> Iterator[None]:
    """Passes begin at a layer, with its input as it was: the layers before it hand on what the first is given.

    Rows are those of each prompt in turn, the same number of each.
    """

    def given(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden.repeat_interleave(len(hidden_states) // len(hidden), 0)

    skipped = parts.layers[:first_layer]
    for layer in skipped:
        layer.forward = given
    try:
        yield
    finally:
        for layer in skipped:
            del layer.forward


Edit = tuple[Intervention, Sequence[int]]
"""An intervention, with its positions as columns of the pass."""


@contextmanager
def edited(parts: DecoderParts, edits: Sequence[Edit]) -> Iterator[None]:
    """Components write in row r what the r-th intervention says; hooks stand before those of the instruments."""
    with ExitStack() as stack:
        for component in dict.fromkeys(component for edit, _ in edits for component in edit.values):
            put = [
                (row, columns, edit.values[component])
                for row, (edit, columns) in enumerate(edits)
                if component in edit.values
            ]
            stack.callback(_hook(parts, component, put).remove)
        yield


Put = Sequence[tuple[int, Sequence[int], Float[Tensor, "#position width"]]]
"""Row, columns, and what is put there."""


def _hook(parts: DecoderParts, component: Component, put: Put) -> Any:
    if component.head is not None:
        put_in = _replacer(put, component.head, parts.heads)
        output = parts.head_output[component.layer]
        return output.register_forward_pre_hook(lambda _, args: (put_in(args[0]), *args[1:]))
    put_in = _replacer(put, 0, 1)
    module = (parts.attention if component.kind == "attention" else parts.mlp)[component.layer]

    def change(_: nn.Module, __: Any, output: Any) -> Any:
        return (put_in(output[0]), *output[1:]) if isinstance(output, tuple) else put_in(output)

    return module.register_forward_hook(change)


def _replacer(put: Put, part: int, of: int) -> Callable[[Tensor], Tensor]:
    """Puts values into one of `of` equal parts of a hidden state."""

    def put_in(hidden: Tensor) -> Tensor:
        changed = hidden.clone(memory_format=torch.contiguous_format)
        parts = changed.view(*hidden.shape[:-1], of, -1)
        for row, columns, value in put:
            parts[row, _index(columns, hidden), part] = value.to(hidden)
        return changed

    return put_in


def _index(columns: Sequence[int], like: Tensor) -> Int[Tensor, "position"]:
    return torch.tensor(list(columns), device=like.device)
