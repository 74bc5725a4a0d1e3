"""The command `rules`: its arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

DESCRIPTION = """\
Rule books: readable rules that say which word of a group comes next, from the 16 tokens before it.
BOOK is a file, or a group that has a packaged book; what is changed must be a file of your own.
A book is about one corpus, and asks the one-layer model that was trained on it: --corpus and --model, as
optim-hunter train had them, or the packaged two.
"""

EXAMPLES = """\
examples:
  optim-hunter rules list conjunctions
  optim-hunter rules show conjunctions comma-1
  optim-hunter rules predict conjunctions "Tom wanted to play with the ball in the park,"
  optim-hunter rules new conjunctions mine.json
  optim-hunter rules suggest mine.json
  optim-hunter rules accept mine.json comma-1
  optim-hunter rules fit mine.json
  optim-hunter rules evaluate mine.json
  optim-hunter train --corpus F.txt --out DIR           # a corpus of your own, from here on
  optim-hunter rules new conjunctions mine.json --corpus F.txt
  optim-hunter rules suggest mine.json --corpus F.txt --model DIR
"""

VERBS = {
    "list": "the rules by their gain on held-out stories",
    "show": "one rule: sentence, condition, shifts, examples, how often it fires",
    "evaluate": "a verdict on each rule: what it gains, and whether the one-layer model uses it",
    "new": "begin a book without rules",
    "fit": "fit all shifts together",
    "suggest": "find rules that the book lacks and the one-layer model knows",
    "accept": "take suggested rules into the book",
    "refuse": "put suggested rules away for good",
    "predict": "a sentence: the rules that fire, and what rule book, linear model and one-layer model expect",
    "score": "how much of the one-layer model books know, against their number of rules",
}


def add_rules_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter rules`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    one = {name: verbs.add_parser(name, help=text, description=text) for name, text in VERBS.items()}
    for name, verb in one.items():
        verb.set_defaults(run=_runner(name))
        verb.add_argument(
            "--corpus",
            metavar="FILE",
            help="stories that the book is about: .txt or .gz, <|endoftext|> between them (default: the packaged ones)",
        )
    for name in ("evaluate", "suggest", "predict", "score"):
        one[name].add_argument(
            "--model", type=Path, metavar="DIR", help="what optim-hunter train wrote (default: the packaged model)"
        )
    for name in ("list", "show", "evaluate", "fit", "predict"):
        one[name].add_argument("book", metavar="BOOK", help="a file, or a group that has a packaged book")
    for name in ("suggest", "accept", "refuse"):
        one[name].add_argument("book", metavar="FILE", type=Path, help="a rule book of your own, which is changed")
    one["predict"].add_argument("sentence", metavar="SENTENCE", help="of 16 tokens or more, up to before the word")
    one["show"].add_argument("name", metavar="NAME", help="of the rule")
    for name in ("accept", "refuse"):
        one[name].add_argument("names", metavar="NAME", nargs="+", help="of the suggestions")
    one["accept"].add_argument("--as", dest="renamed", metavar="NAME", help="another name for a single rule")
    one["new"].add_argument("group", metavar="GROUP", help="by name, or words with commas between: and,but,so")
    one["new"].add_argument("book", metavar="FILE", type=Path, help="where it is written")
    one["fit"].add_argument("-o", "--out", type=Path, metavar="FILE", help="where it is written (default: BOOK)")
    one["suggest"].add_argument(
        "--most", type=int, default=20, metavar="N", help="at most so many are proposed (default: %(default)s)"
    )
    one["score"].add_argument("books", metavar="BOOK", nargs="*", help="files, or groups (default: all packaged)")
    one["score"].add_argument(
        "-o", "--out", type=Path, default=Path("rules.html"), metavar="FILE", help="the page (default: %(default)s)"
    )


def _runner(verb: str) -> Callable[[argparse.Namespace], str]:
    def run(chosen: argparse.Namespace) -> str:
        from optim_hunter.stories import rules

        work: Callable[[argparse.Namespace], str] = getattr(rules, f"{verb}_rules")
        return work(chosen)

    return run
