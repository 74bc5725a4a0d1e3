"""The folder of a ladder: whose it is, the rungs that it keeps, and what is written at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optim_hunter.claim import UserError
from optim_hunter.observe.store import Store, write_whole
from optim_hunter.observe.versions import engine_version
from optim_hunter.stories.ladder_rungs import Losses
from optim_hunter.stories.writable import require_writable, writing

QUESTION, RUNGS = "question.json", "rungs"
OTHER = "name another folder with --out"
SOURCES = (
    "models/linear_tokens.py",
    "models/ngrams.py",
    "models/one_layer.py",
    "observe/choices.py",
    "stories/ladder.py",
    "stories/ladder_rungs.py",
    "tasks/held_out.py",
    "tasks/next_tokens.py",
    "tasks/stories.py",
)
"""What decides a rung: a change of one of these makes the rungs anew."""


@dataclass(frozen=True)
class LadderQuestion:
    """What tells one ladder from another: the text of the corpus, the word groups and the sizes of the samples."""

    corpus_sha256: str
    groups: tuple[str, ...]
    windows: int
    positions: int

    @property
    def as_json(self) -> str:
        """The text of the file that holds it."""
        return json.dumps(asdict(self))


def require_folder(folder: Path, question: LadderQuestion) -> None:
    """See that a folder is new, empty, or of this very ladder.

    Raises:
        UserError: it is of another ladder, holds something else, is no folder, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no folder: {OTHER}")
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if there and QUESTION not in there:
        raise UserError(f"{folder} holds something that is no ladder ({there[0]}): {OTHER}")
    if there and _read(folder / QUESTION) != json.loads(question.as_json):
        raise UserError(f"{folder} holds the ladder of another corpus, of other groups or samples: {OTHER}")
    require_writable(folder, folder, OTHER)


def _read(path: Path) -> Any:
    with suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    return None


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Write files, each whole or not at all.

    Raises:
        UserError: the disk refuses.
    """
    with writing(folder, OTHER):
        for name, content in contents.items():
            write_whole(folder / name, content.encode())


class Rungs:
    """Losses of rungs that are kept in a folder, by what they depend on."""

    def __init__(self, folder: Path, question: LadderQuestion) -> None:
        engine = engine_version(SOURCES, ("numpy", "scipy", "tokenizers", "torch"))
        self.store, self._about = Store(folder / RUNGS), {**asdict(question), "engine": engine}

    def get(self, rung: str, made_of: str) -> dict[str, Losses] | None:
        """Losses by question; `made_of` tells the weights of a model."""
        kept = self.store.get(self._key(rung, made_of))
        return None if kept is None else dict(kept.arrays)

    def put(self, rung: str, made_of: str, losses: Mapping[str, Losses]) -> None:
        """Keep them."""
        self.store.put(self._key(rung, made_of), {}, losses)

    def _key(self, rung: str, made_of: str) -> dict[str, Any]:
        return {"kind": "rung", "rung": rung, "made of": made_of, **self._about}
