"""`optim-hunter report LEDGER`: the evidence page of a run, from its ledger alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.claim import UserError

DESCRIPTION = """\
Make the evidence page of a run from its ledger.json: every claim with verdict, effects, figures and provenance.
The page is one HTML file and needs no network. Of a run that was killed it shows what there is.
"""

EXAMPLES = """\
exit code: 0; 2 where the ledger cannot be read or the page not be written

examples:
  optim-hunter report reports/latest
  optim-hunter report reports/latest/ledger.json --out page.html
"""


def add_report_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter report`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("ledger", type=Path, help="a run's folder, or its ledger.json")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="the page (default: report.html beside the ledger)"
    )
    parser.set_defaults(run=lambda chosen: make_report(chosen.ledger, chosen.out))


def make_report(ledger: Path, out: Path | None = None) -> Path:
    """Write the page of a ledger and return where it lies.

    Raises:
        UserError: the ledger cannot be read, or the page cannot be written.
    """
    from optim_hunter.evidence.ledger import read_ledger
    from optim_hunter.evidence.report import page_html

    page = out or (ledger if ledger.is_dir() else ledger.parent) / "report.html"
    content = read_ledger(ledger)
    try:
        page.write_text(page_html(content), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{page} cannot be written ({error.strerror}): name another with --out") from None
    return page
