"""The command `demo`: its arguments, and what is read before any long work."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.stories.arguments import add_corpus, add_groups, add_store

DESCRIPTION = """\
Write a page on which the linear models of word groups can be explored: weights of a token at a position,
tokens with similar weights, held-out examples, and the words that a typed sentence makes likely.
A second tab has the rule books of groups: rules by gain, where they fire, and for a typed sentence what rule book,
linear model and one-layer model expect. The page is one HTML file of at most 4 MB and needs no network.
"""

EXAMPLES = """\
Fits are kept in the store: a command that was stopped goes on where it was, and a second page is quick.

examples:
  optim-hunter demo
  optim-hunter demo --group conjunctions when,then,again --corpus stories.txt.gz -o stories.html
  optim-hunter demo --group conjunctions --corpus F.txt --rules mine.json --model DIR
"""


def add_demo_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter demo`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    add_corpus(parser)
    add_groups(parser)
    parser.add_argument(
        "--rules", nargs="+", type=Path, metavar="FILE", default=[],
        help="rule books of your own (default: the packaged ones, for groups of the packaged corpus)",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=Path, metavar="DIR",
        help="the one-layer model beside the rule books: what optim-hunter train wrote (default: the packaged one)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("stories.html"), metavar="FILE", help="the page (default: %(default)s)"
    )
    add_store(parser)
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> Path:
    from optim_hunter.stories.demo_making import make_demo

    return make_demo(chosen.group, chosen.corpus, chosen.out, chosen.store, chosen.rules, chosen.model)
