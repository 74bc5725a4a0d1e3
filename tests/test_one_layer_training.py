"""Training the one-layer model: what it learns of stories with a known rule, how it goes on, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import fixtures.imported  # noqa: F401
from optim_hunter.claim import UserError
from optim_hunter.cli import main
from optim_hunter.models.one_layer import OneLayerModel, OneLayerShape, load_one_layer, log_probabilities
from optim_hunter.models.one_layer_training import Recipe, Training, losses
from optim_hunter.stories.unfinished_training import Question, go_on, keep
from optim_hunter.tasks.corpus import SEPARATOR
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.next_tokens import next_tokens
from optim_hunter.tasks.planted_stories import planted_corpus
from optim_hunter.tasks.stories import CONJUNCTIONS, train_tokenizer, word_tokens

CORPUS = planted_corpus("planted:last-position-twin")
"""A comma that is followed by one word raises " but" to 0.8: the last token alone does not tell."""

TOKENIZER = train_tokenizer(CORPUS, 1024)
COMMA = TOKENIZER.token_to_id(",")
SPLIT = split_stories(CORPUS.stories)
EXAMPLES = next_tokens(TOKENIZER, CORPUS, SPLIT.fitting, 16)
HELD_OUT = next_tokens(TOKENIZER, CORPUS, SPLIT.held_out, 16)
SHAPE = OneLayerShape(TOKENIZER.get_vocab_size(), width=32, heads=2, neurons=32)
RECIPE = Recipe(epochs=2, batch=256, group_weight=0.0)
SHORT = ["--epochs", "0.9"]
KILLED = """
import sys
from optim_hunter.models.one_layer_training import Training
from optim_hunter.stories import train
from optim_hunter.cli import main

advance, train.KEPT_EVERY = Training.advance, -1.0

def advance_two(self):
    if self.step == 2:
        print("two steps", flush=True)
        sys.stdin.read()
    return advance(self)

Training.advance = advance_two
raise SystemExit(main(sys.argv[1:]))
"""
"""The command, which keeps every step and never comes to the end of its third."""


@pytest.fixture(autouse=True)
def one_thread():
    """The order in which threads add up changes the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def new_training(recipe=RECIPE, shape=SHAPE, seed=0):
    return Training(OneLayerModel(shape, TOKENIZER, torch.Generator().manual_seed(seed)), EXAMPLES, recipe)


def finished(training):
    while training.step < training.steps:
        training.advance()
    training.end()
    return training.model


