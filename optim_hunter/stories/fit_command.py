"""The command `fit`: its arguments, and what is read before any long work."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.stories.arguments import add_corpus, add_store

DESCRIPTION = """\
Fit the linear model that says which word of a group comes next, from the 16 tokens before it:
logits = offsets + the sum of one weight for each token at its position, with an L1 price on the weights.

A path of prices is fitted, the highest first, each to a stated duality gap. The price that does best on a
tenth of the stories is chosen; the losses that are reported are of another tenth, that no choice has seen.
"""

FILES = """\
DIR gets:
  weights.safetensors   weights [16, tokens, words] and offsets [words], float64
  tokenizer.json        the corpus's own tokenizer (byte-level BPE of at most 1,024 tokens)
  summary.json          words, windows, held-out losses, price, gap, hashes, versions
  fit.html              the curve, the path, the strongest weights of each word; needs no network

A fit that is stopped, even killed, goes on where it was when the same command is given again.

examples:
  optim-hunter fit --group conjunctions --out fits/conjunctions
  optim-hunter fit --group when,then,again --corpus stories.txt.gz --out fits/time
  optim-hunter fit --group pronouns --model smollm2-135m --out fits/pronouns
"""


def add_fit_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter fit`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, FILES
    parser.add_argument(
        "--group", required=True, help="a group by name, as conjunctions, or words with commas between: and,but,so"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the fit is written")
    add_corpus(parser)
    parser.add_argument(
        "--model", metavar="NAME", help="also a language model of the registry, on the same held-out windows"
    )
    add_store(parser)
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    from optim_hunter.stories.fit import make_fit

    return make_fit(chosen.group, chosen.out, chosen.corpus, chosen.model, chosen.store)
