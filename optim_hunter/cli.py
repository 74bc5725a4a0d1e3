"""The command line, `optim-hunter COMMAND`: a table of commands, each with its arguments in a module of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from optim_hunter.claim import UserError
from optim_hunter.evidence.compare_command import VerdictsChanged, add_compare_command
from optim_hunter.evidence.report_command import add_report_command
from optim_hunter.generality.command import add_generality_command
from optim_hunter.notes.command import BlocksFailed, add_notes_command
from optim_hunter.observe.store_command import add_store_command
from optim_hunter.stories.demo_command import add_demo_command
from optim_hunter.stories.fit_command import add_fit_command
from optim_hunter.stories.label_command import add_label_command
from optim_hunter.stories.ladder_command import add_ladder_command
from optim_hunter.stories.rules_command import add_rules_command
from optim_hunter.stories.tables_command import add_tables_command
from optim_hunter.stories.train_command import add_train_command

COMMANDS: Mapping[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "report": (add_report_command, "make an HTML page from a ledger"),
    "compare": (add_compare_command, "tell what changed between two runs"),
    "notes": (add_notes_command, "run the code of a document and make its page"),
    "generality": (add_generality_command, "run claims on a list of models, as one table"),
    "fit": (add_fit_command, "fit the linear model of a word group to a corpus of stories"),
    "label": (add_label_command, "answer the same question yourself, and see the scores"),
    "demo": (add_demo_command, "write a page on which linear models can be explored"),
    "rules": (add_rules_command, "read, judge, fit and extend books of readable rules"),
    "ladder": (add_ladder_command, "tell what each piece of machinery is worth, in nats"),
    "train": (add_train_command, "train the one-layer model on a corpus of stories"),
    "tables": (add_tables_command, "read the one-layer model as tables"),
    "store": (add_store_command, "list what earlier runs saw, or prune it"),
}
"""Name → what adds its arguments and sets what runs, and its line of help."""


def command_line() -> argparse.ArgumentParser:
    """The parser of all commands; what it parses has `run`, which takes all of it and returns what is printed."""
    parser = argparse.ArgumentParser(prog="optim-hunter", description="Claims of interpretability papers as tests.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (add_arguments, summary) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=summary))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake ends in one line and exit code 2, a failed block or a changed verdict in 1."""
    chosen = command_line().parse_args(arguments)
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
