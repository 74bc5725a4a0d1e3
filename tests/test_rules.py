"""Conditions against a naive matcher, and rule books as files."""

import json
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import UserError
from optim_hunter.stories.rules import _write
from optim_hunter.tasks.corpus import corpus_of
from optim_hunter.tasks.rule_files import read_rule_book, written
from optim_hunter.tasks.rule_sentences import drafted_name, drafted_sentence
from optim_hunter.tasks.rules import (
    CONTEXT,
    Both,
    Rule,
    RuleBook,
    Suggestion,
    TokenIn,
    conditions_met,
    rule_book_log_probabilities,
)
from optim_hunter.tasks.stories import token_texts, tokenizer_sha256, train_tokenizer

VOCABULARY = tuple("abcdefgh")
PLACE = {token: place for place, token in enumerate(VOCABULARY)}
GROUP = (" and", " but")

atoms = st.builds(
    lambda tokens, ends: TokenIn(tuple(tokens), min(ends), max(ends)),
    st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3, unique=True),
    st.tuples(st.integers(1, CONTEXT), st.integers(1, CONTEXT)),
)
conditions = atoms | st.tuples(atoms, atoms).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Both(*pair))
windows = st.lists(st.lists(st.integers(0, 7), min_size=CONTEXT, max_size=CONTEXT), min_size=1, max_size=5)


def met(condition, window):
    """Whether a condition is met, said anew: window[-p] is the token at position p."""
    return all(
        any(VOCABULARY[window[-position]] in atom.tokens for position in range(atom.near, atom.far + 1))
        for atom in condition.atoms
    )


@given(st.lists(conditions, max_size=5), windows)
def test_matching_is_that_of_a_naive_matcher(asked, shown):
    found = conditions_met(asked, PLACE, np.array(shown)).toarray()
    assert found.tolist() == [[met(condition, window) for condition in asked] for window in shown]


@given(conditions, windows)
def test_a_longer_span_and_a_larger_set_fire_wherever_a_shorter_and_a_smaller_do(condition, shown):
    first = condition.atoms[0]
    wider, larger = TokenIn(first.tokens, 1, CONTEXT), TokenIn(VOCABULARY, first.near, first.far)
    found = conditions_met([condition, wider, larger], PLACE, np.array(shown)).toarray()
    assert not (found[:, 0] & ~found[:, 1]).any()
    assert found[:, 2].all()


def test_positions_are_counted_from_the_word():
    window = np.arange(CONTEXT)[None] % 8
    vocabulary = TokenIn(("h",), 1, 1), TokenIn(("a",), CONTEXT, CONTEXT), TokenIn(("a",), 1, 1)
    assert conditions_met(vocabulary, PLACE, window).toarray().tolist() == [[True, True, False]]


def test_log_probabilities_are_those_of_the_summed_shifts():
    rules = (
        Rule("one", "s", TokenIn(("h",), 1, 1), {" but": 1.0}),
        Rule("two", "s", TokenIn(("a",), 1, 1), {" and": 9.0}),
    )
    book = RuleBook(GROUP, "", VOCABULARY, {" and": 0.5, " but": 0.0}, rules)
    said = rule_book_log_probabilities(book, np.arange(CONTEXT)[None] % 8)
    assert said == pytest.approx(np.array([[0.5, 1.0]]) - np.logaddexp(0.5, 1.0))


def test_windows_of_another_length_are_refused():
    with pytest.raises(UserError, match="16 tokens before"):
        conditions_met([TokenIn(("a",), 1, 1)], PLACE, np.zeros((2, 8), int))


@pytest.mark.parametrize(("near", "far"), [(0, 1), (1, 17), (3, 2)])
def test_positions_that_do_not_exist_are_refused(near, far):
    with pytest.raises(UserError):
        TokenIn(("a",), near, far)


SENTENCES = [
    (TokenIn((",",), 1, 1), {" but": 1.0, " and": -2.0}, "comma-1",
     'A "," just before the word raises " but" and lowers " and".'),
    (TokenIn((" once",), 2, 8), {" so": 0.3}, "once-2to8",
     'A " once" anywhere 2 to 8 tokens before the word raises " so".'),
    (TokenIn((" a", " b", " c"), 3, 3), {" so": -0.3}, "a+b+1-3",
     'One of " a", " b", " c" 3 tokens before the word lowers " so".'),
    (Both(TokenIn((",",), 1, 1), TokenIn(("ing",), 2, 2)), {" so": 0.01}, "comma-1-and-.ing-2",
     'A "," just before the word together with a "ing" 2 tokens before the word moves no word by much.'),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "shifts", "name", "sentence"), SENTENCES)
def test_drafts_say_what_the_rule_says(condition, shifts, name, sentence):
    assert drafted_name(condition, ()) == name
    assert drafted_name(condition, (name,)) == f"{name}-2"
    assert drafted_sentence(condition, shifts) == sentence


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(corpus_of("c", "Tom saw Lily, and Lily ran home, but Tom hid. " * 20, ""), 300)


def book_of(tokenizer, rules, **parts):
    return RuleBook(
        GROUP, tokenizer_sha256(tokenizer), token_texts(tokenizer), {" and": 0.25, " but": 0.0}, rules, **parts
    )


