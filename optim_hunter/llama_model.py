"""The language model that the published notes are run on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from optim_hunter.models.registry import open_language_model

if TYPE_CHECKING:
    from optim_hunter.models.language import LanguageModel

VARIABLE = "OPTIM_HUNTER_MODEL"
DEFAULT = "llama-3.1-8b"


def load_llama_model() -> LanguageModel:
    """The model whose registry name stands in the environment variable OPTIM_HUNTER_MODEL, or Llama 3.1 8B.

    The same object as long as the name is the same; another name's model is closed, so that the weights of one are in
    memory at a time. They are opened when they are first needed.

    Raises:
        UserError: no such model, or it cannot be fetched, or this machine has no device for it.
    """
    return _open(os.environ.get(VARIABLE) or DEFAULT)


_opened: dict[str, LanguageModel] = {}
"""The last model, by its name."""


def _open(name: str) -> LanguageModel:
    if name not in _opened:
        model = open_language_model(name)
        for before in _opened.values():
            before.close()
        _opened.clear()
        _opened[name] = model
    return _opened[name]
