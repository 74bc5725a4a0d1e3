"""The ladder: its rungs on the same windows, what is kept of a stopped command, and what is refused."""

import csv
import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim_hunter.cli import main
from optim_hunter.models.linear_tokens import fit_tokens_linear
from optim_hunter.models.ngrams import fit_ngrams
from optim_hunter.observe.choices import LinearChooser
from optim_hunter.stories import ladder
from optim_hunter.stories.ladder_rungs import ALL, LINEAR, NGRAMS, VARIANTS, Question, question_of_all, windows_of_group
from optim_hunter.stories.ladder_table import by_story
from optim_hunter.stories.train import make_training
from optim_hunter.tasks.corpus import SEPARATOR
from optim_hunter.tasks.held_out import ChoiceTask
from optim_hunter.tasks.next_tokens import NextTokens, next_tokens
from optim_hunter.tasks.planted_stories import planted_corpus

CORPUS = planted_corpus("planted:comma-raises-but")
LINEAR_MODEL = LinearChooser(CORPUS, ChoiceTask())


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """Short trainings, in a folder and cache of their own."""
    monkeypatch.setenv("OPTIM_HUNTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ladder, "make_training", lambda out, corpus, seed, _, without, weight: make_training(
        out, corpus, seed, 0.2, without, weight))  # fmt: skip
    monkeypatch.setattr(ladder, "fit_tokens_linear", partial(fit_tokens_linear, epochs=0.5))


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text(f"\n{SEPARATOR}\n".join(CORPUS.stories), encoding="utf-8")
    return str(path)


def climb(corpus, *options):
    return main(["ladder", "--corpus", corpus, "--positions", "500", "--windows", "90", "--out", "made", *options])


def numbers(tmp_path):
    with (tmp_path / "made" / "ladder.csv").open(encoding="utf-8") as file:
        return {(row["what"], row["name"], row["question"]): row for row in csv.DictReader(file)}


def test_all_rungs_answer_the_same_windows_and_a_second_command_makes_none_anew(corpus, tmp_path, monkeypatch, capfd):
    assert climb(corpus) == 0
    found = numbers(tmp_path)
    rungs = ["uniform", *NGRAMS, LINEAR, "linear, of the group", *VARIANTS]
    assert list(dict.fromkeys(name for what, name, _ in found if what == "loss")) == rungs
    nats = {key: float(row["nats"]) for key, row in found.items()}
    vocabulary = LINEAR_MODEL.tokenizer.get_vocab_size()
    assert nats["loss", "uniform", ALL] == pytest.approx(np.log(vocabulary), abs=1e-5)
    assert nats["loss", "uniform", "conjunctions"] == pytest.approx(np.log(5), abs=1e-5)
    assert nats["loss", "bigrams", "conjunctions"] < nats["loss", "unigrams", "conjunctions"] - 0.1
    gained = nats["loss", "unigrams", ALL] - nats["loss", "bigrams", ALL]
    assert nats["worth", "the last token", ALL] == pytest.approx(gained, abs=2e-5)
    for row in found.values():
        assert float(row["low"]) <= float(row["nats"]) <= float(row["high"])
        assert int(row["windows"]) == (
            500 if row["question"] == ALL else int(found["loss", "uniform", row["question"]]["windows"])
        )
    told = capfd.readouterr()
    assert "pronouns is left out" in told.err
    record = json.loads((tmp_path / "made" / "one-layer" / "training.json").read_text(encoding="utf-8"))
    assert record["question"]["recipe"]["group_weight"] == 0, "as the packaged model"
    assert (tmp_path / "made" / "ladder.md").read_text(encoding="utf-8").count("| one-layer |") == 1
    assert "Content-Security-Policy" in (tmp_path / "made" / "ladder.html").read_text(encoding="utf-8")

    monkeypatch.setattr(ladder, "losses_of", None)
    assert climb(corpus) == 0
    assert capfd.readouterr().out == told.out


def test_only_the_groups_that_were_named_are_asked(corpus, tmp_path, capfd):
    assert climb(corpus, "--group", "but,so", "conjunctions", "but,so") == 0
    assert {question for _, _, question in numbers(tmp_path)} == {ALL, "but,so", "conjunctions"}
    assert climb(corpus, "--group", "but,so") == 2
    assert "made holds the ladder of another corpus, of other groups or samples" in capfd.readouterr().err


