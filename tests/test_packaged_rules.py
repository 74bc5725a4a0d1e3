"""The packaged rule books: for the packaged one-layer model's tokenizer, small, and as their sentences say."""

from importlib import resources

import pytest

from optim_hunter.models.one_layer import load_one_layer
from optim_hunter.tasks.rule_files import packaged_groups, read_rule_book_of_group
from optim_hunter.tasks.rule_sentences import drafted_sentence
from optim_hunter.tasks.word_groups import WORD_GROUPS

MOST_RULES, MOST_BYTES, MOST_EXAMPLES = 1000, 1_000_000, 3


@pytest.fixture(scope="module")
def tokenizer():
    return load_one_layer().tokenizer


def test_there_are_three_books_and_one_is_about_conjunctions():
    assert len(packaged_groups()) == 3
    assert "conjunctions" in packaged_groups()


@pytest.mark.parametrize("group", packaged_groups())
def test_a_packaged_book_is_about_its_group_and_small(group, tokenizer):
    book = read_rule_book_of_group(group, tokenizer)
    assert book.group == WORD_GROUPS[group]
    assert 100 <= len(book.rules) <= MOST_RULES
    assert len(resources.files("optim_hunter.data").joinpath("rules", f"{group}.json").read_bytes()) <= MOST_BYTES


@pytest.mark.parametrize("group", packaged_groups())
def test_each_packaged_rule_says_what_it_does_and_has_its_examples(group, tokenizer):
    book = read_rule_book_of_group(group, tokenizer)
    assert len({rule.condition for rule in book.rules}) == len(book.rules)
    for rule in book.rules:
        assert rule.sentence == drafted_sentence(rule.condition, rule.shifts)
        assert 1 <= len(rule.examples) <= MOST_EXAMPLES, rule.name
        assert any(rule.shifts.values()), rule.name
