"""The folder of a training: whether it may be used, for which training, and from where an unfinished one goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import RECORD, TOKENIZER, WEIGHTS, read_record
from optim_hunter.models.one_layer_training import Recipe, Training
from optim_hunter.observe.store import write_whole

if TYPE_CHECKING:
    from torch import Tensor

UNFINISHED = "unfinished.safetensors"
OURS = re.compile(r"(weights|tokenizer|training|unfinished)\.[0-9a-f]{12}\.unfinished")
"""Names of what a training leaves in its folder when it is killed while it writes a file (`store.write_whole`)."""

ENTRY = "training"
OTHER = "name another folder with --out"


@dataclass(frozen=True)
class Question:
    """What tells one training from another: the text of the corpus, the parts left out, the recipe with its seed."""

    corpus_sha256: str
    without: tuple[str, ...]
    recipe: Recipe

    @property
    def as_json(self) -> dict[str, Any]:
        """The same as it is read from JSON."""
        return json.loads(json.dumps(asdict(self)))


def is_finished(folder: Path, question: Question) -> bool:
    """Whether a folder holds this very training, finished.

    Raises:
        UserError: it holds another, finished or not, or something else, or is no folder.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: {OTHER}")
    if foreign := sorted(path.name for path in folder.iterdir() if not _may_be_ours(path)):
        raise UserError(f"{folder} holds something that is no training ({foreign[0]}): {OTHER}")
    if (folder / RECORD).exists():
        _require_same(read_record(folder).get("question"), question, folder)
        return True
    if (folder / UNFINISHED).exists():
        _require_same(_header(folder)["question"], question, folder)
    elif lone := [name for name in (WEIGHTS, TOKENIZER) if (folder / name).exists()]:
        raise UserError(f"{folder} holds {lone[0]}, but no training that was begun or finished: {OTHER}")
    return False


def _may_be_ours(path: Path) -> bool:
    names = (WEIGHTS, TOKENIZER, RECORD, UNFINISHED)
    return path.is_file() and (path.name in names or OURS.fullmatch(path.name) is not None)


def _require_same(found: object, question: Question, folder: Path) -> None:
    if found != question.as_json:
        raise UserError(f"{folder} holds a training of another corpus, seed, length, part or recipe: {OTHER}")


def keep(folder: Path, question: Question, training: Training, seconds: float) -> None:
    """Write where a training is, whole or not at all; `seconds` is what it took so far.

    Raises:
        OSError: the disk refuses.
    """
    header = {"question": question.as_json, "step": training.step, "seconds": seconds}
    write_whole(folder / UNFINISHED, save(training.arrays(), metadata={ENTRY: json.dumps(header)}))


def go_on(folder: Path, training: Training) -> float:
    """Bring a training to where its folder's is, if there is one; return the seconds that it took so far.

    Raises:
        UserError: the file is damaged.
    """
    if not (folder / UNFINISHED).exists():
        return 0.0
    header = _header(folder)
    try:
        training.restore(header["step"], _arrays(folder / UNFINISHED))
    except (LookupError, RuntimeError, SafetensorError) as error:
        raise _damaged(folder, error) from None
    return float(header["seconds"])


def clear(folder: Path) -> None:
    """Remove what was kept for a training that is finished, and what killed processes left."""
    for path in folder.iterdir():
        if path.name == UNFINISHED or OURS.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _arrays(path: Path) -> Mapping[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def _header(folder: Path) -> dict[str, Any]:
    try:
        with safe_open(folder / UNFINISHED, framework="pt") as file:
            header = json.loads(file.metadata()[ENTRY])
        if not {"question", "step", "seconds"} <= set(header):
            raise ValueError("it is of something else")
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(folder, error) from None
    return header


def _damaged(folder: Path, error: Exception) -> UserError:
    fault = " ".join(str(error).split())
    return UserError(f"{folder / UNFINISHED} cannot be read ({fault}): {OTHER}, or remove it to begin anew")
