"""The command `ladder`: its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.stories.arguments import add_corpus, add_groups, add_store

DESCRIPTION = """\
What each piece of machinery is worth, in nats, on the same held-out windows of a corpus of stories: all tokens alike,
how frequent each is, n-grams with Kneser-Ney smoothing, linear models, the one-layer model trained without its
attention, without its MLP, and whole, for all next tokens and for word groups.
"""

EXAMPLES = """\
DIR gets ladder.md and ladder.csv (losses, and what each piece is worth, with 90 % intervals by story), ladder.html with
the figure, the models that are trained for it, and rungs/, from which a command that was stopped goes on. The whole
one-layer model is the packaged one where it was trained on this corpus.

examples:
  optim-hunter ladder --out ladder
  optim-hunter ladder --models smollm2-135m --out ladder
  optim-hunter ladder --corpus stories.txt.gz --models smollm2-135m ../models/stories15m --windows 400 --out ladder
"""


def add_ladder_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter ladder`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    add_corpus(parser)
    add_groups(parser)
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", default=[],
        help="also these language models of the registry, on the word groups, shown the same 16 tokens",
    )  # fmt: skip
    parser.add_argument(
        "--windows", type=int, default=1000, metavar="N",
        help="held-out windows of a group, of the first stories that have as many (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--positions", type=int, default=20_000, metavar="N",
        help="held-out positions at which all tokens are asked for, drawn from all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the ladder is written")
    add_store(parser)
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    from optim_hunter.stories.ladder import Asked, make_ladder

    groups, models = tuple(chosen.group), tuple(chosen.models)
    return make_ladder(Asked(chosen.out, chosen.corpus, groups, models, chosen.windows, chosen.positions, chosen.store))
