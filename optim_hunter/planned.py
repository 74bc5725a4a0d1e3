"""What a run is to do, as JSON data: two runs with one plan measure the same numbers and end in the same verdicts."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optim_hunter.cases import Case
from optim_hunter.evidence.provenance import versions


def plan_of(cases: Iterable[Case], verdicts: Iterable[Case], options: Mapping[str, Any]) -> dict[str, Any]:
    """The cases of a run with their definitions, its verdicts in order, its options, and the code that measures."""
    cases = list(cases)
    files = {str(options["corpus"]): _stamp(options["corpus"])} if options.get("corpus") else {}
    files |= {model: stamp for model in {case.model for case in cases} if (stamp := _stamp_of_model(model))}
    return {
        "cases": [
            [*case.key, list(case.seeds), case.definition_hash, _hash("".join(case.helper_code.values()).encode())]
            for case in cases
        ],
        "verdicts": [
            {"claim": case.claim.id, "model": case.model, "protocol": case.protocol.name, "seeds": len(case.seeds)}
            for case in verdicts
        ],
        "options": dict(options),
        "files": files,
        "code": {"package": package_hash(), **versions()},
    }


@functools.cache
def package_hash() -> str:
    """A hash of this package's own code and data."""
    root = Path(__file__).parent
    return _hash(*(part for file in package_files(root) for part in (file.name.encode(), file.read_bytes())))


def package_files(root: Path) -> list[Path]:
    """Code and data of a package; what Python compiles of them may come and go."""
    files = {*root.rglob("*.py"), *(root / "data").rglob("*")}
    return sorted(file for file in files if "__pycache__" not in file.parts and file.is_file())


def _stamp_of_model(name: str) -> list[list[Any]]:
    """That of the folder that it names, by itself or behind a prefix (`random:./model`, `one-layer:FOLDER`)."""
    return _stamp(name) or _stamp(name.rpartition(":")[2])


def _stamp(path: str) -> list[list[Any]]:
    """Name, size and time of a file, or of all files of a folder; empty where there is none."""
    start = Path(path).expanduser()
    files = sorted(start.rglob("*")) if start.is_dir() else [start]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
