"""The folder that `optim-hunter fit` writes: weights, tokenizer and a summary that holds them together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped
from safetensors import SafetensorError
from safetensors.numpy import load, save

from optim_hunter.claim import UserError
from optim_hunter.models.hashed_folder import HashedFolder, hashes
from optim_hunter.observe.store import write_whole

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WEIGHTS, TOKENIZER, SUMMARY = "weights.safetensors", "tokenizer.json", "summary.json"
AGAIN = "make the fit again in another folder (optim-hunter fit … --out DIR)"
FOLDER = HashedFolder(
    SUMMARY,
    (WEIGHTS, TOKENIZER),
    {"classes": list, "context": int},
    "summary of a fit",
    finished="give a folder that optim-hunter fit --out has finished",
    again=AGAIN,
)


@dataclass(frozen=True)
class FittedFolder:
    """A fitted linear model: logits = offsets + Σ_position weights[position, token] (nats).

    The positions run from the farthest token (0) to the last before the word; tokens are those of the corpus's own
    tokenizer, of which a small corpus has fewer than 1,024; classes are in the order of `summary["classes"]`.
    """

    weights: Float[np.ndarray, "position token class"]
    offsets: Float[np.ndarray, "class"]
    tokenizer: Tokenizer
    summary: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """The words, each with the space before it."""
        return tuple(self.summary["classes"])


def write_fitted_folder(path: Path, fitted: FittedFolder) -> None:
    """Write the three files, each whole or not at all; the summary comes last and holds the hashes of the others.

    Raises:
        OSError: the disk refuses.
    """
    arrays = {name: np.ascontiguousarray(getattr(fitted, name), dtype=np.float64) for name in ("weights", "offsets")}
    contents = {WEIGHTS: save(arrays), TOKENIZER: fitted.tokenizer.to_str().encode()}
    whole = {**fitted.summary, "files": hashes(contents)}
    summary = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for name, content in {**contents, SUMMARY: summary.encode()}.items():
        write_whole(path / name, content)


def read_fitted_folder(path: Path) -> FittedFolder:
    """Read what `write_fitted_folder` wrote.

    Raises:
        UserError: no such folder or file; a file that is damaged or of another fit.
    """
    summary, contents = FOLDER.read(path)
    from tokenizers import Tokenizer

    try:
        arrays, tokenizer = load(contents[WEIGHTS]), Tokenizer.from_str(contents[TOKENIZER].decode())
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} holds files that cannot be read ({error})", AGAIN) from None
    shape = (summary["context"], tokenizer.get_vocab_size(), len(summary["classes"]))
    _require_arrays(path, arrays, shape)
    return FittedFolder(arrays["weights"], arrays["offsets"], tokenizer, summary)


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a fitted folder.

    Raises:
        UserError: there is none, or it is none of a fit.
    """
    return FOLDER.read_record(path)


def _require_arrays(path: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], shape: tuple[int, ...]) -> None:
    for name, wanted in (("weights", shape), ("offsets", shape[-1:])):
        found = arrays.get(name)
        if found is None or found.shape != wanted or not np.isfinite(found).all():
            raise UserError(f"{path / WEIGHTS} has no finite {name} of shape {list(wanted)}", AGAIN)
