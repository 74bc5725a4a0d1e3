"""Where one head looks from the token that predicts the answer, token by token: of one prompt, for the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.engine import Engine
from optim_hunter.observe.instruments import Capture
from optim_hunter.observe.posed import PosedPrompt


@dataclass(frozen=True)
class TokenRow:
    """One attention row: the prompt's tokens as text, and what of the row lies on each (sums to 1)."""

    tokens: tuple[str, ...]
    weights: Float[np.ndarray, "token"]


def token_row(engine: Engine, posed: PosedPrompt, layer: int, head: int) -> TokenRow:
    """The row of a head at the prompt's last token, by a pass of its own.

    Raises:
        UserError: the model cannot be opened.
        InvalidInstrument: the pass does not compute what the model's own code does.
    """
    engine.open()
    seen = engine.read(engine.start(1), [posed.ids], Capture(rows=True, logits=False), [posed.label])
    return TokenRow(_texts(engine.model, posed), seen.rows[0][layer, head, -1].cpu().numpy())


def _texts(model: LanguageModel, posed: PosedPrompt) -> tuple[str, ...]:
    """The part of the prompt that each token stands for; of one that stands for none (BOS) its own name."""
    places = zip(posed.ids, posed.encoded.offsets, strict=True)
    return tuple(posed.prompt.text[start:end] or model.decode([token]) for token, (start, end) in places)
