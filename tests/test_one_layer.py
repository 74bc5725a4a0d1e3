"""The one-layer model and its tables: hand-set weights whose tables are known, parity, and folders that hold none."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch.nn.functional import gelu

import fixtures.imported  # noqa: F401
from optim_hunter.claim import UserError
from optim_hunter.cli import main
from optim_hunter.models.one_layer import (
    OneLayerModel,
    OneLayerShape,
    folder_contents,
    load_one_layer,
    log_probabilities,
)
from optim_hunter.models.one_layer_tables import OneLayerTables
from optim_hunter.stories.tables import HeldOutTables
from optim_hunter.tasks.corpus import Corpus, corpus_of, read_corpus
from optim_hunter.tasks.held_out import split_stories
from optim_hunter.tasks.next_tokens import next_tokens
from optim_hunter.tasks.planted_stories import planted_corpus
from optim_hunter.tasks.stories import train_tokenizer

CORPUS = planted_corpus("planted:comma-raises-but")
TOKENIZER = train_tokenizer(CORPUS, 1024)
TOKENS = TOKENIZER.get_vocab_size()
SHAPE = OneLayerShape(TOKENS, width=16, heads=4, neurons=8)
COMMA, BUT, TOM, SAW = (TOKENIZER.token_to_id(name) for name in (",", "Ġbut", "ĠTom", "Ġsaw"))
SECOND_LAST, SHARP = 14, 4.0


def random_model(shape=SHAPE, seed=0, scale=1.0):
    model = OneLayerModel(shape, TOKENIZER, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for weights in model.parameters():
            weights *= scale
    return model


def known_model():
    """Where "," is second from the end and " but" the last token, head 0 raises " Tom" and the MLP then " saw"."""
    model = random_model(OneLayerShape(TOKENS, width=4, heads=2, neurons=1), scale=0.0)
    with torch.no_grad():
        model.embedding[SECOND_LAST * TOKENS + COMMA, 0] = model.embedding[15 * TOKENS + BUT, 1] = 1
        model.query[1, 0], model.key[0, 0] = SHARP * 2**0.5, 1  # the scores are divided by the root of the head's size
        model.value[0, 1], model.output[1, 2], model.unembedding[2, TOM] = 1, 1, 3
        model.mlp_in[2, 0], model.mlp_bias[0], model.mlp_out[0, 3], model.unembedding[3, SAW] = 2, -0.5, 1, 5
        model.bias[7] = 0.25
    return model


def windows_of(generator, number=5):
    return torch.tensor(generator.integers(TOKENS, size=(number, 16)))


def test_tables_of_a_model_with_set_weights_are_what_was_set():
    model, symbol = known_model(), SECOND_LAST * TOKENS + COMMA
    tables = OneLayerTables(model)
    scores = tables.scores(0, BUT)
    assert scores[symbol] == pytest.approx(SHARP)
    assert scores.count_nonzero() == 1
    assert tables.scores(1, BUT).count_nonzero() == tables.scores(0, COMMA).count_nonzero() == 0
    logits = tables.head_logits(0)
    assert (logits[symbol, TOM], logits.count_nonzero()) == (3, 1)
    assert tables.direct_logits().unique().tolist() == [0, 0.25]
    assert (tables.neuron_logits()[0, SAW], tables.neuron_logits().count_nonzero()) == (5, 1)
    assert tables.head_neurons(0)[symbol].item() == 2


def test_the_model_with_set_weights_says_what_its_tables_say():
    window = torch.full((1, 16), 1)
    window[0, SECOND_LAST], window[0, -1] = COMMA, BUT
    attention = math.exp(SHARP) / (math.exp(SHARP) + 15)
    logits = known_model()(window)[0]
    assert logits[TOM].item() == pytest.approx(3 * attention, rel=1e-5)
    assert logits[SAW].item() == pytest.approx(5 * gelu(torch.tensor(2 * attention - 0.5)).item(), rel=1e-5)
    assert logits[7].item() == pytest.approx(0.25)
    window[0, SECOND_LAST] = 1
    assert known_model()(window)[0, TOM].item() == 0


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(True, True), (False, True), (True, False), (False, False)]))
def test_tables_rebuild_the_logits_of_any_model(seed, parts):
    attention, mlp = parts
    model = random_model(replace(SHAPE, attention=attention, mlp=mlp), seed, scale=2.0)
    windows = windows_of(np.random.default_rng(seed))
    assert torch.allclose(OneLayerTables(model).logits(windows), model(windows), atol=1e-4)


def packaged_windows():
    """Every held-out token of a few stories of the packaged corpus that has a window before it."""
    model, corpus = load_one_layer(), read_corpus(None)
    examples = next_tokens(model.tokenizer, corpus, split_stories(corpus.stories).held_out[:4], 16)
    return model, examples.windows(np.arange(len(examples.places)))


def test_tables_rebuild_the_logits_of_the_packaged_model_on_held_out_windows():
    model, windows = packaged_windows()
    tokens = torch.tensor(windows)
    rebuilt = OneLayerTables(model).logits(tokens)
    assert rebuilt.std() > 1
    assert (rebuilt - model(tokens)).abs().max() <= 1e-4


def test_attention_of_a_head_is_over_the_positions_of_the_window():
    windows = windows_of(np.random.default_rng(0))
    attention = OneLayerTables(random_model(scale=2.0)).attention(3, windows)
    assert torch.allclose(attention.sum(1), torch.ones(len(windows)))
    assert attention.min() >= 0


def test_a_part_that_is_left_out_writes_nothing():
    model, windows = random_model(scale=2.0), windows_of(np.random.default_rng(1))
    direct = OneLayerTables(model).direct_logits()[windows[:, -1]]
    said = log_probabilities(model, windows.numpy(), frozenset({"mlp", "attention"}))
    np.testing.assert_allclose(said, direct.log_softmax(-1), atol=1e-5)
    whole, no_mlp = (log_probabilities(model, windows.numpy(), frozenset(without)) for without in ((), ("mlp",)))
    assert np.abs(whole - no_mlp).max() > 0.01
    np.testing.assert_allclose(np.exp(whole).sum(1), 1, atol=1e-5)


def test_the_order_of_the_windows_changes_nothing_but_the_order():
    model, windows = random_model(), windows_of(np.random.default_rng(2)).numpy()
    turned = log_probabilities(model, windows[::-1])
    np.testing.assert_allclose(log_probabilities(model, windows)[::-1], turned, atol=1e-6)


def write_folder(folder, model, record=None):
    folder.mkdir()
    for name, content in folder_contents(model, record or {}).items():
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_gives_back_the_model_in_half_precision(tmp_path):
    model, windows = random_model(seed=4), windows_of(np.random.default_rng(4)).numpy()
    loaded = load_one_layer(write_folder(tmp_path / "model", model, {"seed": 4}))
    assert (loaded.record["seed"], loaded.tokenizer_sha256) == (4, model.tokenizer_sha256)
    np.testing.assert_allclose(log_probabilities(loaded, windows), log_probabilities(model, windows), atol=0.02)
    assert all(torch.equal(weights, weights.half().float()) for weights in loaded.parameters())


def test_the_packaged_model_is_small_and_of_the_packaged_corpus():
    model = load_one_layer()
    assert sum(weights.numel() for weights in model.parameters()) * 2 <= 6e6
    assert model.record["corpus"]["sha256"] == read_corpus(None).sha256
    assert model.shape == OneLayerShape()


def spoil_weights(folder):
    arrays = load_file(folder / "weights.safetensors")
    save_file({**arrays, "bias": arrays["bias"] + 1}, folder / "weights.safetensors")


def spoil_shape(folder):
    record = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps(record | {"shape": {**record["shape"], "width": 32}}))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "training.json").unlink(), "training.json is not there"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors is not there"),
        (lambda folder: (folder / "training.json").write_text("{"), "is no JSON"),
        (lambda folder: (folder / "training.json").write_text("[]"), "is no record of a one-layer model"),
        (spoil_weights, "is not the file that training.json was written with"),
        (spoil_shape, "holds files that cannot be read"),
    ],
)
def test_a_folder_that_holds_no_model_is_refused_in_one_line(tmp_path, spoil, complaint):
    spoil(write_folder(tmp_path / "model", random_model()))
    with pytest.raises(UserError, match=complaint) as refused:
        load_one_layer(tmp_path / "model")
    assert "\n" not in str(refused.value)


def held_out_of_known_model():
    return HeldOutTables(known_model(), CORPUS)


def test_skip_trigrams_of_a_head_with_set_weights_are_those_that_were_set():
    held = held_out_of_known_model()
    found = held.skip_trigrams(0, 1)[0]
    there = (held.windows[:, SECOND_LAST] == COMMA) & (held.windows[:, -1] == BUT)
    assert there.sum() > 0
    assert (found.token, found.position, found.last, found.windows) == (COMMA, -2, BUT, there.sum())
    attention = math.exp(SHARP) / (math.exp(SHARP) + 15)
    assert (found.score, found.attention) == (pytest.approx(SHARP), pytest.approx(attention, rel=1e-5))
    assert found.shifts.raised[0] == (TOM, pytest.approx(3 * attention * (1 - held.shares[TOM]), rel=1e-4))


def test_windows_that_excite_a_neuron_are_those_with_the_largest_activation():
    held = HeldOutTables(random_model(scale=2.0), CORPUS)
    activations = held.neuron(3)
    by_tables = OneLayerTables(held.model).activations(torch.tensor(held.windows[:50]))[:, 3]
    np.testing.assert_allclose(activations[:50], by_tables, atol=1e-5)
    first, *others = held.excited(activations, 4)
    assert first.activation == activations.max()
    assert first.activation >= max(other.activation for other in others)
    shown = np.isin(activations, [one.activation for one in (first, *others)])
    assert len(set(held.examples.story[shown])) == 4


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-50, 50))
def test_shifts_know_nothing_of_what_is_added_to_all_logits(seed, constant):
    held = HeldOutTables(random_model(), CORPUS)
    logits = np.random.default_rng(seed).normal(size=(3, TOKENS))
    moved = held.moved(logits)
    np.testing.assert_allclose(held.moved(logits + constant), moved, atol=1e-9)
    np.testing.assert_allclose(moved @ held.shares, 0, atol=1e-9)


@pytest.fixture
def corpus_file(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text("\n<|endoftext|>\n".join(CORPUS.stories), encoding="utf-8")
    return str(path)


def test_the_views_are_printed(tmp_path, corpus_file, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    command = ["tables", "--model", str(write_folder(tmp_path / "model", known_model())), "--corpus", corpus_file]
    assert main([*command, "--head", "0", "--most", "1"]) == 0
    assert "head 0: ',' at −2 … ' but'  raises ' Tom' +" in capsys.readouterr().out
    assert main([*command, "--neuron", "0", "--most", "2"]) == 0
    assert "neuron 0 is above 0.1 in" in capsys.readouterr().out
    assert main(command) == 0
    assert "strongest skip-trigram of each head" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--head", "2"], "no head 2: this model has 0 to 1"),
        (["--neuron", "-1"], "no neuron -1: this model has 0 to 0"),
        (["--most", "0"], "--most 0: give 1 or more"),
        (
            ["--model", "nowhere"],
            "training.json is not there: give a folder that optim-hunter train",
        ),
        (["--corpus", "nowhere"], "there is no such file"),
    ],
)
def test_bad_input_of_the_views_ends_in_one_line(tmp_path, corpus_file, capsys, arguments, complaint):
    model = ["--model", str(write_folder(tmp_path / "model", known_model())), "--corpus", corpus_file]
    assert main(["tables", *model, *arguments]) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_a_model_without_attention_has_no_head_to_show(tmp_path, corpus_file, capsys):
    folder = write_folder(tmp_path / "model", random_model(replace(SHAPE, attention=False)))
    assert main(["tables", "--model", str(folder), "--corpus", corpus_file, "--head", "0"]) == 2
    assert "no head 0: this model has none" in capsys.readouterr().err


def test_a_corpus_whose_held_out_stories_are_shorter_than_a_window_is_refused():
    short: Corpus = corpus_of("short", "\n<|endoftext|>\n".join(f"Tom saw {number}" for number in range(100)), "")
    with pytest.raises(UserError, match="longer than 16 tokens"):
        HeldOutTables(known_model(), short)
