"""The import paths of the published notes that concern data and prompts."""

import gc
import re
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from optim_hunter.claim import UserError
from optim_hunter.datasets import get_dataset, get_dataset_friedman_2, get_original2
from optim_hunter.llama_model import load_llama_model
from optim_hunter.model_utils import check_token_positions, get_tokenized_prompt
from optim_hunter.models.language import LanguageModel
from optim_hunter.models.planted_parts import number_tokenizer
from optim_hunter.models.sources import Provenance
from optim_hunter.observe.padded import pad, padded_prompt
from optim_hunter.sklearn_regressors import create_llm_regressor
from optim_hunter.tasks.prompts import number_text, regression_prompt
from optim_hunter.tasks.regression import Episode, RegressionTask, draw
from optim_hunter.tasks.templates import TEMPLATES
from optim_hunter.utils import pad_numeric_tokens, prepare_prompt, prepare_prompt_from_tokens, slice_dataset

LLAMA_3 = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
NUMBER = re.compile(r"-?\d+\.\d+")
NUMBERS = st.floats(-1e9, 1e9).map(lambda value: round(value, 3))


def byte_level(*splits):
    """A byte-pair tokenizer, trained on prompts, that first splits as is said."""
    prompts = [regression_prompt(draw(RegressionTask(), seed)).text for seed in range(20)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(splits))
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(prompts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


def reader(tokenizer, context=100_000):
    """A language model that only reads."""
    provenance = Provenance("built here", None, None, "none")
    fingerprint = tokenizer.backend_tokenizer.to_str()
    return LanguageModel(
        "reader", lambda: tokenizer, provenance, "cpu", "float32", lambda: context, fingerprint, lambda: None
    )


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated")


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
READERS = {
    "whole numbers": reader(number_tokenizer()),
    "Llama 3's splits": reader(byte_level(split(LLAMA_3), BYTES)),
    "single digits": reader(byte_level(pre_tokenizers.Digits(individual_digits=True), split(LLAMA_3), BYTES)),
    "GPT-2's splits": reader(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))),
}
"""Number tokenizer of the planted models; Llama 3 takes up to three digits, SmolLM2 one, GPT-2 joins " 12"."""


@pytest.fixture(params=READERS)
def model(request):
    return READERS[request.param]


@st.composite
def cases(draw):
    """Any numbers of any number of examples and features."""
    examples, features = draw(st.integers(1, 5)), draw(st.integers(1, 6))

    def array(*shape):
        size = int(np.prod(shape))
        return np.array(draw(st.lists(NUMBERS, min_size=size, max_size=size))).reshape(shape)

    return array(examples, features), array(examples), array(1, features)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=25, deadline=None)
@given(case=cases())
def test_padded_tokens_are_the_prompt_with_zeros_after_its_numbers(name, case):
    model = READERS[name]
    padded = pad_numeric_tokens(model, *case)
    tokens = prepare_prompt_from_tokens(model, *padded)
    length = padded[1].shape[-1]
    assert [one.shape for one in padded] == [(*array.shape, length) for array in case]
    plain, shown = prepare_prompt(*case), model.to_string(tokens[0]).removeprefix(model.tokenizer.bos_token)
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", plain)
    for written, read in zip(NUMBER.findall(plain), NUMBER.findall(shown), strict=True):
        assert read.startswith(written)
        assert float(read) == float(written)
    assert tokens[0, 0] == model.tokenizer.bos_token_id
    assert (tokens == model.tokenizer.bos_token_id).sum() == 1


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"GPT-2's splits"}))
@pytest.mark.parametrize("template", TEMPLATES)
def test_without_its_zeros_a_padded_prompt_is_the_text_as_the_model_reads_it(name, template):
    """But for GPT-2, which reads a number together with the space before it."""
    model, episode = READERS[name], draw(RegressionTask(examples=5), 7)
    arrays = episode.features, episode.outputs, episode.test_features[None]
    padded = pad(model, arrays)
    prompt = padded_prompt(model, *padded, template, episode.seed)
    ids, last = [], 0
    for value, text in zip(prompt.values, numbers_of(episode, template), strict=True):
        own = len(model.encode(f"\n{text}").ids) - len(model.encode("\n").ids)
        ids += prompt.ids[last : value.start + own]
        last = value.end
    assert ids + prompt.ids[last:] == model.encode(regression_prompt(episode, template).text).ids


