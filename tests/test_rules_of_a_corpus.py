"""Rules about a corpus of one's own, from training the one-layer model to the page, nothing taken from the package."""

import re

import numpy as np
import pytest

from optim_hunter.cli import main
from optim_hunter.tasks.corpus import SEPARATOR
from tests.planted_rules import TOKENS

STORIES, CLAUSES, EPOCHS = 80, 3, "24"
OFTEN = 0.9
"""So often " but" comes after a comma, and " and" elsewhere."""

CORPUS = ("--corpus", "stories.txt")


def clause(generator):
    comma, usual = generator.random() < 0.5, generator.random() < OFTEN
    words = "".join(TOKENS[token] for token in generator.integers(1, len(TOKENS), size=16))
    return words + ("," if comma else "") + (" but" if comma == usual else " and")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A call of the command line in a folder with stories.txt: exit code, what was printed, what was said on stderr."""
    generator = np.random.default_rng(0)
    stories = ["Once" + "".join(clause(generator) for _ in range(CLAUSES)) + " end." for _ in range(STORIES)]
    (tmp_path / "stories.txt").write_text(f"\n{SEPARATOR}\n".join(stories), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path / "cache"))

    def call(*arguments):
        code = main([*arguments, *CORPUS])
        return code, *capsys.readouterr()

    return call


def test_a_trained_model_gives_a_book_its_rules_verdicts_score_and_page(call, tmp_path):
    model = ("--model", "model")
    assert call("train", "--out", "model", "--epochs", EPOCHS)[0] == 0
    assert call("rules", "new", "and,but", "mine.json")[0] == 0
    assert "comma-1" in call("rules", "suggest", "mine.json", "--most", "3", *model)[1]
    assert call("rules", "accept", "mine.json", "comma-1")[0] == 0
    assert call("rules", "fit", "mine.json")[0] == 0
    share = re.search(r"comma-1 │.*│ inconclusive +│ ([\d.]+) +│", call("rules", "evaluate", "mine.json", *model)[1])
    assert float(share[1]) > 0.5
    sentence = "Once" + " saw ran hid" * 5 + ","
    printed = call("rules", "predict", "mine.json", sentence, *model)[1]
    for who in ("rule book", "one-layer model"):
        and_, but = map(float, re.search(rf"{who} +│ +([\d.]+)% +│ +([\d.]+)%", printed).groups())
        assert but > 80 > and_
    assert "mine.json: prior" in call("rules", "score", "mine.json", *model)[1]
    mine = ("--group", "and,but", "--rules", "mine.json", "--store", "none")
    assert call("demo", *mine, *model)[0] == 0
    refused_without_its_model(call, mine, tmp_path)


def refused_without_its_model(call, mine, folder):
    """The packaged model has another tokenizer; what is there stays as it is."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for verb in (("suggest", "mine.json"), ("evaluate", "mine.json"), ("score", "mine.json")):
        code, _, error = call("rules", *verb)
        assert code == 2
        assert "the one-layer model of the package has another tokenizer than this corpus" in error
        assert error.count("\n") == 1
    code, _, error = call("demo", *mine, "--model", "nowhere")
    assert (code, error.count("\n")) == (2, 1)
    assert "nowhere/training.json is not there" in error
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
