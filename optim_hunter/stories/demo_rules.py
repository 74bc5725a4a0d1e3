"""What the page's tab of rules shows: rule books by gain on held-out stories, and the one-layer model beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import OneLayerModel
from optim_hunter.stories.demo import ShownGroup
from optim_hunter.stories.demo_network import (
    mean_loss,
    network_log_probabilities,
    restored_network,
    rounded_network,
)
from optim_hunter.stories.rule_gains import book_losses, bootstrap_interval, rule_gains, story_values
from optim_hunter.tasks.rule_files import packaged_groups, read_rule_book, read_rule_book_of_group
from optim_hunter.tasks.rule_sentences import place_text
from optim_hunter.tasks.rules import Condition, Rule, RuleBook, fires
from optim_hunter.tasks.stories import tokenizer_sha256
from optim_hunter.tasks.word_groups import WordGroup

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class PageRules:
    """Rule books as plain JSON data by the name of their group, and the one-layer model's arrays and description.

    Both of the latter are empty where the model has another tokenizer than the page.
    """

    books: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)


def open_books(
    groups: Sequence[WordGroup], tokenizer: Tokenizer, given: Sequence[Path]
) -> tuple[dict[WordGroup, RuleBook], dict[WordGroup, UserError]]:
    """The books that were given, the packaged ones of the other groups, and what is wrong with any of the latter.

    Raises:
        UserError: a given book cannot be read, or is about no group of the page or one that has a given book.
    """
    books: dict[WordGroup, RuleBook] = {}
    for path in given:
        book = read_rule_book(path, tokenizer)
        group = next((group for group in groups if group.words == book.group), None)
        if group is None or group in books:
            what = "another book is about" if group else "no group of the page has"
            words = ", ".join(word.strip() for word in book.group)
            raise UserError(f"rule book {path}: {what} the words {words}; mend --rules or --group")
        books[group] = book
    wrong: dict[WordGroup, UserError] = {}
    for group in groups:
        if group.name in packaged_groups() and group not in books:
            try:
                books[group] = read_rule_book_of_group(group.name, tokenizer)
            except UserError as error:
                wrong[group] = error
    return books, wrong


def page_rules(shown: Sequence[ShownGroup], books: Mapping[WordGroup, RuleBook], model: OneLayerModel) -> PageRules:
    """Judge each rule on the held-out windows of its group, and round the one-layer model for the page.

    The model is left out where its tokenizer is not that of the page.
    """
    with_book = [one for one in shown if one.group in books]
    if not with_book:
        return PageRules()
    described = {one.group.name: _described(books[one.group], one) for one in with_book}
    if model.tokenizer_sha256 != tokenizer_sha256(with_book[0].examples.tokenizer):
        return PageRules(described)
    words = list(dict.fromkeys(word for one in with_book for word in one.group.words))
    arrays = rounded_network(model, words)
    rounded = restored_network(model, arrays)
    for one in with_book:
        described[one.group.name]["network"] = _network_figures(model, rounded, one)
    return PageRules(described, arrays, {"heads": model.shape.heads, "words": words})


def _described(book: RuleBook, shown: ShownGroup) -> dict[str, Any]:
    """A book with its loss (nats) and its rules, those with the largest gain first."""
    rules: list[dict[str, Any]] = []
    if book.rules:
        gains = story_values(rule_gains(book, shown.examples), shown.examples.story)
        low, high = bootstrap_interval(gains)
        share = np.asarray(fires(book, shown.examples.tokens).mean(0))
        for place in np.argsort(-gains.mean(0), kind="stable").tolist():
            judged = {"gain": gains[:, place].mean(), "low": low[place], "high": high[place], "fires": share[place]}
            numbers = {name: float(number) for name, number in judged.items()}
            rules.append(_rule(book.rules[place], book) | numbers)
    return {
        "intercepts": book.offsets.tolist(),
        "loss": float(book_losses(book, shown.examples).mean()),
        "rules": rules,
    }


def _rule(rule: Rule, book: RuleBook) -> dict[str, Any]:
    return {
        "name": rule.name,
        "sentence": rule.sentence,
        "atoms": _atoms(rule.condition, book),
        "shifts": [rule.shifts.get(word, 0.0) for word in book.group],
    }


def _atoms(condition: Condition, book: RuleBook) -> list[dict[str, Any]]:
    """The parts that must all be met, with numbers for tokens, and in words where each is looked for."""
    return [
        {
            "tokens": [book.place[token] for token in atom.tokens],
            "near": atom.near,
            "far": atom.far,
            "where": place_text(atom),
        }
        for atom in condition.atoms
    ]


def _network_figures(model: OneLayerModel, rounded: OneLayerModel, shown: ShownGroup) -> dict[str, float]:
    """Losses (nats) of the model as it is and as the page has it, and the most that rounding changes a probability."""
    said, changed = (network_log_probabilities(one, shown.examples, shown.group.words) for one in (model, rounded))
    return {
        "loss": mean_loss(changed, shown.examples.labels),
        "unrounded": mean_loss(said, shown.examples.labels),
        "change": float(np.abs(np.exp(said) - np.exp(changed)).max()),
        "log_change": float(np.abs(said - changed).max()),
    }
