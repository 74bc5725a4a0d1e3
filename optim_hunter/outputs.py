"""Where a run leaves its evidence, and pytest-html's page in it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from optim_hunter.claim import UserError


def output_folder(config: pytest.Config, named: str | None) -> Path:
    """Make the folder of the evidence; a new one for every run unless `--claims-out` names it.

    Raises:
        UserError: it cannot be written, or holds the evidence of another run.
    """
    reports = config.rootpath / "reports"
    folder = Path(named) if named else _fresh(reports / datetime.now().strftime("%Y-%m-%dT%H-%M-%S"))
    if (folder / "ledger.json").exists():
        raise UserError(f"{folder} holds the evidence of another run: name another folder with --claims-out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ledger.json.part").touch()
    except OSError as error:
        raise UserError(f"no evidence can be written to {folder} ({error}): name another with --claims-out") from None
    if not named:
        _link_latest(reports, folder)
    return folder


def _fresh(folder: Path) -> Path:
    candidates = (folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, 1000)))
    return next(candidate for candidate in candidates if not candidate.exists())


def _link_latest(reports: Path, folder: Path) -> None:
    link = reports / f".latest-{os.getpid()}"
    link.symlink_to(folder.name)
    link.replace(reports / "latest")


def start_html(config: pytest.Config, session: pytest.Session, path: Path) -> None:
    """Let pytest-html write its page into the run's folder, which is known only once claims are collected."""
    import pytest_html.plugin

    before = set(config.pluginmanager.get_plugins())
    config.option.htmlpath, config.option.self_contained_html = str(path), True
    pytest_html.plugin.pytest_configure(config)
    for plugin in set(config.pluginmanager.get_plugins()) - before:
        plugin.pytest_sessionstart(session)
        plugin.pytest_collection_finish(session)