def numbers_of(episode, template):
    prompt = regression_prompt(episode, template)
    return [prompt.text[value.start : value.end] for value in prompt.values]


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=20, deadline=None)
@given(case=cases(), seed=st.integers(0, 99))
def test_values_of_a_padded_prompt_lie_where_it_says(template, case, seed):
    model = READERS["Llama 3's splits"]
    x_train, y_train, x_test = case
    prompt = padded_prompt(model, *pad(model, case), template, seed)
    as_text = regression_prompt(Episode(seed, x_train, y_train, x_test[0], 0.0), template)
    for value, there in zip(prompt.values, as_text.values, strict=True):
        assert (value.kind, value.example, value.feature) == (there.kind, there.example, there.feature)
        shown = model.to_string(prompt.ids[value.start : value.end])
        assert float(shown) == float(as_text.text[there.start : there.end])
    assert len(prompt.positions_of("output")) == y_train.size * pad(model, case)[1].shape[-1]


@pytest.mark.parametrize("dataset", [get_dataset_friedman_2, get_original2, get_dataset("sine:2")])
def test_positions_hold_in_the_prompts_of_all_seeds(model, dataset, capsys):
    outputs, features = check_token_positions(model, dataset, 4, print_info=False)
    for seed in (1, 31, 666):
        tokens = get_tokenized_prompt(model, 4, seed, dataset, print_prompt=False)
        x_train, y_train, x_test, _ = slice_dataset(*dataset(seed), 4)
        read = model.to_string(tokens[0][outputs]), model.to_string(tokens[0][features])
        written = y_train, np.vstack([x_train, x_test])
        each = len(outputs) // 4
        assert len(features) == each * 5 * x_train.shape[1]
        for positions, values, text in zip((outputs, features), written, read, strict=True):
            spans = np.reshape(positions, (-1, each))
            shown = [model.to_string(tokens[0][list(span)]) for span in spans]
            assert [float(one) for one in shown] == [float(number_text(value)) for value in values.ravel()]
            assert "".join(shown) == text
    assert capsys.readouterr().out == ""


def test_what_is_printed_is_the_prompt_and_the_positions(capsys):
    model = READERS["whole numbers"]
    tokens = get_tokenized_prompt(model, 2, 5, get_dataset_friedman_2)
    assert capsys.readouterr().out == model.to_string(tokens[0]) + "\n"
    outputs, _ = check_token_positions(model, get_dataset_friedman_2, 2)
    assert f"{tokens.shape[1]} tokens, 3 a number\noutputs of 2 examples at {outputs}\n" in capsys.readouterr().out


def test_a_seed_whose_numbers_do_not_fit_the_layout_is_refused():
    def grows(random_state=0, noise=0.0):
        factor = 1e6 if random_state == 666 else 1.0
        return tuple(factor * array for array in get_dataset_friedman_2(random_state, noise))

    model = READERS["single digits"]
    get_tokenized_prompt(model, 4, 99, grows, print_prompt=False)
    with pytest.raises(UserError, match=r"takes \d+ tokens of reader, but the layout has 7 a number"):
        get_tokenized_prompt(model, 4, 666, grows, print_prompt=False)


def test_tokenizers_that_do_not_keep_numbers_apart_are_refused():
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {one: index for index, one in enumerate([*characters, "Ċ6"])}
    merging = Tokenizer(models.BPE(vocabulary, [("Ċ", "6")]))  # a line end and a 6 are one token
    merging.pre_tokenizer, merging.decoder = BYTES, decoders.ByteLevel()
    joining = PreTrainedTokenizerFast(tokenizer_object=merging)
    knowing_nothing = Tokenizer(models.WordLevel({"?": 0}, "?"))
    knowing_nothing.pre_tokenizer = split(r"[\s\S]")
    unknown = PreTrainedTokenizerFast(tokenizer_object=knowing_nothing)
    numbers = np.full((2, 1), 66.68), np.full(2, 66.68), np.full((1, 1), 66.68)
    with pytest.raises(UserError, match="joins numbers with what surrounds them"):
        pad_numeric_tokens(reader(joining), *numbers)
    with pytest.raises(UserError, match=r"does not give '66\.68' back"):
        pad_numeric_tokens(reader(unknown), *numbers)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e16])
