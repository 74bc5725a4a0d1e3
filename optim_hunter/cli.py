"""The command line: pages (`report`, `notes`), claims × models (`generality`), stories (`fit`), the store (`store`)."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from optim_hunter.claim import UserError
from optim_hunter.evidence.compare_command import VerdictsChanged, add_compare_command
from optim_hunter.generality.command import add_generality_command
from optim_hunter.stories.demo_command import add_demo_command
from optim_hunter.stories.fit_command import add_fit_command
from optim_hunter.stories.label_command import add_label_command
from optim_hunter.stories.ladder_command import add_ladder_command
from optim_hunter.stories.rules_command import add_rules_command
from optim_hunter.stories.tables_command import add_tables_command
from optim_hunter.stories.train_command import add_train_command

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from optim_hunter.observe.store import StoredFile


class BlocksFailed(Exception):
    """The page of a document was written, and shows the tracebacks of blocks that failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake ends in one line and exit code 2, a failed block or a changed verdict in 1."""
    parser = argparse.ArgumentParser(prog="optim-hunter", description="Claims of interpretability papers as tests.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="make an HTML page from a ledger")
    report.add_argument("ledger", type=Path, help="a run's folder, or its ledger.json")
    report.add_argument("-o", "--out", type=Path, help="the page (default: report.html beside the ledger)")
    report.set_defaults(run=lambda chosen: make_report(chosen.ledger, chosen.out))
    add_compare_command(commands.add_parser("compare", help="tell what changed between two runs"))
    _add_notes_command(commands.add_parser("notes", help="run the code of a document and make its page"))
    add_generality_command(commands.add_parser("generality", help="run claims on a list of models, as one table"))
    add_fit_command(commands.add_parser("fit", help="fit the linear model of a word group to a corpus of stories"))
    add_label_command(commands.add_parser("label", help="answer the same question yourself, and see the scores"))
    add_demo_command(commands.add_parser("demo", help="write a page on which linear models can be explored"))
    add_rules_command(commands.add_parser("rules", help="read, judge, fit and extend books of readable rules"))
    add_ladder_command(commands.add_parser("ladder", help="tell what each piece of machinery is worth, in nats"))
    add_train_command(commands.add_parser("train", help="train the one-layer model on a corpus of stories"))
    add_tables_command(commands.add_parser("tables", help="read the one-layer model as tables"))
    _add_store_commands(commands.add_parser("store", help="list what passes and fits showed, or prune it"))
    chosen = parser.parse_args(arguments)
    try:
        print(chosen.run(chosen))
    except UserError as error:
        print(f"optim-hunter: {error}", file=sys.stderr)
        return 2
    except (BlocksFailed, VerdictsChanged) as error:
        print(f"optim-hunter: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"optim-hunter: {str(error) or 'stopped'}", file=sys.stderr)
        return 130
    return 0


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


def _add_notes_command(notes: argparse.ArgumentParser) -> None:
    notes.add_argument("file", type=Path, help="Markdown with Python blocks (docs/notes-that-run.md)")
    notes.add_argument("-o", "--out", type=Path, help="the page (default: beside the document)")
    notes.add_argument("--all", action="store_true", help="run the plain Python blocks too")
    notes.add_argument("--seeds", type=int, metavar="N", help="cap every count of batches, seeds or samples at N")
    notes.set_defaults(run=lambda chosen: make_page_of_notes(chosen.file, chosen.out, chosen.all, chosen.seeds))


def make_page_of_notes(file: Path, out: Path | None, everything: bool, cap: int | None) -> Path:
    """Run the blocks of a document, write its page and return where it lies; progress goes to stderr.

    Raises:
        UserError: the document is not of the form, the page cannot be written, or a package is missing.
        BlocksFailed: some failed; the page shows their tracebacks.
    """
    from rich.console import Console

    try:
        from optim_hunter.notes.command import make_notes
    except ModuleNotFoundError as error:
        raise UserError(f"notes need {error.name}, which is not installed: pip install 'optim-hunter[notes]'") from None
    made = make_notes(file, out, everything, cap, Console(stderr=True))
    if made.failed:
        raise BlocksFailed(f"{made.page} is written, but {len(made.failed)} failed: {', '.join(made.failed)}")
    return made.page


def _add_store_commands(store: argparse.ArgumentParser) -> None:
    place = "the store (default: the one in the cache)"
    store.add_argument("--store", metavar="FOLDER", help=place)
    store.set_defaults(run=lambda chosen: list_store(chosen.store))
    prune = store.add_subparsers(metavar="[prune]").add_parser(
        "prune", help="remove what killed processes left, and what is asked for"
    )
    # suppressed, else this default would undo a --store that stands before `prune`
    prune.add_argument("--store", metavar="FOLDER", default=argparse.SUPPRESS, help=place)
    prune.add_argument(
        "--older-than", type=float, default=math.inf, metavar="DAYS", help="also what is older than DAYS"
    )
    prune.add_argument("--damaged", action="store_true", help="also files that were set aside as damaged")
    prune.add_argument("--all", action="store_true", help="everything, except what a process may be writing now")
    prune.set_defaults(run=lambda chosen: prune_store(chosen.store, chosen.older_than, chosen.damaged, chosen.all))


def list_store(folder: str | None = None) -> str:
    """A table of what a store holds, by kind and by model or corpus.

    Raises:
        UserError: no such folder.
    """
    from rich.console import Console

    from optim_hunter.observe.store import store_folder, stored_files

    place = store_folder(folder)
    console = Console()
    with console.capture() as captured:
        console.print(_table(stored_files(place)))
    return f"{place}\n{captured.get().rstrip()}"


def _table(files: list[StoredFile]) -> Table:
    from rich.table import Column, Table

    groups: defaultdict[tuple[str, str], list[StoredFile]] = defaultdict(list)
    for file in files:
        groups[file.subject() if file.state == "stored" else (file.state, "")].append(file)
    times = [Column(name, no_wrap=True) for name in ("oldest", "newest")]
    table = Table("what", "model or corpus", "files", "size", *times)
    for group in sorted(groups):
        table.add_row(*_row(group, groups[group]))
    table.add_section()
    table.add_row(*_row(("total", ""), files))
    return table


def _row(group: tuple[str, str], files: list[StoredFile]) -> list[Text]:
    from rich.filesize import decimal
    from rich.text import Text

    times = sorted(f"{datetime.fromtimestamp(file.written):%Y-%m-%d %H:%M}" for file in files)
    size = decimal(sum(file.size for file in files))
    return [Text(cell) for cell in (*group, f"{len(files):,}", size, *(times[:1] + times[-1:]))]


def prune_store(folder: str | None, older_than: float, damaged: bool, everything: bool) -> str:
    """Remove files of a store (ages in days) and say in one line what was removed.

    Raises:
        UserError: no such folder; a negative age; a file cannot be removed.
    """
    from rich.filesize import decimal

    from optim_hunter.observe.store import prune, store_folder

    if not older_than >= 0:
        raise UserError(f"--older-than {older_than:g} is no age: give zero days or more")
    place = store_folder(folder)
    removed = prune(place, -math.inf if everything else older_than, damaged or everything)
    states = Counter(file.state for file in removed)
    what = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items())) or "nothing"
    return f"removed {what} ({decimal(sum(file.size for file in removed))}) from {place}"
