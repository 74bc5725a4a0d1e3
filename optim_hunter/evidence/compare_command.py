"""`optim-hunter compare A B`: what changed between two runs, in the terminal and as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from optim_hunter.claim import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from optim_hunter.evidence.comparison import Comparison, Pair


DESCRIPTION = """\
Tell what changed between two runs, claim by claim: verdicts, effects, intervals, seeds, definitions, and what the
runs say of themselves. What is the same in both is left out of the terminal's table and stands last on the page.
"""

EXAMPLES = """\
exit code: 0 where every verdict that both runs have is the same, 1 where one is not, 2 where a ledger cannot be read or
the page not be written

examples:
  optim-hunter compare reports/reference reports/latest
  optim-hunter compare before/ledger.json after/ledger.json --out comparison.html
"""


class VerdictsChanged(Exception):
    """Two runs do not have the same verdicts."""


def add_compare_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter compare`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("before", type=Path, help="a run's folder, or its ledger.json")
    parser.add_argument("after", type=Path, help="another's")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="also write the comparison as a page")
    parser.set_defaults(run=lambda chosen: compare_runs(chosen.before, chosen.after, chosen.out))


def compare_runs(before: Path, after: Path, out: Path | None = None) -> str:
    """Print what changed between two runs, and write the page where one is asked for; the summary in one line.

    Raises:
        UserError: one of the ledgers cannot be read, or the page cannot be written.
        VerdictsChanged: both runs have a verdict on some claim, and not the same.
    """
    from rich.console import Console

    from optim_hunter.evidence.comparison import compare
    from optim_hunter.evidence.ledger import read_ledger

    found = compare(read_ledger(before), read_ledger(after))
    console = Console()
    for table in terminal_tables(found):
        console.print(table)
    if out is not None:
        try:
            out.write_text(comparison_page(found, str(before), str(after)), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{out} cannot be written ({error.strerror}): name another with --out") from None
    if found.verdicts_changed:
        raise VerdictsChanged(found.summary)
    return found.summary


def terminal_tables(found: Comparison) -> list[Table]:
    """What there is to say of claims, then of the runs themselves; a table without rows is left out."""
    from rich.table import Table
    from rich.text import Text

    from optim_hunter.evidence.text import visible

    claims = Table("claim", "before", "after", "what else", show_lines=True)
    for pair in found.changed:
        cells = (_title(pair), *_findings(pair), "\n".join(_remarks(pair)))
        style = "bold" if pair.verdict_changed else ""
        claims.add_row(*(Text(visible(cell), overflow="fold") for cell in cells), style=style)
    runs = Table("of the runs", "before", "after")
    for row in found.runs:
        runs.add_row(*(Text(visible(cell), overflow="fold") for cell in row))
    return [table for table in (claims, runs) if table.row_count]


def comparison_page(found: Comparison, before: str, after: str) -> str:
    """The comparison as an HTML page that runs no script and loads nothing."""
    from optim_hunter.evidence import fragment

    rows = [(pair, _findings(pair), _remarks(pair)) for pair in (*found.changed, *_same(found))]
    whole = fragment.render("comparison.html", found=found, rows=rows, names=(before, after))
    return fragment.allow_only(whole, [])


def _same(found: Comparison) -> list[Pair]:
    return [pair for pair in found.pairs if not pair.changed]


def _title(pair: Pair) -> str:
    claim, model, protocol, corpus = pair.key
    return f"{claim}\n{model}, {protocol}{f', corpus {corpus[:12]}' if corpus else ''}"


def _findings(pair: Pair) -> tuple[str, str]:
    """Verdict and effect of each run."""
    from optim_hunter.evidence.lines import SYMBOLS
    from optim_hunter.evidence.text import estimate

    told = []
    for entry in (pair.before, pair.after):
        if entry is None:
            told.append("–")
            continue
        effect, interval = estimate(entry["effect"], entry["interval"])
        shown = f"{effect} ({interval})" if interval else effect
        told.append(f"{SYMBOLS[entry['verdict']]} {entry['verdict']}\n{shown} {entry['unit']}")
    return told[0], told[1]


def _remarks(pair: Pair) -> list[str]:
    apart = {True: "the intervals overlap", False: "the intervals do not overlap"}
    overlap = [apart[pair.overlap]] if pair.overlap is not None and pair.effect_changed else []
    control = ["a control"] if pair.either["control"] else []
    return [*control, *overlap, *pair.notes]