texts = st.text(string.ascii_letters + '", é⏎', min_size=1).filter(str.strip)
tokens_there = st.sampled_from((",", "a", "T", "-", '"'))


@st.composite
def rules(draw, names):
    tokens = tuple(draw(st.lists(tokens_there, min_size=1, max_size=3, unique=True)))
    first = TokenIn(tokens, *sorted(draw(st.tuples(st.integers(1, 16), st.integers(1, 16)))))
    condition = draw(st.sampled_from((first, Both(first, TokenIn(("z",), 5, 7)))))
    shifts = draw(st.dictionaries(st.sampled_from(GROUP), st.floats(-9, 9)))
    return tuple(
        Rule(name, draw(texts), condition, shifts, tuple(draw(st.lists(st.text(), max_size=2)))) for name in names
    )


@given(st.data())
def test_a_file_gives_the_same_book_back(tokenizer, tmp_path_factory, data):
    names = data.draw(st.lists(texts, unique=True, max_size=4))
    made = data.draw(rules(names))
    suggested = tuple(Suggestion(rule, 0.5, 0.01) for rule in made[:1])
    book = book_of(tokenizer, made[1:], suggested=suggested, refused=tuple(rule.condition for rule in made[:2]))
    path = tmp_path_factory.mktemp("book") / "book.json"
    path.write_text(written(book), encoding="utf-8")
    assert read_rule_book(path, tokenizer) == book


def entry(**changes):
    """A rule as the file has it, with changes."""
    rule = {
        "name": "comma",
        "sentence": "s",
        "condition": {"tokens": [","], "at": 1},
        "shifts": {" but": 1.0},
        "examples": [],
    }
    return rule | changes


def content(tokenizer, *entries, **changes):
    head = {"format": "optim-hunter rule book 1", "tokenizer_sha256": tokenizer_sha256(tokenizer)}
    body = {"group": list(GROUP), "intercepts": {" and": 0.0, " but": 0.0}, "rules": list(entries)}
    return head | body | changes


BAD_RULES = [
    ([entry(condition={"tokens": [" xylophone"], "at": 1})], "rule 'comma': the tokenizer has no token ' xylophone'"),
    ([entry(condition={"tokens": [","], "at": 17})], "rule 'comma': no position 17"),
    ([entry(condition={"tokens": [","], "at": 0})], "rule 'comma': no position 0"),
    ([entry(condition={"tokens": [","], "at": True})], "positions are whole numbers"),
    ([entry(condition={"tokens": [","], "within": [8, 2]})], "write the nearer position first"),
    ([entry(condition={"tokens": [","], "within": 8})], "a list is needed"),
    ([entry(condition={"tokens": [], "at": 1})], "a condition without a token"),
    ([entry(condition={"both": [{"tokens": [","], "at": 1}]})], "both needs two conditions, not 1"),
    ([entry(condition={"both": [{"tokens": [","], "at": 1}] * 2})], "a conjunction of a condition with itself"),
    ([entry(condition="comma")], "an object with tokens, at is needed"),
    ([entry(), entry()], "two rules are called 'comma'"),
    ([entry(shifts={" so": 1.0})], "' so' is not of the group"),
    ([entry(shifts={" but": "1"})], "' but' is no number"),
    ([entry(name="")], "its name must be one line of text"),
    ([entry(sentence="a\nb")], "its sentence must be one line of text"),
    ([entry(colour="red")], "'colour' is unknown"),
    ([{"name": "comma"}], "'sentence' is missing"),
    (["comma"], "an object with name"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "said"), BAD_RULES)
def test_a_bad_rule_is_refused_in_one_line(tokenizer, tmp_path, entries, said):
    refused_with(tokenizer, tmp_path, json.dumps(content(tokenizer, *entries)), said)


BAD_FILES = [
    ({"tokenizer_sha256": "0" * 64}, "made for another tokenizer"),
    ({"format": "x"}, "it is no rule book"),
    ({"rules": {}}, "rules: a list is needed"),
    ({"intercepts": {" and": 0.0}}, "give one for each"),
    ({"group": " and"}, "group: a list is needed"),
]


@pytest.mark.parametrize(("changes", "said"), BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tokenizer, tmp_path, changes, said):
    refused_with(tokenizer, tmp_path, json.dumps(content(tokenizer, **changes)), said)


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "no JSON at line 1"), ("[]", "no rule book"), ('{"a": NaN}', "NaN"), ("[" * 10**5, "without end")],
)
def test_what_is_no_json_object_is_refused_in_one_line(tokenizer, tmp_path, text, said):
    refused_with(tokenizer, tmp_path, text, said)


def refused_with(tokenizer, tmp_path, text, said):
    path = tmp_path / "book.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as refused:
        read_rule_book(path, tokenizer)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_missing_file_is_said(tokenizer, tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_rule_book(tmp_path / "none.json", tokenizer)


@pytest.mark.parametrize("there", [b"precious", b"{}", b"\xff", b"[1]"])
def test_nothing_but_a_rule_book_is_overwritten(tokenizer, tmp_path, there):
    path = tmp_path / "notes.json"
    path.write_bytes(there)
    with pytest.raises(UserError, match="left as it is"):
        _write(path, book_of(tokenizer, ()))
    assert path.read_bytes() == there
