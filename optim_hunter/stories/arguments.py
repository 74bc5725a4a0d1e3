"""Arguments that several commands about stories take."""

from __future__ import annotations

import argparse


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """`--corpus FILE`; None is the packaged corpus."""
    parser.add_argument(
        "--corpus", metavar="FILE", help=".txt or .gz, <|endoftext|> between stories (default: the packaged corpus)"
    )


def add_groups(parser: argparse.ArgumentParser) -> None:
    """`--group NAME …`; none given stands for all that have a name."""
    parser.add_argument(
        "--group", nargs="+", metavar="NAME", default=[],
        help="groups by name, or words with commas between: and,but,so (default: all ten that have a name)",
    )  # fmt: skip


def add_store(parser: argparse.ArgumentParser) -> None:
    """`--store FOLDER`, as `open_store` takes it."""
    parser.add_argument(
        "--store", metavar="FOLDER", help="where fits are kept between runs, or none (default: the one in the cache)"
    )