def test_a_stopped_command_goes_on_behind_the_rungs_that_it_made(corpus, monkeypatch, capfd):
    made = []

    def stop_at_trigrams(say, question):
        made.append(question.name)
        if len(made) > 3 * 2:
            raise KeyboardInterrupt
        return whole(say, question)

    whole = ladder.losses_of
    monkeypatch.setattr(ladder, "losses_of", stop_at_trigrams)
    assert climb(corpus) == 130
    assert "stopped at trigrams: rungs that were made are kept" in capfd.readouterr().err
    made.clear()
    monkeypatch.setattr(ladder, "losses_of", lambda say, question: made.append(question.name) or whole(say, question))
    assert climb(corpus) == 0
    assert len(made) == 2 * (len(NGRAMS) - 2 + 1 + len(VARIANTS))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--windows", "0"], "--windows 0: give 1 or more"),
        (["--positions", "-3"], "--positions -3: give 1 or more"),
        (["--group", "conjunction"], "no word group 'conjunction'"),
        (["--models", "linear"], "--model linear is no language model"),
        (["--corpus", "nowhere.txt"], "corpus nowhere.txt: there is no such file"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line_before_anything_is_made(corpus, options, line, tmp_path, capfd):
    assert climb(corpus, *options) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert line in told
    assert not (tmp_path / "made").exists()


def test_nothing_is_written_over(corpus, tmp_path, capfd):
    made = tmp_path / "made"
    made.mkdir()
    (made / "thesis.txt").write_text("mine", encoding="utf-8")
    assert climb(corpus) == 2
    assert "holds something that is no ladder (thesis.txt): name another folder" in capfd.readouterr().err
    (made / "question.json").write_text('{"corpus_sha256": "another"}', encoding="utf-8")
    assert climb(corpus) == 2
    assert "the ladder of another corpus, of other groups or samples" in capfd.readouterr().err
    assert (made / "thesis.txt").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in made.iterdir()) == ["question.json", "thesis.txt"]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=12), st.integers(0, 1000))
def test_an_interval_by_story_is_that_of_resampled_stories(sizes, seed):
    generator = np.random.default_rng(seed)
    story = np.repeat(np.arange(len(sizes)) * 7, sizes)
    values = generator.normal(size=len(story))
    question = Question("q", np.zeros((len(story), 16), int), story, story)
    found = by_story(values, question)
    assert found.mean == pytest.approx(values.mean())
    means = np.array([values[story == one].mean() for one in np.unique(story)])
    assert means.min() - 1e-9 <= found.low <= found.high <= means.max() + 1e-9
    constant = by_story(np.full(len(story), 2.5), question)
    assert (constant.low, constant.high) == pytest.approx((2.5, 2.5))


def test_the_interval_of_many_stories_is_that_of_their_mean():
    values = np.random.default_rng(0).normal(size=900)
    found = by_story(values, Question("q", np.zeros((900, 16), int), np.arange(900), np.arange(900)))
    assert found.high - found.low == pytest.approx(2 * 1.645 / np.sqrt(900), rel=0.08)


def test_samples_are_of_the_held_out_stories():
    held_out = next_tokens(LINEAR_MODEL.tokenizer, CORPUS, LINEAR_MODEL.split.held_out, 16)
    some, every = question_of_all(held_out, 300), question_of_all(held_out, 10**9)
    assert len(some.labels) == 300
    assert len(every.labels) == len(held_out.places)
    assert set(some.story) <= set(LINEAR_MODEL.split.held_out)
    text = LINEAR_MODEL.tokenizer.decode([*some.tokens[7], some.labels[7]])
    assert text in CORPUS.stories[some.story[7]]
    few = windows_of_group(LINEAR_MODEL, 50)
    per_story = np.bincount(LINEAR_MODEL.windows.story)[LINEAR_MODEL.split.held_out]
    needed = int(np.argmax(np.cumsum(per_story) >= 50)) + 1
    assert set(few.story) == set(LINEAR_MODEL.split.held_out[:needed])
    assert len(few.labels) == per_story[:needed].sum() >= 50


def test_a_linear_model_begins_at_the_bigrams_and_learns_what_the_token_before_the_last_says():
    generator = np.random.default_rng(0)
    tokens = generator.integers(4, size=60_000)
    for place in np.flatnonzero(generator.random(60_000) < 0.7)[2:]:
        tokens[place] = (tokens[place - 2] + 1) % 4
    examples = NextTokens(tokens, np.array([60_000]), np.arange(2, 60_000), np.zeros(59_998, int), 2)
    every = np.arange(59_998)
    labels = examples.following(every)
    bigrams = fit_ngrams(tokens, [60_000], 2, 4)
    started = fit_tokens_linear(examples, 4, 0, lambda *_: None, epochs=1e-9)
    trained = fit_tokens_linear(examples, 4, 0, lambda *_: None, epochs=5)
    np.testing.assert_allclose(
        started.log_probabilities(examples.windows(every[:99])),
        np.log(bigrams.probabilities(examples.windows(every[:99]))),
        atol=0.06,
    )
    losses = [-one.log_probabilities(examples.windows(every))[every, labels].mean() for one in (started, trained)]
    assert losses[1] < losses[0] - 0.1
