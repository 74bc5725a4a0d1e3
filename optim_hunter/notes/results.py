"""What blocks gave, kept in the store so that only what changed runs again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

import optim_hunter
from optim_hunter.claim import UserError
from optim_hunter.models.cache import REMEDY as CACHE_REMEDY
from optim_hunter.observe.store import REMEDY, Store, open_store

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Output:
    """One output of a block: what it printed, or the value of its last line as text or as HTML.

    `fragment` is printed too: what a published function made, as against text that looks like it.
    """

    kind: Literal["printed", "fragment", "text", "html"]
    content: str


@dataclass(frozen=True)
class Result:
    """What a block gave; `error` is its traceback, or why there is no result."""

    outputs: tuple[Output, ...] = ()
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Setting:
    """What results depend on beside the blocks.

    Attributes:
        model: name of the registry, or the absolute path of a folder.
        cap: of `--seeds`; None for none.
        folder: where the blocks run.
    """

    model: str
    cap: int | None
    folder: Path

    def described(self) -> dict[str, Any]:
        """As JSON data, with the files of a model that is a folder, the code of this package and all packages."""
        return {
            "model": self.model,
            "model_files": _files(Path(self.model)),
            "cap": self.cap,
            "folder": str(self.folder),
            "code": _code(),
            "packages": _packages(),
        }


def keys(codes: Sequence[str], setting: Setting) -> list[dict[str, Any]]:
    """The store's key of each block: its text and those before it, and the setting."""
    described = setting.described()
    digest = hashlib.sha256()
    found = []
    for code in codes:
        digest.update(hashlib.sha256(code.encode()).digest())
        found.append({"kind": "notes", "version": FORMAT_VERSION, **described, "blocks": digest.hexdigest()})
    return found


class Kept:
    """The store of results; without one nothing is kept, and `problems` says why."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._problem: list[str] = []
        try:
            self._store = open_store(None)
        except UserError as error:
            self._problem.append(str(error))

    def get(self, key: Mapping[str, Any]) -> Result | None:
        """What was kept under a key; a damaged file is set aside by the store and counts as nothing."""
        stored = self._store.get(key) if self._store else None
        if stored is None:
            return None
        # in an array, since the header of a safetensors file is limited to 100 MB
        content = json.loads(stored.arrays["result"].tobytes())
        return Result(tuple(Output(**output) for output in content["outputs"]), content["error"], content["seconds"])

    def put(self, key: Mapping[str, Any], result: Result) -> None:
        """Keep a result."""
        if self._store:
            self._store.put(key, {}, {"result": np.frombuffer(json.dumps(asdict(result)).encode(), dtype=np.uint8)})

    @property
    def problems(self) -> list[str]:
        """In a line each: what could not be read or written, and what to do."""
        found = self._problem + (self._store.problems + self._damaged() if self._store else [])
        return [problem.replace(REMEDY, CACHE_REMEDY) for problem in found]

    def _damaged(self) -> list[str]:
        assert self._store is not None
        return [f"a kept result was damaged and is made again: {file}" for file in self._store.damaged]


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of the files of a model that is a folder; none for other models."""
    if not folder.is_dir():
        return []
    stats = {file.name: file.stat() for file in sorted(folder.iterdir()) if file.is_file()}
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()]


@cache
def _code() -> str:
    """sha256 over the files of this package, all but those that read documents and make pages."""
    here = Path(optim_hunter.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(here.rglob("*")):
        apart = {"__pycache__", "notes"} & set(file.relative_to(here).parts)
        if file.is_file() and not apart:
            digest.update(file.relative_to(here).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@cache
def _packages() -> str:
    """sha256 over the names and versions of all installed packages."""
    found = sorted(f"{one.name} {one.version}" for one in metadata.distributions())
    return hashlib.sha256("\n".join(found).encode()).hexdigest()
