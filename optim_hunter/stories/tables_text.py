"""The views of `optim-hunter tables` for a terminal: all heads, one head, one neuron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from optim_hunter.evidence.text import MINUS, visible
from optim_hunter.stories.tables import FREQUENT, HeldOutTables, Shift
from optim_hunter.tasks.stories import token_texts

EXCITED = 0.1
"""Activation from which a neuron counts as excited: gelu is all but 0 below an input of 0."""


def overview_text(held: HeldOutTables) -> str:
    """Where each head looks, and its strongest skip-trigram; which neurons move the logits most."""
    parts: list[RenderableType] = [_sizes(held)]
    if held.tables.heads:
        parts += ["", "attention to each position, % (mean over windows; −1 is the last token)", _attention(held)]
        parts += ["strongest skip-trigram of each head", *(_trigrams(held, head, 1) for head in held.tables.heads)]
    if held.tables.neurons:
        parts += ["", "neurons by activation × spread of what they write", _neurons(held)]
    return _printed(*parts)


def head_text(held: HeldOutTables, head: int, most: int) -> str:
    """The strongest skip-trigrams of a head."""
    shares = held.attention(head).mean(0)
    looks = [f"{_position(place - len(shares))} {100 * shares[place]:.0f} %" for place in np.argsort(-shares)[:5]]
    return _printed(
        _sizes(held),
        f"head {head} looks most at {', '.join(looks)} (mean over windows; −1 is the last token)",
        _trigrams(held, head, most),
        f"ordered by windows × attention × largest raise; shifts in nats against the mean token; only tokens that "
        f"follow {100 * FREQUENT:g} % of windows or more are named",
    )


def neuron_text(held: HeldOutTables, neuron: int, most: int) -> str:
    """The windows that excite a neuron, and what it writes to the logits."""
    texts, activations = token_texts(held.model.tokenizer), held.neuron(neuron)
    table = Table(*_right("activation"), Column("window", overflow="fold"), "came", box=SIMPLE)
    for one in held.excited(activations, most):
        window = held.model.tokenizer.decode(list(one.tokens)).replace("\n", "⏎")
        table.add_row(f"{one.activation:.2f}", Text(visible(window)), _quoted(texts[one.following]))
    share, written = float((activations > EXCITED).mean()), held.written(neuron)
    return _printed(
        _sizes(held),
        f"neuron {neuron} is above {EXCITED:g} in {100 * share:.1f} % of windows",
        table,
        "for each unit of activation it writes, in nats against the mean token",
        Text.assemble("  raises ", _shifts(written.raised, texts)),
        Text.assemble("  lowers ", _shifts(written.lowered, texts)),
    )


def _attention(held: HeldOutTables) -> Table:
    context = held.model.shape.context
    table = Table(*_right("head", *map(_position, range(-context, 0))), box=SIMPLE, padding=(0, 0, 0, 1))
    for head in held.tables.heads:
        table.add_row(str(head), *(f"{100 * share:.0f}" for share in held.attention(head).mean(0)))
    return table


def _trigrams(held: HeldOutTables, head: int, most: int) -> Text:
    """Two lines each: the earlier token, the last one and what they shift; then how often and how much."""
    texts, lines = token_texts(held.model.tokenizer), list[Text]()
    for one in held.skip_trigrams(head, most):
        where = _quoted(texts[one.token]), f" at {_position(one.position)} … ", _quoted(texts[one.last])
        raised, lowered = (_shifts(part, texts) for part in (one.shifts.raised, one.shifts.lowered))
        lines.append(Text.assemble(f"  head {head}: ", *where, "  raises ", raised, "; lowers ", lowered))
        lines.append(Text(f"      {one.windows:,} windows, score {_signed(one.score)}, attention {one.attention:.2f}"))
    return Text("\n").join(lines)


def _neurons(held: HeldOutTables, most: int = 10) -> Table:
    """The neurons whose mean activation × spread of the logits that they write is largest."""
    texts = token_texts(held.model.tokenizer)
    means = np.stack([np.abs(part).sum(0) for part in held.activations()]).sum(0) / len(held.windows)
    logits = held.tables.neuron_logits().numpy()
    spread = np.sqrt(np.square(logits - (logits @ held.shares)[:, None]) @ held.shares)
    table = Table(*_right("neuron", "activation", "spread"), Column("raises", overflow="fold"), box=SIMPLE)
    for neuron in np.argsort(-means * spread)[:most].tolist():
        raised = _shifts(held.written(neuron).raised, texts)
        table.add_row(str(neuron), f"{means[neuron]:.2f}", f"{spread[neuron]:.2f}", raised)
    return table


def _shifts(shifts: Sequence[Shift], texts: Sequence[str], joint: str = ", ") -> Text:
    return Text(joint).join(Text.assemble(_quoted(texts[token]), f" {_signed(moved)}") for token, moved in shifts)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", MINUS)


def _quoted(text: str) -> Text:
    """A token with its spaces, and nothing in it read as markup."""
    return Text(visible(repr(text)))


def _position(position: int) -> str:
    return f"{MINUS}{-position}"


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right", no_wrap=True) for name in names]


def _sizes(held: HeldOutTables) -> str:
    return f"{len(held.windows):,} windows of {len(np.unique(held.examples.story)):,} held-out stories"


def _printed(*parts: RenderableType) -> str:
    console = Console()
    with console.capture() as captured:
        console.print(Group(*parts))
    return captured.get().rstrip()
