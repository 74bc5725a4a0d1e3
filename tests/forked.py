"""Runs of pytest as processes of their own, without what half of their time goes into: they need not import torch anew.

They are forked from a server that has imported what runs import, and has run nothing. What a process does at its exit
is not done: regressors, whose processes end then, would be waited for.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fixtures.inner_runs import IMPORTED

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["pytest", *IMPORTED])


class Forked:
    """`pytest ARGUMENTS` in a folder; what it says goes to a file. `most`: the bytes that a file may have."""

    def __init__(self, arguments: tuple[str, ...], folder: Path, printed: Path, most: int | None = None) -> None:
        self._process = SERVER.Process(target=_run, args=(arguments, folder, printed, most, dict(os.environ)))
        self._process.start()

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self) -> int:
        """The exit status; a signal that ended it is negative."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """To this process alone."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def _run(arguments: tuple[str, ...], folder: Path, printed: Path, most: int | None, given: Mapping[str, Any]) -> None:
    import pytest

    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(given)
    with printed.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    sys.argv = ["pytest", *arguments]
    raise SystemExit(int(pytest.main(list(arguments))))
