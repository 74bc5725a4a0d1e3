"""What a pass shows of one prompt, need by need, in the form in which the store keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped

from optim_hunter.models.language import LanguageModel
from optim_hunter.observe.observation import (
    Activations,
    Answer,
    AttentionMass,
    Attribution,
    BlockAblation,
    Candidates,
    HeadAblation,
    InductionMass,
    Part,
    Patching,
)
from optim_hunter.observe.store import Store, Stored
from optim_hunter.observe.token_rows import TokenRow
from optim_hunter.observe.versions import pass_engine, regressors_engine


def pack(part: Part) -> tuple[dict[str, Any], dict[str, Shaped[np.ndarray, "..."]]]:
    """JSON header and arrays of a part."""
    fields = {} if part.shown is None else vars(part.shown)
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in fields.items() if name not in arrays}
    return {"shown": None if part.shown is None else plain, "checks": dict(part.checks)}, arrays


def unpack(need: str, stored: Stored) -> Part:
    """The way back."""
    plain, checks = stored.header["shown"], stored.header["checks"]
    if plain is None:
        return Part(None, checks)
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    return Part(KINDS[need](**tuples, **stored.arrays), checks)


KINDS: dict[str, Callable[..., Any]] = {
    "answer": Answer,
    "attribution": Attribution,
    "attention": AttentionMass,
    "candidates": Candidates,
    "induction": InductionMass,
    "activations": Activations,
    "block_ablation": BlockAblation,
    "head_ablation": HeadAblation,
    "patching": Patching,
    "attention row": TokenRow,
}
"""What is shown (a need, or an attention row) → what is built of the fields that a file holds: arrays, and JSON with
tuples as lists."""


class PartStore:
    """The parts of one language model in a store; without one it keeps nothing."""

    def __init__(self, store: Store | None, model: LanguageModel) -> None:
        self.files = store
        self.taken = 0
        self._model = {"kind": "pass", **model.identity, "engine": pass_engine()}

    def get(self, need: str, prompt: str, pair: Any) -> Part | None:
        """What is kept of a prompt's need; `pair` are the tokens that it compares, where they are not its own."""
        stored = self.files.get(self._key(need, prompt, pair)) if self.files is not None else None
        if stored is None:
            return None
        self.taken += 1
        return unpack(need, stored)

    def put(self, need: str, prompt: str, pair: Any, part: Part) -> None:
        """Keep it."""
        if self.files is not None:
            self.files.put(self._key(need, prompt, pair), *pack(part))

    def _key(self, need: str, prompt: str, pair: Any) -> dict[str, Any]:
        """The prompt as text: its tokens follow, since the tokenizer is in the model's fingerprint."""
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        key = {**self._model, "prompt": digest, "need": need, "pair": list(pair) if isinstance(pair, tuple) else pair}
        return {**key, "regressors": regressors_engine()} if need == "candidates" else key
