"""Workers of pytest-xdist: models side by side, and what a worker and the controller must tell each other.

Workers collect, the controller does not. So a worker leaves the plan of the run in a temporary folder, and the
controller, before any item runs, the name of the folder with the evidence.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

EXCHANGE = "claims_exchange"
"""The key under which a worker's input names the folder."""

PLAN, FOLDER = "plan", "folder"


def exchange_of(config: pytest.Config) -> Path | None:
    """The folder for messages, in a worker; None in any other process."""
    given = getattr(config, "workerinput", {}).get(EXCHANGE)
    return None if given is None else Path(given)


def tell(exchange: Path, name: str, message: Any) -> None:
    """Leave a message; whoever reads it reads all of it."""
    part = tempfile.NamedTemporaryFile("w", dir=exchange, delete=False, encoding="utf-8")  # noqa: SIM115 - moved below
    with part:
        json.dump(message, part)
    Path(part.name).replace(exchange / f"{name}.json")


def heard(exchange: Path, name: str) -> Any:
    """A message; None where there is none yet."""
    path = exchange / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


class WorkersPlugin:
    """The controller's side. `begin` is called once, with the plan, and returns the folder of the evidence."""

    def __init__(self, begin: Callable[[Mapping[str, Any], Sequence[str]], Path]) -> None:
        self._begin, self._exchange = begin, Path()
        self._begun = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        """Make the folder for messages."""
        self._exchange = Path(tempfile.mkdtemp(prefix="optim-hunter-"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Name it to a worker."""
        node.workerinput[EXCHANGE] = str(self._exchange)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Begin once a worker has collected claims."""
        plan = None if self._begun else heard(self._exchange, PLAN)
        if plan is not None:
            self._begun = True
            tell(self._exchange, FOLDER, str(self._begin(plan, ids).absolute()))

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Generator[None, Any, Any]:
        """Keep the items of one model together."""
        from optim_hunter.scheduling import scheduling

        return scheduling((yield), config, log, lambda: heard(self._exchange, PLAN))

    def pytest_unconfigure(self) -> None:
        """Remove the messages."""
        if self._exchange != Path():
            shutil.rmtree(self._exchange, ignore_errors=True)
