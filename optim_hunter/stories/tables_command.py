"""The command `tables`: its arguments, and which view they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from optim_hunter.claim import UserError
from optim_hunter.stories.arguments import add_corpus

DESCRIPTION = """\
Read the one-layer model as tables (docs/one-layer.md), over every token of held-out stories: without --head and
--neuron, where each head looks and which neurons move the logits most; for a head its strongest skip-trigrams, an
earlier token at a position and a last token that together raise or lower other tokens; for a neuron the windows that
excite it and what it writes.
"""

EXAMPLES = """\
examples:
  optim-hunter tables
  optim-hunter tables --head 3 --most 20
  optim-hunter tables --neuron 17
  optim-hunter tables --model models/other --corpus stories.txt.gz --head 0
"""


def add_tables_command(parser: argparse.ArgumentParser) -> None:
    """The arguments of `optim-hunter tables`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="what optim-hunter train wrote (default: the packaged model)"
    )
    add_corpus(parser)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--head", type=int, metavar="N", help="the skip-trigrams of this head, counted from 0")
    chosen.add_argument("--neuron", type=int, metavar="N", help="the windows and writes of this neuron, from 0")
    parser.add_argument("--most", type=int, default=12, metavar="N", help="lines of a view (default: 12)")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> str:
    if chosen.most < 1:
        raise UserError(f"--most {chosen.most}: give 1 or more")
    from optim_hunter.models.one_layer import load_one_layer
    from optim_hunter.models.one_layer_tables import require
    from optim_hunter.stories.tables import HeldOutTables
    from optim_hunter.stories.tables_text import head_text, neuron_text, overview_text
    from optim_hunter.tasks.corpus import read_corpus

    held = HeldOutTables(load_one_layer(chosen.model), read_corpus(chosen.corpus))
    if chosen.head is not None:
        require("head", chosen.head, held.tables.heads)
        return head_text(held, chosen.head, chosen.most)
    if chosen.neuron is not None:
        return neuron_text(held, chosen.neuron, chosen.most)
    return overview_text(held)
