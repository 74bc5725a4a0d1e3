"""Grow the packaged rule books: what `optim-hunter rules suggest` finds and confirms is accepted, again and again.

python scripts/make_rule_books.py                                   # all groups, into optim_hunter/data/rules
python scripts/make_rule_books.py --groups conjunctions --out /tmp  # one, elsewhere

Nothing is drawn at random: the same corpus and weights give the same books. Conditions are proposed by the stories for
fitting and confirmed by those for choosing; the held-out stories are not looked at.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from optim_hunter.observe.store import write_whole
from optim_hunter.stories.rule_growth import fit, grow, with_examples
from optim_hunter.stories.rule_material import Material, corpus_tokenizer, network_of, new_rule_book, read_material
from optim_hunter.tasks.rule_files import require_rule_book_place, written
from optim_hunter.tasks.rules import RuleBook
from optim_hunter.tasks.word_groups import word_group

FOLDER = Path(__file__).parents[1] / "optim_hunter" / "data" / "rules"
GROUPS = ("conjunctions", "pronouns", "to-be")

MOST_RULES = 1000
STEP = 40
"""Suggestions at once at most."""

FRUITLESS, FEWEST = 8, 8
"""A book is done when so many rounds together brought fewer rules than this."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow each group's book; what has grown so far is written after each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", default=GROUPS)
    parser.add_argument("--rules", type=int, default=MOST_RULES, help="at most so many (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FOLDER)
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for group in chosen.groups:
        path = chosen.out / f"{group}.json"
        require_rule_book_place(path)
        for book in grown_books(group, chosen.rules):
            write_whole(path, written(book).encode())
        print(f"{path}: {path.stat().st_size:,} bytes")


def grown_books(group: str, rules: int) -> Iterator[RuleBook]:
    """The book of a group as it grows; at the end its shifts are fitted at the best price."""
    named, tokenizer = word_group(group), corpus_tokenizer(None)
    material = read_material(None, named.words, tokenizer)
    network = network_of(tokenizer, named.words)(material.fitting.tokens)
    book, sizes, started = new_rule_book(material, named), [0], time.perf_counter()
    for book in grow(book, material, network, rules, STEP):  # noqa: B020 - it grows out of itself
        sizes.append(len(book.rules))
        print(f"{group}: {sizes[-1]} rules, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        yield finished(book, material)
        if len(sizes) > FRUITLESS and sizes[-1] - sizes[-1 - FRUITLESS] < FEWEST:
            break
    yield finished(fit(book, material)[0], material)


def finished(book: RuleBook, material: Material) -> RuleBook:
    """The rules that move a word, with examples, and nothing of the search."""
    moving = [rule for rule in book.rules if rule.shifts]
    return replace(book, rules=tuple(with_examples(moving, book, material.fitting)), suggested=(), refused=())


if __name__ == "__main__":
    main()
