"""What a one-layer model showed of a seed, in the form in which the store keeps it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from jaxtyping import Shaped

from optim_hunter.claim import NoValue
from optim_hunter.models.one_layer import OneLayerModel
from optim_hunter.observe.choices import ChoiceObservation
from optim_hunter.observe.one_layer import AblatedPartObservation, RuleObservation
from optim_hunter.observe.replaced import ReplacedTokenObservation
from optim_hunter.observe.store import Store, Stored
from optim_hunter.observe.versions import network_engine
from optim_hunter.tasks.corpus import Corpus
from optim_hunter.tasks.held_out import ChoiceTask

KINDS: dict[str, Callable[..., Any]] = {
    kind.__name__: kind
    for kind in (AblatedPartObservation, ChoiceObservation, ReplacedTokenObservation, RuleObservation)
}
LACKING = "lacking"
"""In the header of a seed without a value: why there is none."""


class KeptSeeds:
    """Shows a seed from the store, else asks the network; `taken` counts the former.

    Args:
        store: keeps what was shown; None keeps nothing.
        key: what it depends on but for the seed (`network_key`).
        ask: shows a seed by asking the network.
    """

    def __init__(self, store: Store | None, key: Mapping[str, Any], ask: Callable[[int | None], Any]) -> None:
        self.taken = 0
        self._store, self._key, self._ask = store, key, ask

    def observe(self, seed: int | None) -> Any:
        """What is shown of a seed.

        Raises:
            NoValue: as the network, kept or not.
        """
        key = {**self._key, "seed": seed}
        stored = self._store.get(key) if self._store is not None else None
        if stored is None:
            return self._asked(key, seed)
        self.taken += 1
        if LACKING in stored.header:
            raise NoValue(stored.header[LACKING])
        return unpack(stored)

    def _asked(self, key: Mapping[str, Any], seed: int | None) -> Any:
        try:
            seen = self._ask(seed)
        except NoValue as reason:
            if self._store is not None:
                self._store.put(key, {LACKING: str(reason)}, {})
            raise
        if self._store is not None:
            self._store.put(key, *pack(seen))
        return seen


def network_key(model: OneLayerModel, corpus: Corpus, task: ChoiceTask, book: str) -> dict[str, Any]:
    """The store's key of a seed, but for the seed; `book` is the text of a rule book, empty where none is asked."""
    digest = hashlib.sha256(json.dumps([model.tokenizer_sha256, asdict(model.shape)]).encode())
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode() + values.numpy().tobytes())
    return {
        "kind": "network",
        "corpus": corpus.name,
        "weights": digest.hexdigest(),
        "text": corpus.sha256,
        "task": [type(task).__name__, asdict(task)],
        "book": hashlib.sha256(book.encode()).hexdigest(),
        "engine": network_engine(),
    }


def pack(observation: Any) -> tuple[dict[str, Any], dict[str, Shaped[np.ndarray, "..."]]]:
    """JSON header and arrays of an observation; those of a mapping are kept one by one, under `field/key`."""
    plain: dict[str, Any] = {}
    order: dict[str, list[str]] = {}
    arrays: dict[str, np.ndarray] = {}
    for name in (field.name for field in fields(observation)):
        value = getattr(observation, name)
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif isinstance(value, Mapping) and any(isinstance(part, np.ndarray) for part in value.values()):
            order[name] = list(value)
            arrays |= {f"{name}/{key}": part for key, part in value.items()}
        else:
            plain[name] = value
    return {"kind": type(observation).__name__, "plain": plain, "order": order}, arrays


def unpack(stored: Stored) -> Any:
    """The way back; lists of the header were tuples."""
    arrays = dict(stored.arrays)
    mappings = {
        name: {key: arrays.pop(f"{name}/{key}") for key in keys} for name, keys in stored.header["order"].items()
    }
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.header["plain"].items()}
    return KINDS[stored.header["kind"]](**plain, **mappings, **arrays)
