"""Whether a file or folder can be written, found out before minutes of work."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optim_hunter.claim import UserError

MARK_WITHIN = 4096
"""Bytes of a file in which a page has its mark."""


def unwritable(path: Path, error: OSError, remedy: str) -> UserError:
    """The user's mistake behind an error of the disk."""
    return UserError(f"{path} cannot be written ({error.strerror or error}): {remedy}")


@contextmanager
def writing(path: Path, remedy: str) -> Iterator[None]:
    """Errors of the disk within are the user's.

    Raises:
        UserError: one occurred.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(path, error, remedy) from None


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


def require_page(out: Path, mark: str, remedy: str) -> None:
    """See, before minutes of work, that a page can be written, and over nothing but an earlier one with this mark.

    Raises:
        UserError: it cannot.
    """
    if out.is_dir():
        raise UserError(f"{out} cannot be written (it is a folder): {remedy}")
    require_writable(out, out.parent, remedy)
    try:
        if out.exists() and mark.encode() not in out.read_bytes()[:MARK_WITHIN]:
            raise UserError(f"{out} is there and is no page of this command: {remedy}, or remove it")
    except OSError as error:
        raise unwritable(out, error, remedy) from None
