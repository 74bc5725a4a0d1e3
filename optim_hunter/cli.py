"""The command line: `optim-hunter report LEDGER` makes the evidence page from a ledger alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optim_hunter.claim import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake ends in one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="optim-hunter", description="Claims of interpretability papers as tests.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="make an HTML page from a ledger")
    report.add_argument("ledger", type=Path, help="ledger.json of a run")
    report.add_argument("-o", "--out", type=Path, help="the page (default: report.html beside the ledger)")
    report.set_defaults(run=lambda chosen: make_report(chosen.ledger, chosen.out))
    chosen = parser.parse_args(arguments)
    try:
        print(chosen.run(chosen))
    except UserError as error:
        print(f"optim-hunter: {error}", file=sys.stderr)
        return 2
    return 0


def make_report(ledger: Path, out: Path | None = None) -> Path:
    """Write the page of a ledger and return where it lies.

    Raises:
        UserError: the ledger cannot be read, or the page cannot be written.
    """
    from optim_hunter.evidence.report import page_html

    page = out or ledger.with_name("report.html")
    content = read_ledger(ledger)
    try:
        page.write_text(page_html(content), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{page} cannot be written ({error.strerror}): name another with --out") from None
    return page


def read_ledger(path: Path) -> dict[str, Any]:
    """A ledger as JSON data.

    Raises:
        UserError: no such file, or no ledger of a known schema.
    """
    from optim_hunter.evidence.ledger import SCHEMA

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no ledger ({error}): give the ledger.json of a run") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path} is no ledger of schema {SCHEMA}: give the ledger.json of a run of this version")
    return content
