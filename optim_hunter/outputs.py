"""Where a run leaves its evidence: a folder of its own, or that of an unfinished run of the same command."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pytest

from optim_hunter.claim import UserError

UNFINISHED = "unfinished"
"""The part of a run's folder that is there while it is unfinished: its command, what it has measured, locks."""

COMMAND = "command.json"
ANOTHER = "name another folder with --claims-out"


@dataclass
class RunFolder:
    """The folder of a run, which no other process writes while this one lives; `resumed`: another one began it."""

    path: Path
    resumed: bool
    _lock: IO[str]

    @property
    def measured(self) -> Path:
        """Where what was measured is kept."""
        return self.path / UNFINISHED

    def finish(self) -> None:
        """Keep the evidence alone: nobody will go on with this run."""
        shutil.rmtree(self.measured)
        self.leave()

    def leave(self) -> None:
        """Let another process go on with this run."""
        self._lock.close()


def open_run_folder(reports: Path, named: str | None, plan: Mapping[str, Any], arguments: Sequence[str]) -> RunFolder:
    """The folder of an unfinished run of the same command, else a new one, linked as `latest` in `reports`.

    Args:
        reports: where folders that nobody names lie.
        named: `--claims-out`; what it names is gone on with where the plan is the same, whatever the arguments.
        plan: what is to be measured, of `planned.plan_of`.
        arguments: of the command, without `--claims-out`.

    Raises:
        UserError: it cannot be written, or holds the evidence of another run.
    """
    command = {"arguments": list(arguments), "plan": dict(plan)}
    if named:
        return _open_named(Path(named), command)
    found = next(_unfinished(reports, command), None) or _fresh(reports, command)
    try:
        _link_latest(reports, found.path)
    except UserError:
        found.leave()
        raise
    return found


def _open_named(folder: Path, command: Mapping[str, Any]) -> RunFolder:
    begun = _read(folder / UNFINISHED / COMMAND)
    if begun is None or _finished(folder):
        if (folder / "ledger.json").exists():
            raise UserError(f"{folder} holds the evidence of another run: {ANOTHER}")
        return _begin(folder, command)
    if begun["plan"] != command["plan"]:
        told = shlex.join(begun["arguments"])
        raise UserError(f"{folder} holds an unfinished run of other claims, options or code (pytest {told}): {ANOTHER}")
    return RunFolder(folder, True, _lock_or_refuse(folder))


def _unfinished(reports: Path, command: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Unfinished runs of a command whose processes are gone, the newest first."""
    for path in sorted(reports.glob(f"*/{UNFINISHED}/{COMMAND}"), reverse=True):
        folder = path.parent.parent
        if folder.is_symlink() or _read(path) != command:
            continue
        with contextlib.suppress(OSError):  # another user's, or gone
            lock = _lock(folder)
            if lock is not None and path.exists() and not _finished(folder):  # it may have ended until it was locked
                yield RunFolder(folder, True, lock)
            elif lock is not None:
                lock.close()


def _finished(folder: Path) -> bool:
    """Whether a ledger lies there that says so."""
    ledger = _read(folder / "ledger.json")
    run = ledger.get("run") if isinstance(ledger, dict) else None
    return isinstance(run, dict) and run.get("finished") is not None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _lock(folder: Path) -> IO[str] | None:
    """The right to write a run's folder; None where a process that lives has it."""
    lock = (folder / UNFINISHED / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _lock_or_refuse(folder: Path) -> IO[str]:
    try:
        lock = _lock(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    if lock is None:
        raise UserError(f"{folder} is being written by a run that goes on: wait for its end, or {ANOTHER}")
    return lock


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"no evidence can be written to {folder} ({error.strerror}): {ANOTHER}")


def _fresh(reports: Path, command: Mapping[str, Any]) -> RunFolder:
    """A folder that no other run has, though it began in the same second."""
    name = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    for folder in (reports / name, *(reports / f"{name}-{number}" for number in range(2, 1000))):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(reports, error) from None
        return _begin(folder, command)
    raise UserError(f"{reports} has a thousand runs of this second: {ANOTHER}")


def _begin(folder: Path, command: Mapping[str, Any]) -> RunFolder:
    try:
        (folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
        lock = _lock_or_refuse(folder)
        part = folder / UNFINISHED / f"{COMMAND}.part"
        part.write_text(json.dumps(command), encoding="utf-8")
        part.replace(folder / UNFINISHED / COMMAND)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return RunFolder(folder, False, lock)


def _link_latest(reports: Path, folder: Path) -> None:
    link = reports / f".latest-{os.getpid()}"
    try:
        link.symlink_to(folder.name)
        link.replace(reports / "latest")
    except OSError as error:
        link.unlink(missing_ok=True)
        taken = f"{reports / 'latest'} cannot be linked to this run ({error.strerror})"
        raise UserError(f"{taken}: remove it, or {ANOTHER}") from None


def start_html(config: pytest.Config, session: pytest.Session, path: Path) -> None:
    """Let pytest-html write its page into the run's folder, which is known only once claims are collected."""
    import pytest_html.plugin

    before = set(config.pluginmanager.get_plugins())
    config.option.htmlpath, config.option.self_contained_html = str(path), True
    pytest_html.plugin.pytest_configure(config)
    for plugin in set(config.pluginmanager.get_plugins()) - before:
        plugin.pytest_sessionstart(session)
        plugin.pytest_collection_finish(session)
