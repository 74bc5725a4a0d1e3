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
from optim_hunter.stories.written import require_page, require_writable, unwritable
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

    from optim_hunter.stories.rule_material import Material, Network

STDERR = Console(stderr=True)
OTHER = "name another file"


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
    book, material, network = _opened_with_network(chosen)
    gains = judge_gains(book, material.held_out)
    use = RuleUse(book, material, network)
    shares = use.judge(track(book.rules, "asking the one-layer model", console=STDERR, transient=True))
    return evaluation(book, gains, shares, material.held_out)


def new_rules(chosen: Namespace) -> str:
    """A file with a book without rules; nothing is overwritten."""
    if chosen.book.exists():
        raise UserError(f"{chosen.book} is there already: name a file that is not")
    _require_own(chosen.book)
    group = word_group(chosen.group)
    material = read_material(chosen.corpus, group.words, corpus_tokenizer(chosen.corpus))
    _write(chosen.book, new_rule_book(material, group))
    return f"{chosen.book}: a book without rules about {', '.join(group.words)}"


def fit_rules(chosen: Namespace) -> str:
    """The book with fitted shifts, in its own file or another."""
    out = chosen.out or Path(chosen.book)
    _require_own(out)
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
    _require_own(chosen.book)
    book, material, network = _opened_with_network(chosen)
    with STDERR.status("asking the one-layer model, and looking at all tokens at all positions"):
        found = suggest(book, material, network(material.fitting.tokens), chosen.most)
    gaining = tuple(one for one in found if one.gain > 0)
    _write(chosen.book, replace(book, suggested=gaining))
    return suggestions(gaining, len(found), chosen.book, len(book.suggested))


def accept_rules(chosen: Namespace) -> str:
    """Suggestions become rules."""
    _require_own(chosen.book)
    book, _ = _book(chosen)
    made = accept(book, chosen.names, chosen.renamed)
    _write(chosen.book, made)
    return f"{chosen.book}: {len(made.rules)} rules; optim-hunter rules fit {chosen.book} fits their shifts together"


def refuse_rules(chosen: Namespace) -> str:
    """Suggestions are put away."""
    _require_own(chosen.book)
    book, _ = _book(chosen)
    made = refuse(book, chosen.names)
    _write(chosen.book, made)
    return f"{chosen.book}: {len(made.refused)} conditions will not be suggested again"


def predict_rules(chosen: Namespace) -> str:
    """What is expected after a sentence, and why."""
    from optim_hunter.stories.rule_prediction import prediction, said_by_linear_model, window_of

    book, tokenizer = _book(chosen)
    network = network_of(tokenizer, book.group, chosen.model)
    window, corpus = window_of(chosen.sentence, tokenizer), read_corpus(chosen.corpus)
    try:
        linear = said_by_linear_model(window, corpus, book, tokenizer, open_store(None))
    except InvalidInstrument as error:
        raise UserError(str(error)) from None
    said = {
        "rule book": rule_book_log_probabilities(book, window)[0],
        "linear model": linear,
        "one-layer model": network(window)[0],
    }
    return prediction(window, book, tokenizer, said)


def score_rules(chosen: Namespace) -> str:
    """A page of how much books know."""
    from optim_hunter.stories.rule_score import TITLE, score, score_page, score_text

    require_page(chosen.out, TITLE, "name another with --out")
    tokenizer = corpus_tokenizer(chosen.corpus)
    named = {name: _read(name, tokenizer) for name in chosen.books or packaged_groups()}
    networks = {name: network_of(tokenizer, book.group, chosen.model) for name, book in named.items()}
    scores = []
    for name, book in track(named.items(), "fitting", console=STDERR, transient=True):
        material = read_material(chosen.corpus, book.group, tokenizer)
        scores.append(score(name, book, material, networks[name]))
    _put(chosen.out, score_page(scores))
    return f"{score_text(scores)}\n{chosen.out}"


def _require_own(path: Path) -> None:
    """See, before any long work, that a book is a file of the user's and can be written."""
    if str(path) in packaged_groups() and not path.exists():
        raise UserError(
            f"the packaged book {str(path)!r} is left as it is: name a file of your own (optim-hunter rules new GROUP "
            "FILE begins one, optim-hunter rules fit GROUP --out FILE copies the packaged one)"
        )
    require_rule_book_place(path)
    require_writable(path, path.parent, OTHER)


def _opened(chosen: Namespace) -> tuple[RuleBook, Material]:
    """A book and the windows that it is about."""
    book, tokenizer = _book(chosen)
    return book, read_material(chosen.corpus, book.group, tokenizer)


def _opened_with_network(chosen: Namespace) -> tuple[RuleBook, Material, Network]:
    """The same, and the one-layer model, whose tokenizer is looked at before the windows are cut."""
    book, tokenizer = _book(chosen)
    network = network_of(tokenizer, book.group, chosen.model)
    return book, read_material(chosen.corpus, book.group, tokenizer), network


def _book(chosen: Namespace) -> tuple[RuleBook, Tokenizer]:
    """A book, by file or by group, and the tokenizer that it is for."""
    tokenizer = corpus_tokenizer(chosen.corpus)
    return _read(str(chosen.book), tokenizer), tokenizer


def _read(name: str, tokenizer: Tokenizer) -> RuleBook:
    path = Path(name)
    if not path.exists() and path.suffix != ".json":
        return read_rule_book_of_group(name, tokenizer)
    return read_rule_book(path, tokenizer)


def _write(path: Path, book: RuleBook) -> None:
    require_rule_book_place(path)
    _put(path, written(book))


def _put(path: Path, text: str) -> None:
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise unwritable(path, error, OTHER) from None
