"""The interpreter that blocks share: a Jupyter kernel of this Python, reached through sockets of a private folder."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from rich.text import Text

from optim_hunter.claim import UserError
from optim_hunter.evidence import fragment
from optim_hunter.notes.results import Output, Result

START_SECONDS = 600
"""How long a kernel may take to start, on a machine that does much else."""
OUTPUT_SECONDS = 600
"""How long the last outputs of a block may take to arrive; figures are many megabytes."""


class ThisPython(KernelSpecManager):
    """Knows one kernel: the interpreter that runs this, whatever kernels are installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002
        """The kernel, under any name."""
        return KernelSpec(argv=make_ipkernel_cmd(), display_name="Python", language="python")


class Kernel:
    """A running kernel; `ended` once it has died."""

    def __init__(self, client: NotebookClient, mark: str) -> None:
        self.ended = False
        self._client = client
        self._mark = mark

    def run(self, code: str) -> tuple[Result, str]:
        """What a block gave, and what it wrote to stderr."""
        cell = nbformat.v4.new_code_cell(code)
        self._client.nb.cells.append(cell)
        manager = self._client.km  # it forgets its manager when the kernel ends
        error: str | None
        started = time.monotonic()
        try:
            self._client.execute_cell(cell, len(self._client.nb.cells) - 1)
        except DeadKernelError:
            self.ended = True
            error = f"{_ending(manager)} while it ran this block."
        else:
            error = _traceback(cell.outputs)
        result = Result(_shown(cell.outputs, self._mark), error, time.monotonic() - started)
        return result, _stream(cell.outputs, "stderr")


@contextmanager
def running_kernel(folder: Path, environment: Mapping[str, str]) -> Iterator[Kernel]:
    """A kernel in a folder, with this process's environment variables and others; it ends with the context.

    It reads no configuration and no startup files of the user, and takes no input.

    Raises:
        UserError: it does not start.
    """
    with ExitStack() as stack:
        private = stack.enter_context(TemporaryDirectory(prefix="optim-hunter-", ignore_cleanup_errors=True))
        client = _client(private)
        mark = secrets.token_hex(16)
        variables = {**os.environ, **_quiet(), "IPYTHONDIR": private, fragment.IN_NOTES: mark, **environment}
        try:
            stack.enter_context(client.setup_kernel(cwd=str(folder), env=variables, cleanup_kc=True))
        except RuntimeError as error:
            raise UserError(
                f"the kernel did not start ({error}): see whether `{sys.executable} -m ipykernel_launcher` starts"
            ) from error
        try:
            yield Kernel(client, mark)
        except KeyboardInterrupt:
            client.shutdown_kernel = "immediate"  # it is in the midst of a block
            raise


def _quiet() -> dict[str, str]:
    """Variables that spare the reader what a kernel says of its debugger, and tqdm of a notebook that is none."""
    filters = [os.environ.get("PYTHONWARNINGS", ""), "ignore:IProgress not found"]
    return {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONWARNINGS": ",".join(filter(None, filters))}


def _client(private: str) -> NotebookClient:
    manager = AsyncKernelManager(
        kernel_spec_manager=ThisPython(),
        transport="ipc",
        ip=f"{private}/socket",
        connection_file=f"{private}/kernel.json",
    )
    return NotebookClient(
        nbformat.v4.new_notebook(), km=manager, allow_errors=True, timeout=None, startup_timeout=START_SECONDS,
        iopub_timeout=OUTPUT_SECONDS, raise_on_iopub_timeout=True,
        extra_arguments=["--HistoryManager.enabled=False", "--InteractiveShell.colors=nocolor"],
    )  # fmt: skip


def _shown(outputs: list[dict[str, Any]], mark: str) -> tuple[Output, ...]:
    shown: list[Output] = []
    told = [one for one in outputs if (one["output_type"], one.get("name")) != ("stream", "stderr")]
    for is_printed, group in itertools.groupby(told, lambda one: one["output_type"] == "stream"):
        if is_printed:
            cut = fragment.parts("".join(one["text"] for one in group), mark)
            shown += [Output("fragment" if is_fragment else "printed", part) for part, is_fragment in cut]
        else:
            shown += _values(group, mark)
    return tuple(shown)


def _values(outputs: Iterable[dict[str, Any]], mark: str) -> Iterator[Output]:
    for output in outputs:
        data = output.get("data", {})
        if "text/html" in data:
            yield Output("html", fragment.unmarked(data["text/html"], mark))
        elif "text/plain" in data:
            yield Output("text", fragment.unmarked(data["text/plain"], mark))


def _traceback(outputs: list[dict[str, Any]]) -> str | None:
    errors = ["\n".join(output["traceback"]) for output in outputs if output["output_type"] == "error"]
    return Text.from_ansi(errors[0]).plain if errors else None


def _stream(outputs: list[dict[str, Any]], name: str) -> str:
    streams = [output for output in outputs if output["output_type"] == "stream"]
    return "".join(output["text"] for output in streams if output["name"] == name)


def _ending(manager: KernelManager | None) -> str:
    process = getattr(getattr(manager, "provisioner", None), "process", None)
    code = process.poll() if process else None
    if code is None:
        return "The interpreter ended"
    if code >= 0:
        return f"The interpreter ended with exit code {code}"
    hint = ", perhaps because memory did not suffice" if -code == signal.SIGKILL and sys.platform != "win32" else ""
    return f"The interpreter was ended by {signal.Signals(-code).name}{hint}"