def weights_of(model):
    return {name: weights.clone() for name, weights in model.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def shares_of_but(model):
    """Mean probability of " but" among the conjunctions, where one comes: after a comma and a word, and elsewhere."""
    everything = np.arange(len(HELD_OUT.places))
    words = word_tokens(TOKENIZER, CONJUNCTIONS)
    windows = HELD_OUT.windows(everything)[np.isin(HELD_OUT.following(everything), words)]
    said = np.exp(log_probabilities(model, windows)[:, words])
    but = said[:, CONJUNCTIONS.index(" but")] / said.sum(1)
    marked = windows[:, -2] == COMMA
    return but[marked].mean(), but[~marked].mean()


def test_a_tiny_model_learns_the_rule_of_planted_stories_by_attention():
    training = new_training()
    before = losses(training.model, HELD_OUT).mean()
    model = finished(training)
    assert losses(model, HELD_OUT).mean() < before - 0.1
    marked, other = shares_of_but(model)
    assert marked == pytest.approx(0.8, abs=0.07)
    assert other == pytest.approx(0.2, abs=0.07)


def conjunction_losses(model, windows, following):
    """Nats among the conjunctions where one of them came, by hand."""
    words = word_tokens(TOKENIZER, CONJUNCTIONS)
    came = np.isin(following, words)
    said = np.exp(log_probabilities(model, windows[came]))
    return -np.log(said[np.arange(came.sum()), following[came]] / said[:, words].sum(1))


def test_the_group_weight_counts_which_conjunction_came():
    """No other group's words are all tokens of the planted stories: the first step's gradient is that of the sum."""
    batch = slice(0, 256)
    weighted, plain = new_training(replace(RECIPE, group_weight=3.0)), new_training()
    assert [words.tolist() for words in weighted._word_groups] == [word_tokens(TOKENIZER, CONJUNCTIONS).tolist()]
    order = np.random.default_rng([0, 0]).permutation(len(EXAMPLES.places))[batch]
    windows, following = EXAMPLES.windows(order), EXAMPLES.following(order)
    model = plain.model
    with torch.no_grad():
        model.embedding.copy_(plain._embedding())
    said = model(torch.as_tensor(windows)).log_softmax(-1)
    words = torch.as_tensor(word_tokens(TOKENIZER, CONJUNCTIONS))
    came = torch.isin(torch.as_tensor(following), words)
    picked = said[torch.arange(len(following)), torch.as_tensor(following)]
    among = (said[came][:, words].logsumexp(1) - picked[came]).sum() / len(following)
    np.testing.assert_allclose(
        among.item(), conjunction_losses(model, windows, following).sum() / len(following), rtol=1e-5
    )
    (-picked.mean() + 3 * among).backward()
    weighted.advance()
    torch.testing.assert_close(weighted.model.unembedding.grad, model.unembedding.grad, atol=1e-6, rtol=1e-4)


def test_without_attention_it_cannot_see_the_mark():
    marked, other = shares_of_but(finished(new_training(shape=replace(SHAPE, attention=False))))
    assert marked == pytest.approx(other, abs=0.03)


def test_a_seed_decides_the_weights():
    short = replace(RECIPE, epochs=0.1)
    first, again = (weights_of(finished(new_training(short))) for _ in range(2))
    assert same(first, again)
    assert not same(first, weights_of(finished(new_training(replace(short, seed=1)))))
    assert not same(first, weights_of(finished(new_training(short, seed=1))))


def test_every_token_is_seen_once_an_epoch():
    training = new_training(replace(RECIPE, epochs=1, batch=1000))
    seen = []
    training.model.forward = lambda windows: seen.append(windows) or OneLayerModel.forward(training.model, windows)
    finished(training)
    rows, counts = np.unique(torch.cat(seen).numpy(), axis=0, return_counts=True)
    there, wanted = np.unique(EXAMPLES.windows(np.arange(len(EXAMPLES.places))), axis=0, return_counts=True)
    assert training.steps == len(EXAMPLES.places) // 1000
    assert 0 <= wanted.sum() - counts.sum() < 1000
    assert set(map(tuple, rows.tolist())) <= set(map(tuple, there.tolist()))
    assert counts.max() <= wanted.max()


@pytest.mark.parametrize("stopped", [1, 7])
def test_a_training_that_was_kept_ends_in_the_same_bits(tmp_path, stopped):
    recipe = replace(RECIPE, epochs=0.1)
    question, first = Question("sha", (), recipe), new_training(recipe)
    for _ in range(stopped):
        first.advance()
    keep(tmp_path, question, first, 3.5)
    second = new_training(recipe, seed=99)  # whatever its first weights were
    assert go_on(tmp_path, second) == 3.5
    assert second.step == stopped < second.steps
    assert same(weights_of(finished(second)), weights_of(finished(first)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "planted.txt"
    path.write_text(f"\n{SEPARATOR}\n".join(CORPUS.stories), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """A finished folder, which no test writes to."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    torch.set_num_threads(1)
    assert main(["train", "--corpus", corpus, "--out", str(folder), *SHORT]) == 0
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_holds_the_model_and_its_record(trained):
    assert set(contents(trained)) == {"weights.safetensors", "tokenizer.json", "training.json"}
    assert {array.dtype.name for array in load_file(trained / "weights.safetensors").values()} == {"float16"}
    model = load_one_layer(trained)
    stated = model.record["losses"]["held_out"]
    assert stated["mean"] == pytest.approx(losses(model, HELD_OUT).mean(), abs=1e-3)
    assert stated["low"] < stated["mean"] < stated["high"]
    assert model.record["corpus"]["sha256"] == CORPUS.sha256
    assert model.record["question"]["recipe"] == {**asdict(Recipe()), "epochs": 0.9, "betas": [*Recipe().betas]}
    assert model.record["parts"]["fitting"] == {"stories": len(SPLIT.fitting), "tokens": len(EXAMPLES.places)}


def test_a_finished_training_is_not_done_again(trained, corpus, capsys):
    before = contents(trained)
    assert main(["train", "--corpus", corpus, "--out", str(trained), *SHORT]) == 0
    assert "holds this training already; nothing was done" in capsys.readouterr().out
    assert contents(trained) == before


def test_killed_in_the_middle_it_goes_on_to_the_weights_of_one_that_was_not(trained, corpus, tmp_path, capsys):
    command = ["train", "--corpus", corpus, "--out", str(tmp_path / "model"), *SHORT]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout.readline() == "two steps\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert set(contents(tmp_path / "model")) == {"unfinished.safetensors"}
    assert main(command) == 0
    assert "\n       2 " not in capsys.readouterr().err
    assert set(contents(tmp_path / "model")) == set(contents(trained))
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == (trained / "weights.safetensors").read_bytes()


def test_an_interrupt_says_how_to_go_on(corpus, tmp_path, capsys, monkeypatch):
    def interrupted(training):  # noqa: ARG001 - in the place of the method
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "advance", interrupted)
    assert main(["train", "--corpus", corpus, "--out", str(tmp_path / "model"), *SHORT]) == 130
    assert capsys.readouterr().err.splitlines()[-1].endswith("the same command goes on from what is kept")


def test_a_part_can_be_left_out(corpus, tmp_path):
    assert main(["train", "--corpus", corpus, "--out", str(tmp_path / "model"), "--without", "mlp", *SHORT]) == 0
    model = load_one_layer(tmp_path / "model")
    assert (model.attention, model.mlp, "mlp_in" in model.state_dict()) == (True, False, False)


def foreign(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")


def finished_other(folder):
    folder.mkdir()
    (folder / "training.json").write_text(
        json.dumps({"shape": {}, "files": {}, "question": {"corpus_sha256": "other"}})
    )


def weights_alone(folder):
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"mine")


def unfinished_other(folder):
    recipe = Recipe(seed=5)
    training = new_training(recipe)
    training.advance()
    keep(folder, Question(CORPUS.sha256, (), recipe), training, 0.0)


def damaged(folder):
    folder.mkdir()
    (folder / "unfinished.safetensors").write_bytes(b"no tensors")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: folder.write_text("a file"), "is no folder: name another folder with --out"),
        (foreign, "holds something that is no training (notes.txt)"),
        (finished_other, "holds a training of another corpus, seed, length, part or recipe"),
        (unfinished_other, "holds a training of another corpus, seed, length, part or recipe"),
        (weights_alone, "holds weights.safetensors, but no training that was begun or finished"),
        (damaged, "unfinished.safetensors cannot be read"),
    ],
)
def test_a_folder_of_something_else_is_refused_and_left(corpus, tmp_path, capsys, spoil, complaint):
    folder = tmp_path / "out"
    spoil(folder)
    before = folder.read_bytes() if folder.is_file() else contents(folder)
    assert main(["train", "--corpus", corpus, "--out", str(folder), *SHORT]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert (folder.read_bytes() if folder.is_file() else contents(folder)) == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--seed", "-1"], "--seed -1: give 0 or more"),
        (["--epochs", "0"], "--epochs 0: give a number above 0"),
        (["--group-weight", "-1"], "--group-weight -1: give 0 or more"),
        (["--epochs", "nan"], "--epochs nan: give a number above 0"),
        (["--corpus", "nowhere.txt"], "there is no such file"),
        (["--out", "/proc/model"], "cannot be written"),
    ],
)
def test_bad_input_ends_in_one_line(corpus, tmp_path, capsys, arguments, complaint):
    assert main(["train", "--corpus", corpus, "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stories", "complaint"),
    [
        (CORPUS.stories[:3], "and 2 are needed; give a corpus of more stories"),
        (tuple(f"Tom saw {number}" for number in range(90)), "is longer than 16 tokens; give a corpus of more"),
    ],
)
def test_a_corpus_too_small_for_the_split_is_refused(tmp_path, capsys, stories, complaint):
    (tmp_path / "small.txt").write_text(SEPARATOR.join(stories), encoding="utf-8")
    assert main(["train", "--corpus", str(tmp_path / "small.txt"), "--out", str(tmp_path / "out")]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_moments_of_another_model_are_refused(tmp_path):
    training = new_training(shape=replace(SHAPE, width=16))
    training.advance()
    keep(tmp_path, Question("sha", (), RECIPE), training, 0.0)
    with pytest.raises(UserError, match="cannot be read"):
        go_on(tmp_path, new_training())
