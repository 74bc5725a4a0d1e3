"""The commands `store` and `store prune`: what passes and fits showed, by kind, and how it is removed."""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from optim_hunter.claim import UserError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from optim_hunter.observe.store import StoredFile

DESCRIPTION = """\
List what earlier runs saw and is not run again: passes, fits, seeds of one-layer models and results of notes, by model
or corpus, with their size and age. `prune` removes files of it; whatever is removed is made anew when it is asked for.
"""

EXAMPLES = """\
exit code: 0; 2 where there is no such store

examples:
  optim-hunter store
  optim-hunter store prune
  optim-hunter store prune --older-than 30 --damaged
  optim-hunter store --store /tmp/other prune --all
"""

PRUNE_DESCRIPTION = "Remove what killed processes left, and what the options ask for."

PRUNE_EXAMPLES = """\
exit code: 0; 2 where there is no such store, or a file cannot be removed

examples:
  optim-hunter store prune
  optim-hunter store prune --older-than 30 --damaged
"""


def add_store_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter store`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    place = "the store (default: the one in the cache)"
    parser.add_argument("--store", metavar="FOLDER", help=place)
    parser.set_defaults(run=lambda chosen: list_store(chosen.store))
    prune = parser.add_subparsers(metavar="[prune]").add_parser(
        "prune", help="remove what killed processes left, and what is asked for"
    )
    prune.formatter_class = argparse.RawDescriptionHelpFormatter
    prune.description, prune.epilog = PRUNE_DESCRIPTION, PRUNE_EXAMPLES
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
