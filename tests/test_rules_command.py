"""`optim-hunter rules` from an empty book to verdicts, on a planted corpus and with the planted book as the network."""

import json
from pathlib import Path

import pytest

from optim_hunter.cli import main
from optim_hunter.stories import rules
from optim_hunter.tasks.corpus import SEPARATOR
from optim_hunter.tasks.rules import RuleBook, rule_book_log_probabilities
from optim_hunter.tasks.stories import CONJUNCTIONS, token_texts
from tests.planted_rules import PLANTED_RULES, planted_corpus


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A call of the command in a folder with stories.txt: exit code, what was printed, what was said on stderr."""
    corpus = f"\n{SEPARATOR}\n".join(planted_corpus(300).stories)
    (tmp_path / "stories.txt").write_text(corpus, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(rules, "network_of", planted_network)

    def call(*arguments):
        code = main(["rules", *arguments, "--corpus", "stories.txt"])
        return code, *capsys.readouterr()

    return call


def planted_network(tokenizer, group, folder):  # noqa: ARG001 - called as network_of is
    texts = token_texts(tokenizer)
    book = RuleBook(CONJUNCTIONS, "planted", texts, dict.fromkeys(CONJUNCTIONS, 0.0), PLANTED_RULES)
    return lambda windows: rule_book_log_probabilities(book, windows)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_from_an_empty_book_to_verdicts(call, tmp_path):
    assert call("new", "conjunctions", "mine.json")[0] == 0
    code, printed, _ = call("suggest", "mine.json", "--most", "4")
    assert code == 0
    assert "comma-1" in printed
    assert "dropped" not in printed
    undecided = len(read(tmp_path / "mine.json")["suggested"])
    printed = call("suggest", "mine.json", "--most", "4")[1]
    assert f"earlier suggestions dropped, neither accepted nor refused: {undecided}" in printed
    assert call("accept", "mine.json", "comma-1", "--as", "the-comma")[0] == 0
    others = [rule["name"] for rule in read(tmp_path / "mine.json")["suggested"]]
    assert others
    assert call("refuse", "mine.json", *others)[0] == 0
    assert len(read(tmp_path / "mine.json")["refused"]) == len(others)
    assert call("fit", "mine.json", "--out", "fitted.json")[0] == 0
    assert read(tmp_path / "fitted.json")["rules"][0]["shifts"][" but"] > 0.5
    assert "the-comma" in call("list", "fitted.json")[1]
    assert "where\n  ',', just before the word\n" in call("show", "fitted.json", "the-comma")[1]
    printed = call(
        "predict", "fitted.json", "Once saw ran hid ball tree cat dog bird cake lake red big sun moon jump,"
    )[1]
    assert "the-comma" in printed
    assert "one-layer model" in printed
    printed = call("evaluate", "fitted.json")[1]
    assert "in the corpus: 1 supported" in printed
    assert "in the network: 1 supported" in printed


REFUSED = [
    (("list", "conjunction"), "no packaged rule book 'conjunction'"),
    (("list", "none.json"), "rule book none.json: cannot be read"),
    (("new", "conjunctions", "stories.txt"), "is there already"),
    (("new", "and", "mine.json"), "no word group 'and'"),
    (("fit", "book.json"), "the book has no rules to fit"),
    (("show", "book.json", "comma"), "no rule 'comma' in this book"),
    (("accept", "book.json", "comma"), "no suggestion 'comma'"),
    (("refuse", "book.json", "comma"), "no suggestion 'comma'"),
    (("suggest", "book.json", "--most", "0"), "ask for one suggestion or more"),
    (("predict", "book.json", "Tom saw"), "the sentence has"),
    (("score", "none", "-o", "stories.txt"), "stories.txt is there and is no page of this command"),
    (("score", "none", "-o", "/proc/page.html"), "/proc/page.html cannot be written"),
    (("score", "none"), "no packaged rule book 'none'"),
    (("fit", "book.json", "--out", "/proc/book.json"), "/proc/book.json cannot be written"),
    (("suggest", "stories.txt"), "stories.txt is there and is no rule book"),
    *(
        ((*verb, "conjunctions"), "the packaged book 'conjunctions' is left as it is: name a file of your own")
        for verb in (("suggest",), ("fit",), ("fit", "book.json", "--out"), ("new", "conjunctions"))
    ),
    *(
        (
            (verb, "conjunctions", "comma-1"),
            "the packaged book 'conjunctions' is left as it is: name a file of your own",
        )
        for verb in ("accept", "refuse")
    ),
]


def test_mistakes_end_in_one_line_and_overwrite_nothing(call, tmp_path):
    call("new", "conjunctions", "book.json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, said in REFUSED:
        code, _, error = call(*arguments)
        assert (code, error.count("\n")) == (2, 1), arguments
        assert said in error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_page_that_cannot_be_read_is_left_as_it_is(call, tmp_path, monkeypatch):
    (tmp_path / "rules.html").write_text("precious", encoding="utf-8")

    def denied(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    code, _, error = call("score", "none")
    assert (code, error) == (
        2,
        "optim-hunter: rules.html cannot be written (Permission denied): name another with --out\n",
    )


def test_a_corpus_too_small_for_its_parts_is_refused(call, tmp_path):
    stories = planted_corpus(2).stories
    (tmp_path / "stories.txt").write_text(f"\n{SEPARATOR}\n".join(stories), encoding="utf-8")
    code, _, error = call("new", "conjunctions", "mine.json")
    assert code == 2
    assert "too few windows" in error
    assert not (tmp_path / "mine.json").exists()
