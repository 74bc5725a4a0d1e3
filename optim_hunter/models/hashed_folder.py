"""Folders whose files a record, a JSON file that is written last, holds together by their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optim_hunter.claim import UserError


@dataclass(frozen=True)
class HashedFolder:
    """What a command writes: `files`, and a `record` with their sha256 under "files" and with `entries` of these types.

    `what` names the record in messages; `finished` and `again` are the remedies for a folder that holds none, and for
    one that is damaged.
    """

    record: str
    files: tuple[str, ...]
    entries: Mapping[str, type]
    what: str
    finished: str
    again: str

    def read_record(self, folder: Path) -> dict[str, Any]:
        """The record of a folder.

        Raises:
            UserError: there is none, or it is another's.
        """
        path = folder / self.record
        try:
            record = json.loads(self._bytes(path))
        except ValueError as error:
            raise UserError(f"{path} is no JSON ({error})", self.again) from None
        kinds = {**self.entries, "files": dict}
        if not isinstance(record, dict) or any(not isinstance(record.get(key), kind) for key, kind in kinds.items()):
            raise UserError(f"{path} is no {self.what}", self.again)
        return record

    def read(self, folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The record of a folder, and its files by name.

        Raises:
            UserError: one is not there, or not as it was when the record was written.
        """
        record = self.read_record(folder)
        contents = {name: self._bytes(folder / name) for name in self.files}
        for name, digest in hashes(contents).items():
            if digest != record["files"].get(name):
                raise UserError(f"{folder / name} is not the file that {self.record} was written with", self.again)
        return record, contents

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise UserError(f"{path} is not there", self.finished) from None
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror})", "make it readable") from None


def hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    """sha256 by name, as a record holds it."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
