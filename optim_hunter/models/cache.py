"""The cache: folders that are whole or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from optim_hunter.claim import UserError

MANIFEST = "manifest.json"
"""Written last into a cached folder: where it came from, and size, time and sha256 of each of its files."""

ABANDONED_AFTER = 24 * 3600.0
"""Seconds after which an unfinished folder was left by a process that was killed."""

CACHE = "OPTIM_HUNTER_CACHE"
REMEDY = f"or choose another folder with {CACHE}"


def cache_folder() -> Path:
    """`$OPTIM_HUNTER_CACHE`, or the user's cache folder of this system."""
    chosen = os.environ.get(CACHE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("optim-hunter")


def install(destination: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder beside `destination` and move it there in one step.

    Whatever fails in `fill` leaves nothing behind. Of two processes that install the same folder, the
    first to finish wins and the other's work is dropped.

    Raises:
        UserError: the cache is not writable or its disk is full.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(destination)
        with tempfile.TemporaryDirectory(prefix=_unfinished(destination), dir=destination.parent) as unfinished:
            whole = Path(unfinished) / "whole"
            whole.mkdir()
            fill(whole)
            _move(whole, destination)
    except OSError as error:
        if explanation := _explain(error, destination.parent):
            raise UserError(explanation) from error
        raise


def require_space(folder: Path, needed: int) -> None:
    """Raises UserError if the disk of `folder` has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        missing = f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB left"
        raise UserError(f"no space for the cache in {folder}: {missing}; free some, {REMEDY}")


def _unfinished(destination: Path) -> str:
    return f".{destination.name}-"


def _remove_abandoned(destination: Path) -> None:
    for left in destination.parent.glob(f"{_unfinished(destination)}*"):
        with suppress(FileNotFoundError):  # another process removes it as well
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(left)


def _move(whole: Path, destination: Path) -> None:
    try:
        whole.replace(destination)
    except OSError:
        if not destination.is_dir():  # else another process was faster, and what it installed is as good
            raise


def _explain(error: OSError, folder: Path) -> str | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for the cache {folder}: free some, {REMEDY}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return f"the cache {folder} cannot be written ({error.strerror}): make it a writable folder, {REMEDY}"
    return None


def seal(folder: Path, about: Mapping[str, str]) -> None:
    """Write the manifest of a folder that is complete: `about` it, and each file's size, time and sha256."""
    files = {}
    for path in sorted(folder.iterdir()):
        status = path.stat()
        files[path.name] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256([path])}
    content = {"about": dict(about), "files": files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def verify(folder: Path) -> dict[str, str]:
    """File → sha256 of a sealed folder whose files are still what was installed.

    A file whose size and time of change are those of the manifest is taken as unchanged (hashing 538 MB
    takes longer than opening it); any other is hashed.

    Raises:
        UserError: a file is missing, changed, or the manifest cannot be read.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        changed = [name for name, recorded in files.items() if not _unchanged(folder / name, recorded)]
        hashes = {name: str(recorded["sha256"]) for name, recorded in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, f"{MANIFEST}: {error}") from error
    if changed:
        raise _damaged(folder, f"{changed[0]} is missing or not what was installed")
    return hashes


def _unchanged(path: Path, recorded: Mapping[str, object]) -> bool:
    if not path.is_file():
        return False
    status = path.stat()
    if status.st_size != recorded["size"]:
        return False
    return status.st_mtime_ns == recorded["mtime_ns"] or sha256([path]) == recorded["sha256"]


def _damaged(folder: Path, what: str) -> UserError:
    return UserError(f"the cached model in {folder} is damaged ({what}): delete that folder and run again to fetch it")


def sha256(paths: list[Path]) -> str:
    """sha256 over the bytes of all files, in the given order; of one file its ordinary sha256."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
