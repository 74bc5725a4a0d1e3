"""Whether a file or folder can be written, found out before minutes of work."""

from __future__ import annotations

import tempfile
from pathlib import Path

from optim_hunter.claim import UserError


def unwritable(path: Path, error: OSError, remedy: str) -> UserError:
    """The user's mistake behind an error of the disk."""
    return UserError(f"{path} cannot be written ({error.strerror or error}): {remedy}")


def require_writable(path: Path, folder: Path, remedy: str) -> None:
    """See whether `path` can be written where `folder` is or would be; nothing is made.

    Raises:
        UserError: it cannot.
    """
    try:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise unwritable(path, error, remedy) from None