def test_numbers_without_a_decimal_point_are_not_padded(value):
    with pytest.raises(UserError, match="cannot be padded, since it has no decimal point"):
        pad_numeric_tokens(READERS["whole numbers"], np.ones((1, 1)), np.array([value]), np.ones((1, 1)))


def test_a_prompt_longer_than_the_context_is_refused():
    with pytest.raises(UserError, match=r"takes \d+ tokens, but reader reads at most 64: show fewer examples"):
        get_tokenized_prompt(reader(number_tokenizer(), context=64), 4, 0, get_dataset_friedman_2)


@pytest.mark.parametrize("examples", [0, -1, 51])
def test_slices_that_do_not_exist_are_refused(examples):
    with pytest.raises(UserError, match=f"{examples} examples asked for: choose 1 to 50"):
        slice_dataset(*get_dataset_friedman_2(), examples)


def test_a_prompt_asks_one_test_case():
    x_train, y_train, x_test, y_test = get_original2()
    with pytest.raises(UserError, match="a prompt asks one test case, 32 were given"):
        prepare_prompt(x_train, y_train, x_test)
    sliced = slice_dataset(x_train, y_train, x_test, y_test, 19)
    assert [array.shape for array in sliced] == [(19, 4), (19,), (1, 4), (1,)]
    assert prepare_prompt(*sliced[:3]) == regression_prompt(draw(RegressionTask("original2", examples=19), 0)).text


def test_the_model_is_that_of_the_environment_and_one_object(monkeypatch):
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "planted:late-mlp")
    opened = load_llama_model()
    assert opened.name == "planted:late-mlp"
    assert load_llama_model() is opened
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "planted:late-mlp-twin")
    assert load_llama_model().name == "planted:late-mlp-twin"
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "recorded:llama-3.1-8b")
    with pytest.raises(UserError, match="has no weights to run"):
        load_llama_model()


def test_the_weights_of_one_model_alone_are_kept_and_the_other_answers_again(monkeypatch):
    """Also where an engine that somebody holds has looked at them."""
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "planted:kernel-regression")
    first = load_llama_model()
    asked = create_llm_regressor(first, "first")
    data = slice_dataset(*get_dataset_friedman_2(3), 5)
    answers = asked(*data).metadata["answers"]
    weights = weakref.ref(first.module)
    monkeypatch.setenv("OPTIM_HUNTER_MODEL", "planted:late-mlp")
    assert load_llama_model() is not first
    gc.collect()
    assert weights() is None
    assert asked(*data).metadata["answers"] == answers


def test_a_model_is_not_kept_for_the_layout_of_its_prompts():
    model = reader(number_tokenizer())
    check_token_positions(model, get_dataset_friedman_2, 4, print_info=False)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("model", [None, "smollm2-135m"])
def test_what_is_no_model_is_told_at_once(model):
    for ask in (
        lambda: get_tokenized_prompt(model, 4, 0, get_original2),
        lambda: check_token_positions(model, get_original2, 4),
    ):
        with pytest.raises(UserError, match="is no language model: give what load_llama_model returns"):
            ask()


def test_without_the_variable_it_is_llama_31(monkeypatch):
    monkeypatch.delenv("OPTIM_HUNTER_MODEL", raising=False)
    asked = []
    monkeypatch.setattr("optim_hunter.llama_model._open", asked.append)
    load_llama_model()
    assert asked == ["llama-3.1-8b"]


def test_text_of_tokens_shows_the_special_ones():
    model = READERS["whole numbers"]
    ids = model.encode("Output: 4.0").ids
    assert model.to_string(ids) == model.to_string(torch.tensor(ids)) == "[BOS]Output: 4.0"
