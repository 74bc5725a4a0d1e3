"""Conditions against a naive matcher, and rule books as files."""

import json
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.claim import UserError
from optim_hunter.models.one_layer import load_one_layer
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
from optim_hunter.tasks.spelling import rule_tokens
from optim_hunter.tasks.stories import token_names, tokenizer_sha256, train_tokenizer

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
    (TokenIn(("\t", "\n", "\r", "\xa0", "\u200b"), 1, 1), {" so": 1.0}, "_+line+3-1",
     'One of "⇥", "⏎", "⟨U+000D⟩", "⟨U+00A0⟩", "⟨U+200B⟩" just before the word raises " so".'),
    (TokenIn(("⟨C2 B1⟩",), 1, 1), {" so": 1.0}, "_C2_B1_-1", 'A "⟨C2 B1⟩" just before the word raises " so".'),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "shifts", "name", "sentence"), SENTENCES)
def test_drafts_say_what_the_rule_says(condition, shifts, name, sentence):
    assert drafted_name(condition, ()) == name
    assert drafted_name(condition, (name,)) == f"{name}-2"
    assert drafted_sentence(condition, shifts) == sentence


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(corpus_of("c", "Tom saw Lily, and Lily ran home, but Tom hid. " * 20, ""), 300)


def test_parts_of_characters_are_named_by_their_bytes_and_whole_ones_by_themselves():
    own = train_tokenizer(corpus_of("c", "é été ”hé” “ 日本 " * 50, ""), 400)
    texts, names = rule_tokens(own), token_names(own)
    assert len(set(texts)) == len(texts), "the byte 0xE9 is the letter é in the tokenizer's file"
    assert texts[names.index("é")] == "⟨E9⟩"
    assert texts[names.index("Ã©")] == "é"
    assert "⟨E2 80⟩" in texts


def test_a_rule_about_any_token_of_the_packaged_tokenizer_can_be_read_again(tmp_path):
    own = load_one_layer().tokenizer
    texts = rule_tokens(own)
    drafts = tuple(drafted(texts))
    book = RuleBook(GROUP, tokenizer_sha256(own), texts, {" and": 0.25, " but": 0.0}, drafts)
    (tmp_path / "book.json").write_text(written(book), encoding="utf-8")
    assert read_rule_book(tmp_path / "book.json", own) == book
    assert len({rule.sentence for rule in drafts}) == len(texts)


def drafted(tokens):
    """What would be suggested about each token."""
    names, shifts = set(), {" but": 1.0}
    for token in tokens:
        condition = TokenIn((token,), 1, 1)
        name = drafted_name(condition, names)
        names.add(name)
        yield Rule(name, drafted_sentence(condition, shifts), condition, shifts, (token,))


def book_of(tokenizer, rules, **parts):
    return RuleBook(
        GROUP, tokenizer_sha256(tokenizer), rule_tokens(tokenizer), {" and": 0.25, " but": 0.0}, rules, **parts
    )


texts = st.text(string.ascii_letters + '", é⏎', min_size=1).filter(str.strip)
encodable = st.text(st.characters(codec="utf-8"))
tokens_there = st.sampled_from((",", "a", "T", "-", '"'))


@st.composite
def rules(draw, names):
    tokens = tuple(draw(st.lists(tokens_there, min_size=1, max_size=3, unique=True)))
    first = TokenIn(tokens, *sorted(draw(st.tuples(st.integers(1, 16), st.integers(1, 16)))))
    condition = draw(st.sampled_from((first, Both(first, TokenIn(("z",), 5, 7)))))
    shifts = draw(st.dictionaries(st.sampled_from(GROUP), st.floats(-9, 9)))
    return tuple(
        Rule(name, draw(texts), condition, shifts, tuple(draw(st.lists(encodable, max_size=2)))) for name in names
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
    (["comma"], "number 1 of rules: an object with name"),
    ([entry(), {"sentence": "s"}], "number 2 of rules: 'name' is missing"),
    ([entry(shifts={" but": int("1" + 400 * "0")})], "rule 'comma', shifts: ' but' is no number"),
    ([entry(examples=["half \ud800"])], "rule 'comma', examples: 'half \\ud800' holds half a character"),
    ([entry(sentence="half \ud800")], "rule 'comma': its sentence must be one line of text"),
    ([entry(name="half \ud800")], "rule 'half \\ud800': its name must be one line of text"),
    ([entry(condition={"tokens": ["\ud800"], "at": 1})], "rule 'comma', tokens: '\\ud800' holds half a character"),
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
    ({"group": []}, "word group []: a choice needs two words or more"),
    ({"group": [" and", " and"]}, "word group: ' and' is in it twice"),
    ({"group": [" and", " hippopotamus"]}, "' hippopotamus' is no single token"),
    ({"group": [" and", "but"]}, "'but' is no word with one space before it"),
    ({"group": [" and", "\ud800"]}, "group: '\\ud800' holds half a character"),
    ({"suggested": [entry(shifts={" so": 1.0}) | {"gain": 1.0, "p": 0.1}]}, "rule 'comma': ' so' is not of the group"),
    ({"suggested": [entry(name=7) | {"gain": 1.0, "p": 0.1}]}, "number 1 of suggested: its name must be one line"),
    ({"suggested": [entry() | {"gain": 1.0, "p": True}]}, "rule 'comma': 'p' is no number"),
    ({"refused": [{"tokens": ["-x-"], "at": 1}]}, "a refused condition: the tokenizer has no token '-x-'"),
    ({"tokenizer_sha256": "\x1b[2J"}, "made for another tokenizer (⟨U+001B⟩[2J…"),
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


DIGITS = 5000 * "1"
DAMAGED = [
    ('" but": 1.0', f'" but": {DIGITS}', "rule 'comma', shifts: ' but' is no number"),
    ('"at": 1', f'"at": {DIGITS}', "rule 'comma': positions are whole numbers"),
    ('" but": 1.0', '" but": 1e999', "rule 'comma', shifts: ' but' is no number"),
    ('" but": 1.0', '" but": 1.0, " but": 2.0', "rule 'comma', shifts: ' but' is written twice"),
    ('"at": 1', '"at": 1, "at": 2', "rule 'comma', condition: 'at' is written twice"),
    ('"sentence": "s"', '"sentence": "s", "sentence": "t"', "rule 'comma': 'sentence' is written twice"),
    ('"rules": [', '"rules": [], "rules": [', "the file: 'rules' is written twice"),
    ('" and": 0.0', '" and": 0.0, " and": 1.0', "intercepts: ' and' is written twice"),
]  # fmt: skip


@pytest.mark.parametrize(("sound", "damaged", "said"), DAMAGED)
def test_what_python_would_read_otherwise_than_others_is_refused(tokenizer, tmp_path, sound, damaged, said):
    text = json.dumps(content(tokenizer, entry()))
    assert text.count(sound) == 1
    refused_with(tokenizer, tmp_path, text.replace(sound, damaged), said)


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


@pytest.mark.parametrize("there", [b"precious", b"{}", b"\xff", b"[1]", b"[" * 10**5, b"9" * 5000])
def test_nothing_but_a_rule_book_is_overwritten(tokenizer, tmp_path, there):
    path = tmp_path / "notes.json"
    path.write_bytes(there)
    with pytest.raises(UserError, match="left as it is"):
        _write(path, book_of(tokenizer, ()))
    assert path.read_bytes() == there
