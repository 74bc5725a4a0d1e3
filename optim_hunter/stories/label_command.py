"""The command `label`: its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.claim import UserError
from optim_hunter.stories.arguments import add_corpus, add_store

DESCRIPTION = """\
Answer 50 examples in the terminal: of a story that the linear model was not fitted to, the 16 tokens before a
word of the group. Which word comes next? One key each, u undoes, q stops; the same command goes on later.

Every answer is saved at once. Which words came is shown when all are answered, with the scores of the linear
model, of language models and of always saying the commonest word, on the same examples.
"""

EXAMPLES = """\
examples:
  optim-hunter label --who Ann
  optim-hunter label --group pronouns --model smollm2-135m
  optim-hunter label --score ann.json ben.json --model smollm2-135m
"""


def add_label_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter label`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument(
        "--group",
        default="conjunctions",
        help="a group by name, or words with commas between: and,but,so (default: conjunctions)",
    )
    add_corpus(parser)
    parser.add_argument("--seed", type=int, default=0, help="which 50 examples are drawn (default: 0)")
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="also score a language model; may be given again"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the answers (default: labels-GROUP-SEED.json)")
    parser.add_argument("--who", metavar="NAME", help="whose answers these are")
    parser.add_argument(
        "--score", type=Path, nargs="+", default=[], metavar="FILE", help="ask nothing, score files of answers together"
    )
    add_store(parser)
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    if chosen.score and (chosen.out or chosen.who):
        raise UserError("--score asks nothing: leave out --out and --who")
    from optim_hunter.stories.label import answers_of_files, ask_person, open_session, score

    session = open_session(chosen.group, chosen.corpus, chosen.seed, chosen.model, chosen.store)
    if chosen.score:
        return score(session, answers_of_files(session, chosen.score))
    path = chosen.out or Path(f"labels-{session.group}-{chosen.seed}.json")
    if not ask_person(session, path, chosen.who):
        return f"{path} keeps what was answered: the same command goes on"
    return score(session, answers_of_files(session, [path]))
