"""The store of what passes and fits showed: one file a key, whole or not there, verified on reading."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.numpy import load, save

from optim_hunter.claim import UserError
from optim_hunter.models.cache import cache_folder

FORMAT_VERSION = 1
ENTRY = "optim_hunter"
"""The one entry of a file's safetensors metadata: JSON of sha256, format version, key and header."""
BLANK = "0" * 64
"""Stands for the sha256 while a file is hashed, so that every byte of the file is under its checksum."""
UNREADABLE = (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a file raises that is not as this module wrote it."""

STATES = {".safetensors": "stored", ".damaged": "damaged", ".unfinished": "unfinished"}
FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}(\.[0-9a-f]{12})?\.(safetensors|damaged|unfinished)")

ABANDONED_AFTER = 3600.0
"""Seconds after which an unfinished file was left by a process that was killed."""

REMEDY = (
    "choose another folder with --claims-store FOLDER, or keep nothing with --claims-store none "
    "(of optim-hunter's own commands: --store)"
)


@dataclass(frozen=True)
class Stored:
    """What a file held."""

    header: dict[str, Any]
    arrays: dict[str, Shaped[np.ndarray, "..."]]


class Store:
    """Files under a folder, found by key; no fault of the disk stops a run.

    `read` and `written` count files. `damaged` names those set aside, and says what was wrong; `problems` says in a
    line each what could not be read or written and what to do.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read = 0
        self.written = 0
        self.damaged: list[str] = []
        self.problems: list[str] = []
        self._writable = True

    def get(self, key: Mapping[str, Any]) -> Stored | None:
        """What was kept under a key (plain JSON data), or None: nothing, of another format version, or damaged."""
        wanted = _canonical(key)
        path = self._path(wanted)
        try:
            with path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                content = file.read()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._note(f"{path} cannot be read ({error.strerror or error}): make it readable, {REMEDY}")
            return None
        try:
            stored = _unpack(content, wanted)
        except UNREADABLE as error:
            self._set_aside(path, inode, content, str(error))
            return None
        self.read += stored is not None
        return stored

    def put(
        self, key: Mapping[str, Any], header: Mapping[str, Any], arrays: Mapping[str, Shaped[np.ndarray, "..."]]
    ) -> None:
        """Keep a header (plain JSON data) and arrays under a key, in place of what was there.

        After the first file that the disk refuses nothing more is written; `problems` says so.

        Raises:
            Exception: of safetensors or JSON, for what these cannot hold.
        """
        if not self._writable:
            return
        wanted = _canonical(key)
        path = self._path(wanted)
        content = _pack(key, header, arrays)
        _unpack(content, wanted)  # safetensors writes some types and names that it does not read
        try:
            write_whole(path, content)
        except OSError as error:
            self._writable = False
            fault = f"{path} cannot be written ({error.strerror or error}), so nothing more is kept in this run"
            self.problems.append(f"{fault}: free space there, {REMEDY}")
        else:
            self.written += 1

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _path(self, canonical_key: str) -> Path:
        name = hashlib.sha256(canonical_key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _set_aside(self, path: Path, inode: int, content: bytes, reason: str) -> None:
        aside = path.with_suffix(f".{hashlib.sha256(content).hexdigest()[:12]}.damaged")
        try:
            with suppress(FileNotFoundError):  # set aside by another process
                if path.stat().st_ino == inode:  # else made again by another process
                    path.replace(aside)
        except OSError as error:
            self.problems.append(f"{path} is damaged and cannot be set aside ({error.strerror or error}): remove it")
        self.damaged.append(f"{aside} ({reason})")


def open_store(choice: str | None) -> Store | None:
    """The store in a folder, by default in the cache; None for `none`.

    Raises:
        UserError: it is no folder, or one that cannot be made or written.
    """
    if choice == "none":
        return None
    folder = store_folder(choice)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"store {folder} is no folder: {REMEDY}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"store {folder} cannot be written ({error.strerror}): make it writable, {REMEDY}") from None
    return Store(folder)


def store_folder(choice: str | None) -> Path:
    """The chosen folder, by default one in the cache; raises UserError for the home of an unknown user."""
    if not choice:
        return cache_folder() / "store"
    try:
        return Path(choice).expanduser()
    except RuntimeError as error:
        raise UserError(f"{choice} is no folder ({error}): name another") from None


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, separators=(",", ":"))


def _pack(key: Mapping[str, Any], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    entry = json.dumps({"sha256": BLANK, "version": FORMAT_VERSION, "key": key, "header": header})
    # safetensors writes the memory of an array as it lies, which is wrong unless that is in C order
    in_order = {name: np.asarray(values, order="C") for name, values in arrays.items()}
    blank = save(in_order, metadata={ENTRY: entry})
    return blank.replace(BLANK.encode(), hashlib.sha256(blank).hexdigest().encode(), 1)


def _unpack(content: bytes, canonical_key: str) -> Stored | None:
    """What a file holds; None if it is of another format version; raises UNREADABLE unless whole and of this key."""
    entry = _entry(content[8 : 8 + int.from_bytes(content[:8], "little")])
    blank = content.replace(entry["sha256"].encode(), BLANK.encode(), 1)
    if hashlib.sha256(blank).hexdigest() != entry["sha256"]:
        raise ValueError("its checksum differs")
    if entry["version"] != FORMAT_VERSION:
        return None
    if _canonical(entry["key"]) != canonical_key:
        raise ValueError("it holds another key")
    return Stored(entry["header"], load(content))


def _entry(safetensors_header: bytes) -> dict[str, Any]:
    """Key, header and checksum: parsed here because safetensors hands out arrays alone from bytes in memory."""
    return json.loads(json.loads(safetensors_header)["__metadata__"][ENTRY])


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever is killed; its folder is made.

    Raises:
        OSError: of the disk; what was there before is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{secrets.token_hex(6)}.unfinished")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


@dataclass(frozen=True)
class StoredFile:
    """A file of a store: `state` is stored, damaged or unfinished; size in bytes, time in seconds since 1970."""

    path: Path
    state: str
    size: int
    written: float

    def subject(self) -> tuple[str, str]:
        """Kind, and model or corpus, as the file's key gives them (unverified)."""
        try:
            with self.path.open("rb") as file:
                length = min(int.from_bytes(file.read(8), "little"), self.size)
                key = _entry(file.read(length))["key"]
            return str(key["kind"]), str(key.get("model", key.get("corpus", "")))
        except (OSError, *UNREADABLE):
            return "unreadable", ""


def stored_files(folder: Path) -> list[StoredFile]:
    """The files of a store; whatever else lies in the folder is not looked at.

    Raises:
        UserError: no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"no store in {folder}: a run of claims makes one, or name its folder with --store")
    files = []
    for path in folder.glob("*/*"):
        if FILE.fullmatch(path.relative_to(folder).as_posix()) and path.is_file():
            with suppress(FileNotFoundError):  # removed by another process
                status = path.stat()
                files.append(StoredFile(path, STATES[path.suffix], status.st_size, status.st_mtime))
    return files


def prune(folder: Path, older_than: float, damaged: bool) -> list[StoredFile]:
    """Remove what was stored more than `older_than` days ago, what killed processes left and, if asked, the damaged.

    Raises UserError as `stored_files` does, and for a file that cannot be removed.
    """
    ages = {"stored": older_than * 86400, "damaged": -math.inf if damaged else math.inf, "unfinished": ABANDONED_AFTER}
    now = time.time()
    removed = [file for file in stored_files(folder) if now - file.written > ages[file.state]]
    for file in removed:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{file.path} cannot be removed ({error.strerror}): make its folder writable") from None
    return removed
