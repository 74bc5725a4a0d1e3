"""The command `notes`: its arguments; what runs is imported then, since its packages need not be installed."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.claim import UserError

DESCRIPTION = """\
Run the Python blocks of a document in an interpreter and write a page: prose, code, and what each block gave.
Blocks are those between <<execute>> and <</execute>>. What they gave is kept: one that changed runs again, with all
after it and those before it that it relies on (docs/notes-that-run.md).
"""

EXAMPLES = """\
OPTIM_HUNTER_MODEL names the model that the published functions of the blocks run on.

exit code: 0; 1 where the page is written and a block failed, whose traceback it shows; 2 where the document cannot be
used or the page not be written; 130 where it was stopped, and the same command goes on

examples:
  optim-hunter notes docs/notes.md
  optim-hunter notes docs/notes.md --seeds 3 -o notes.html
  OPTIM_HUNTER_MODEL=smollm2-135m optim-hunter notes mine.md --all
"""


class BlocksFailed(Exception):
    """The page of a document was written, and shows the tracebacks of blocks that failed."""


def add_notes_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter notes`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("file", type=Path, help="Markdown with Python blocks")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="the page (default: beside the document)")
    parser.add_argument("--all", action="store_true", help="run the plain Python blocks too")
    parser.add_argument("--seeds", type=int, metavar="N", help="cap every count of batches, seeds or samples at N")
    parser.set_defaults(run=lambda chosen: make_page(chosen.file, chosen.out, chosen.all, chosen.seeds))


def make_page(file: Path, out: Path | None, everything: bool, cap: int | None) -> Path:
    """Run the blocks of a document, write its page and return where it lies; progress goes to stderr.

    Raises:
        UserError: the document is not of the form, the page cannot be written, or a package is missing.
        BlocksFailed: some failed; the page shows their tracebacks.
    """
    from rich.console import Console

    try:
        from optim_hunter.notes.making import make_notes
    except ModuleNotFoundError as error:
        raise UserError(f"notes need {error.name}, which is not installed: pip install 'optim-hunter[notes]'") from None
    made = make_notes(file, out, everything, cap, Console(stderr=True))
    if made.failed:
        raise BlocksFailed(f"{made.page} is written, but {len(made.failed)} failed: {', '.join(made.failed)}")
    return made.page
