"""`optim-hunter rules`: what each of its verbs does, from its arguments to what is printed."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

from optim_hunter.claim import InvalidInstrument, UserError
from optim_hunter.observe.store import open_store, write_whole
from optim_hunter.stories.rule_gains import judge_gains
from optim_hunter.stories.rule_growth import accept, fit, refuse, suggest
from optim_hunter.stories.rule_material import corpus_tokenizer, network_of, new_rule_book, read_material
from optim_hunter.stories.rule_tables import evaluation, listing, rule_text, suggestions
from optim_hunter.stories.rule_use import RuleUse
from optim_hunter.stories.written import unwritable
from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.rule_files import (
    packaged_groups,
    read_rule_book,
    read_rule_book_of_group,
    require_rule_book_place,
    written,
)
from optim_hunter.tasks.rules import RuleBook, rule_book_log_probabilities
from optim_hunter.tasks.word_groups import word_group

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from optim_hunter.stories.rule_material import Material

STDERR = Console(stderr=True)


def list_rules(chosen: Namespace) -> str:
    """All rules by their gain."""
    book, material = _opened(chosen)
    return listing(book, judge_gains(book, material.held_out), material.held_out)


def show_rules(chosen: Namespace) -> str:
    """One rule."""
    book, material = _opened(chosen)
    rule = book.rule(chosen.name)
    return rule_text(rule, judge_gains(book, material.held_out)[book.rules.index(rule)], book, material.held_out)


def evaluate_rules(chosen: Namespace) -> str:
    """Both verdicts on each rule."""
    book, material = _opened(chosen)
    gains = judge_gains(book, material.held_out)
    use = RuleUse(book, material, network_of(material.tokenizer, book.group))
    shares = use.judge(track(book.rules, "asking the one-layer model", console=STDERR, transient=True))
    return evaluation(book, gains, shares, material.held_out)


def new_rules(chosen: Namespace) -> str:
    """A file with a book without rules; nothing is overwritten."""
    if chosen.book.exists():
        raise UserError(f"{chosen.book} is there already: name a file that is not")
    group = word_group(chosen.group)
    material = read_material(chosen.corpus, group.words, corpus_tokenizer(chosen.corpus))
    _write(chosen.book, new_rule_book(material, group))
    return f"{chosen.book}: a book without rules about {', '.join(group.words)}"


def fit_rules(chosen: Namespace) -> str:
    """The book with fitted shifts, in its own file or another."""
    out = chosen.out or Path(chosen.book)
    if chosen.out is None and chosen.book in packaged_groups() and not out.exists():
        raise UserError(f"the packaged book {chosen.book!r} is left as it is: name a file with --out")
    require_rule_book_place(out)
    book, material = _opened(chosen)
    try:
        made, fitted = fit(book, material)
    except InvalidInstrument as error:
        raise UserError(str(error)) from None
    _write(out, made)
    return (
        f"{out}: {len(made.rules)} rules, {sum(len(rule.shifts) for rule in made.rules)} shifts at {fitted.l1:g} nats "
        f"each; loss {fitted.fitting_loss:.4f} on the stories for fitting, {fitted.choosing_loss:.4f} for choosing"
    )


def suggest_rules(chosen: Namespace) -> str:
    """What the book lacks, written into its file as suggestions."""
    if chosen.most < 1:
        raise UserError(f"--most {chosen.most}: ask for one suggestion or more")
    book, material = _opened(chosen)
    network = network_of(material.tokenizer, book.group)
    with STDERR.status("asking the one-layer model, and looking at all tokens at all positions"):
        found = suggest(book, material, network(material.fitting.tokens), chosen.most)
    gaining = tuple(one for one in found if one.gain > 0)
    _write(chosen.book, replace(book, suggested=gaining))
    return suggestions(gaining, len(found), chosen.book)


def accept_rules(chosen: Namespace) -> str:
    """Suggestions become rules."""
    book, _ = _book(chosen)
    made = accept(book, chosen.names, chosen.renamed)
    _write(chosen.book, made)
    return f"{chosen.book}: {len(made.rules)} rules; optim-hunter rules fit {chosen.book} fits their shifts together"


def refuse_rules(chosen: Namespace) -> str:
    """Suggestions are put away."""
    book, _ = _book(chosen)
    made = refuse(book, chosen.names)
    _write(chosen.book, made)
    return f"{chosen.book}: {len(made.refused)} conditions will not be suggested again"


def predict_rules(chosen: Namespace) -> str:
    """What is expected after a sentence, and why."""
    from optim_hunter.stories.rule_prediction import prediction, said_by_linear_model, window_of

    book, tokenizer = _book(chosen)
    window, corpus = window_of(chosen.sentence, tokenizer), read_corpus(chosen.corpus)
    try:
        linear = said_by_linear_model(window, corpus, book, tokenizer, open_store(None))
    except InvalidInstrument as error:
        raise UserError(str(error)) from None
    said = {
        "rule book": rule_book_log_probabilities(book, window)[0],
        "linear model": linear,
        "one-layer model": network_of(tokenizer, book.group)(window)[0],
    }
    return prediction(window, book, tokenizer, said)


def score_rules(chosen: Namespace) -> str:
    """A page of how much packaged books know."""
    from optim_hunter.stories.rule_score import score, score_page, score_text

    _require_page_place(chosen.out)
    tokenizer = corpus_tokenizer(chosen.corpus)
    scores = []
    for group in track(chosen.groups or packaged_groups(), "fitting", console=STDERR, transient=True):
        book = read_rule_book_of_group(group, tokenizer)
        material = read_material(chosen.corpus, book.group, tokenizer)
        scores.append(score(group, book, material, network_of(tokenizer, book.group)))
    _put(chosen.out, score_page(scores))
    return f"{score_text(scores)}\n{chosen.out}"


def _require_page_place(out: Path) -> None:
    from optim_hunter.stories.rule_score import TITLE

    if out.exists() and not (out.is_file() and TITLE.encode() in out.read_bytes()):
        raise UserError(f"{out} is there and is no such page: it is left as it is; name another file with --out")


def _opened(chosen: Namespace) -> tuple[RuleBook, Material]:
    """A book and the windows that it is about."""
    book, tokenizer = _book(chosen)
    return book, read_material(chosen.corpus, book.group, tokenizer)


def _book(chosen: Namespace) -> tuple[RuleBook, Tokenizer]:
    """A book, by file or by group, and the tokenizer that it is for."""
    tokenizer, path = corpus_tokenizer(chosen.corpus), Path(chosen.book)
    if not path.exists() and path.suffix != ".json":
        return read_rule_book_of_group(str(chosen.book), tokenizer), tokenizer
    return read_rule_book(path, tokenizer), tokenizer


def _write(path: Path, book: RuleBook) -> None:
    require_rule_book_place(path)
    _put(path, written(book))


def _put(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise unwritable(path, error, "name another file") from None
