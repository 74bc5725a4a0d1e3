"""What a run has measured, in its folder as it comes: for all workers of the run, and for its command after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from optim_hunter.stats.decision import SeedNumber

Record = dict[str, Any]


class JournalLost(Exception):
    """What was measured cannot be kept; names the file and the remedy."""


class Journal:
    """Lines of JSON, in one file a process: nobody writes into the file of another.

    What shares passes is held by one process at a time, so that no two measure the same. The operating system lets go
    of what a killed process held; a line that it had not finished is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        descriptor, path = tempfile.mkstemp(suffix=".jsonl", dir=folder)
        self._own, self._path = os.fdopen(descriptor, "w", encoding="utf-8"), Path(path)
        self._reader = Reader(folder, without=self._path)
        self._held: tuple[str, IO[str]] | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Write a line.

        Raises:
            JournalLost: it cannot be written.
        """
        line = json.dumps(record, default=lambda value: value.tolist()) + "\n"
        try:
            self._own.write(line)
            self._own.flush()
        except OSError as error:
            lost = f"{self._path} cannot be written ({error.strerror})"
            raise JournalLost(f"{lost}: make room for it, and the same command goes on with this run") from None

    def others(self) -> Iterator[Record]:
        """The lines of other processes, living or dead, that were not read yet."""
        return self._reader.new_records()

    def hold(self, passes: str) -> bool:
        """Let go of the passes held before, and wait until no other process makes these; False if they were held."""
        if self._held is not None and self._held[0] == passes:
            return False
        self.let_go()
        lock = (self.folder / f"{hashlib.sha256(passes.encode()).hexdigest()[:16]}.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._held = passes, lock
        return True

    def let_go(self, but: str | None = None) -> None:
        """Let others make the passes that are held, unless they are these."""
        if self._held is not None and self._held[0] != but:
            self._held[1].close()
            self._held = None

    def close(self) -> None:
        """Let go of everything; what was written stays."""
        self.let_go()
        with contextlib.suppress(OSError):  # a line that could not be written is tried again
            self._own.close()


class Reader:
    """Reads each line of a run's processes once."""

    def __init__(self, folder: Path, without: Path | None = None) -> None:
        self._folder, self._without = folder, without
        self._read: dict[Path, int] = {}

    def new_records(self) -> Iterator[Record]:
        """What was written since the last call; the end of a line that is still being written comes with the next."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if path != self._without:
                yield from self._new_lines(path)

    def _new_lines(self, path: Path) -> Iterator[Record]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read[path] = self._read.get(path, 0) + len(line)
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


class Tally:
    """Counts the seeds that a run has measured, case by case."""

    def __init__(self, folder: Path) -> None:
        self._reader = Reader(folder)
        self._seeds: set[tuple[str, str, str, int]] = set()

    def counts(self) -> Counter[tuple[str, str, str]]:
        """Claim, model and protocol → seeds; those of a folder that is gone stay."""
        for record in self._reader.new_records():
            if "number" in record:
                self._seeds.add((*record["case"], record["number"]["seed"]))
        return Counter((claim, model, protocol) for claim, model, protocol, _ in self._seeds)


def number_record(number: SeedNumber) -> Record:
    """A seed's number as JSON data; what repeats the values is left out."""
    ends = {"lowest": number.lowest, "highest": number.highest}
    kept = {name: end for name, end in ends.items() if end is not None and not _alike(end, number.values or {})}
    return {"seed": number.seed, "values": number.values, "missing": number.missing, "lost": number.lost, **kept}


def number_of(record: Record) -> SeedNumber:
    """The number that `number_record` wrote, to the last bit."""
    values = _arrays(record["values"])
    ends = [_arrays(record[name]) if name in record else values for name in ("lowest", "highest")]
    return SeedNumber(record["seed"], values, record["missing"], record["lost"], *ends)


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def _arrays(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Numbers and arrays of double precision."""
    return None if values is None else {name: np.asarray(value, dtype=float)[()] for name, value in values.items()}
