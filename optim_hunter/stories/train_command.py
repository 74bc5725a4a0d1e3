"""The command `train`: its arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.stories.arguments import add_corpus

DESCRIPTION = """\
Train the one-layer model: 16 tokens, each a symbol of its own at each position, one attention layer whose query
is the last token, one MLP, and logits for the next token. Nothing is normalised, so that tables hold all of it but
the MLP (docs/one-layer.md).

Eight tenths of the stories are trained on. The losses that are reported are of the tenth for choosing and of the
held-out tenth, by which nothing was chosen.
"""

FILES = """\
DIR gets:
  weights.safetensors   weights in half precision
  tokenizer.json        the corpus's own tokenizer (byte-level BPE of at most 1,024 tokens)
  training.json         corpus, recipe, losses with intervals, seconds, hashes, versions

A training that is stopped, even killed, goes on where it was kept last when the same command is given again, and
ends in the same weights.

examples:
  optim-hunter train --out models/one-layer
  optim-hunter train --corpus stories.txt.gz --out models/other --seed 1
  optim-hunter train --epochs 3 --group-weight 0 --out models/as-packaged
  optim-hunter train --out models/no-mlp --without mlp
"""


def add_train_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter train`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, FILES
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the model is written")
    add_corpus(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first weights and the order (0)")
    parser.add_argument(
        "--epochs", type=float, default=2.0, metavar="X", help="how often each token is seen (default: %(default)g)"
    )
    parser.add_argument(
        "--group-weight", type=float, default=2.0, metavar="X",
        help="nats among the words of each of the ten word groups are added to nats a token so many times; 0 trains "
        "for the next token alone (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--without", choices=("attention", "mlp"), help="train a model that lacks this part")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    from optim_hunter.stories.train import make_training

    return make_training(chosen.out, chosen.corpus, chosen.seed, chosen.epochs, chosen.without, chosen.group_weight)
