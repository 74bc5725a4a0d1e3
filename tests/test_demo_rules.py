"""What the page's tab of rules holds: books by gain, and the one-layer model rounded to bytes."""

import numpy as np
import pytest
import torch
from rule_pages import rule_page
from test_demo import packed

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import PARTS, OneLayerModel, OneLayerShape, log_probabilities
from optim_hunter.stories.demo_network import (
    MATRICES,
    network_log_probabilities,
    restored_network,
    rounded_network,
)
from optim_hunter.stories.demo_page import LIMIT, demo_html
from optim_hunter.stories.demo_rules import PageRules, open_books
from optim_hunter.stories.rule_gains import rule_gains
from optim_hunter.tasks.corpus import read_corpus
from optim_hunter.tasks.planted_stories import PLANTED, planted_corpus
from optim_hunter.tasks.rule_files import written
from optim_hunter.tasks.rules import RuleBook
from optim_hunter.tasks.stories import train_tokenizer
from optim_hunter.tasks.word_groups import word_group

CONJUNCTIONS, TIME = word_group("conjunctions"), word_group("time")


def test_rules_come_by_gain_with_the_windows_in_which_they_fire():
    made = rule_page()
    listed = made.rules.books["conjunctions"]["rules"]
    names = [rule.name for rule in made.book.rules]
    gains = dict(zip(names, rule_gains(made.book, made.shown.examples).mean(0), strict=True))
    assert [rule["name"] for rule in listed] == sorted(gains, key=lambda name: -gains[name])
    assert len(listed) == len(made.book.rules)
    for rule in listed:
        assert rule["gain"] == pytest.approx(gains[rule["name"]], abs=1e-12)
        assert rule["low"] - 1e-9 <= rule["gain"] <= rule["high"] + 1e-9


def test_the_network_of_the_page_says_nearly_what_the_model_says():
    made = rule_page()
    figures = made.rules.books["conjunctions"]["network"]
    said = np.exp(network_log_probabilities(made.model, made.shown.examples, CONJUNCTIONS.words))
    page = np.exp(network_log_probabilities(made.rounded, made.shown.examples, CONJUNCTIONS.words))
    assert figures["change"] == np.abs(said - page).max()
    assert 0 < figures["change"] < 0.025  # 0.0195 was seen
    assert abs(figures["loss"] - figures["unrounded"]) < 0.001  # 0.0008 was seen


@pytest.mark.parametrize("lacking", sorted(PARTS))
def test_a_model_that_was_trained_without_a_part_is_packed_with_nothing_in_its_place(lacking):
    tokenizer = train_tokenizer(planted_corpus(next(iter(PLANTED))), 300)
    shape = OneLayerShape(vocabulary=tokenizer.get_vocab_size(), width=16, heads=2, neurons=8, **{lacking: False})
    model = OneLayerModel(shape, tokenizer, torch.Generator().manual_seed(0))
    names = [name for name in tokenizer.get_vocab() if name.startswith("Ġ") and name[1:].isalnum()][:2]
    arrays = rounded_network(model, [name.replace("Ġ", " ") for name in names])
    parts = {"attention": ("query", "key", "value", "output"), "mlp": ("mlp_in", "mlp_bias", "mlp_out")}
    assert not any(arrays[name].any() for name in parts.pop(lacking))
    assert all(arrays[name].any() for name in MATRICES if name in next(iter(parts.values())))
    windows = np.random.default_rng(0).integers(shape.vocabulary, size=(20, 16))
    said, page = (log_probabilities(one, windows) for one in (model, restored_network(model, arrays)))
    np.testing.assert_allclose(np.exp(page), np.exp(said), atol=0.01)


def test_the_page_with_a_network_keeps_below_its_limit():
    assert len(rule_page().html.encode()) < LIMIT - 1_500_000  # ten groups' models and examples take 1.8 MB less


def test_a_page_of_another_tokenizer_has_no_packaged_book_and_says_so():
    other = train_tokenizer(planted_corpus(next(iter(PLANTED))), 300)
    books, wrong = open_books([CONJUNCTIONS, TIME], other, [])
    assert books == {}
    assert list(wrong) == [CONJUNCTIONS]  # there is no packaged book about time
    assert "tokenizer" in str(wrong[CONJUNCTIONS])


def test_a_book_of_ones_own_stands_in_for_the_packaged_one(tmp_path):
    made, file = rule_page(), tmp_path / "mine.json"
    own = RuleBook(CONJUNCTIONS.words, made.book.tokenizer_sha256, made.book.vocabulary, made.book.intercepts)
    file.write_text(written(own), encoding="utf-8")
    books, wrong = open_books([CONJUNCTIONS], made.model.tokenizer, [file])
    assert books[CONJUNCTIONS].rules == ()
    assert wrong == {}
    with pytest.raises(UserError, match="no group of the page has the words and, but"):
        open_books([TIME], made.model.tokenizer, [file])
    with pytest.raises(UserError, match="another book is about"):
        open_books([CONJUNCTIONS], made.model.tokenizer, [file, file])


def test_a_page_without_books_has_neither_rules_nor_a_network():
    made = rule_page()
    arrays, description = packed(demo_html([made.shown], read_corpus(None), made.model.tokenizer, rules=PageRules()))
    assert description["books"] == {}
    assert not any(name.startswith("network.") for name in arrays)
