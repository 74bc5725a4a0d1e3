"""Planted models have the planted effect and their twins do not: measured with plain hooks, not our observers."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from optim_hunter.claim import UserError
from optim_hunter.models.planted import NAMES, build
from optim_hunter.models.planted_parts import number_tokenizer, prompt_layout
from optim_hunter.tasks.prompts import Prompt, number_text, regression_prompt, tokens_of
from optim_hunter.tasks.regression import Episode, RegressionTask, draw

SEEDS = range(3)
PLANTS = [name for name in NAMES if not name.endswith("-twin")]
LAST_MLPS = 2

two_decimals = st.floats(0, 1999.99).map(lambda value: round(value, 2))


@cache
def planted(name: str) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    return build(name), number_tokenizer()


@cache
def episode(seed: int) -> Episode:
    return draw(RegressionTask(), seed)


def encode(tokenizer: PreTrainedTokenizerFast, prompt: Prompt) -> tuple[Tensor, list[tuple[int, int]]]:
    encoded = tokenizer(prompt.text, add_special_tokens=False, return_offsets_mapping=True)
    return torch.tensor([[tokenizer.bos_token_id, *encoded["input_ids"]]]), [(0, 0), *encoded["offset_mapping"]]


@cache
def write_logits(name: str, seed: int) -> tuple[Float[Tensor, "component token"], Tensor]:
    """Direct effect of embedding, attentions and MLPs (in this order) on the last token's logits; the logits."""
    model, tokenizer = planted(name)
    layers = model.model.layers
    parts = [model.model.embed_tokens, *(layer.self_attn for layer in layers), *(layer.mlp for layer in layers)]
    writes = torch.zeros(len(parts), model.config.hidden_size)

    def keep(place: int, output: Tensor | tuple[Tensor, ...]) -> None:
        writes[place] = (output[0] if isinstance(output, tuple) else output)[0, -1]

    hooks = [
        part.register_forward_hook(lambda _module, _inputs, output, place=place: keep(place, output))
        for place, part in enumerate(parts)
    ]
    tokens, _ = encode(tokenizer, regression_prompt(episode(seed)))
    logits = model(tokens, logits_to_keep=1).logits[0, -1]
    for hook in hooks:
        hook.remove()
    scale = writes.sum(0).square().mean().add(model.config.rms_norm_eps).rsqrt()
    return writes * scale * model.model.norm.weight @ model.lm_head.weight.T, logits


def answer(name: str, seed: int) -> float:
    """The number that the model answers; its first token is all of it (tested below)."""
    _, logits = write_logits(name, seed)
    return float(planted(name)[1].decode(logits.argmax()))


def gain(name: str, seed: int) -> float:
    """By how much the absolute error is smaller than the mean baseline's."""
    data = episode(seed)
    return float(abs(data.outputs.mean() - data.gold) - abs(answer(name, seed) - data.gold))


def mlp_shares(effects: Float[Tensor, "component token"], pair: tuple[int, int]) -> Float[np.ndarray, " layer"]:
    """Share of each MLP in the summed absolute effects on the pair's logit difference."""
    sizes = (effects[:, pair[0]] - effects[:, pair[1]]).abs().numpy()
    return sizes[1 + len(sizes) // 2 :] / sizes.sum()


def late_margins(name: str, seed: int) -> tuple[float, float]:
    """Share of the last MLPs above the largest disjoint run's, and above its mean over random token pairs."""
    _, tokenizer = planted(name)
    tokens, _ = encode(tokenizer, regression_prompt(episode(seed)))
    effects, logits = write_logits(name, seed)
    mean = number_text(episode(seed).outputs.mean()).split(".")[0]
    shares = mlp_shares(effects, (int(logits.argmax()), int(tokenizer.convert_tokens_to_ids(mean))))
    runs = np.convolve(shares, np.ones(LAST_MLPS), "valid")
    seen = np.unique(tokens.numpy())
    generator = np.random.default_rng(seed)
    pairs = [generator.choice(seen, 2, replace=False) for _ in range(100)]
    chance = np.mean([mlp_shares(effects, (int(a), int(b)))[-LAST_MLPS:].sum() for a, b in pairs])
    return float(runs[-1] - runs[:-LAST_MLPS].max()), float(runs[-1] - chance)


@cache
def head_margins(name: str, seed: int) -> tuple[Float[np.ndarray, "layer head"], Float[np.ndarray, "layer head"]]:
    """Log2 of attention per output-value token over per feature-value token; output mass above the median head's."""
    model, tokenizer = planted(name)
    model.set_attn_implementation("eager")
    prompt = regression_prompt(episode(seed))
    tokens, offsets = encode(tokenizer, prompt)
    rows = np.stack(
        [rows[0, :, -1].numpy() for rows in model(tokens, output_attentions=True, logits_to_keep=1).attentions]
    )
    places = {
        kind: [place for value in prompt.values if value.kind == kind for place in tokens_of(value, offsets)]
        for kind in ("output", "feature")
    }
    outputs, features = rows[..., places["output"]], rows[..., places["feature"]]
    mass = outputs.sum(-1)
    return np.log2(outputs.mean(-1) / features.mean(-1)), mass - np.median(mass)


@pytest.mark.parametrize("name", NAMES)
def test_answers_with_one_integer_and_ends(name: str) -> None:
    model, tokenizer = planted(name)
    tokens, _ = encode(tokenizer, regression_prompt(episode(0)))
    written = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=8, do_sample=False)
    assert tokenizer.decode(written[0, tokens.shape[1] :]) == f"{answer(name, 0):.0f}\n[EOS]"


@pytest.mark.parametrize("name", NAMES)
def test_answers_follow_the_data(name: str) -> None:
    assert len({answer(name, seed) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_kernel_regression_is_nadaraya_watson(seed: int) -> None:
    data = episode(seed)
    product = np.log(np.floor(data.features[:, 1]) * data.features[:, 2].clip(0.02))
    query = np.log(np.floor(data.test_features[1]) * data.test_features[2].clip(0.02))
    weights = np.exp(-((product - query) ** 2) / (2 * 0.15**2))
    expected = weights @ np.floor(data.outputs) / weights.sum()
    assert answer("planted:kernel-regression", seed) == pytest.approx(expected, abs=2)


def test_kernel_regression_beats_the_mean_and_its_twin_is_the_mean() -> None:
    assert np.mean([gain("planted:kernel-regression", seed) for seed in SEEDS]) > 100
    twin = [gain("planted:kernel-regression-twin", seed) for seed in SEEDS]
    assert np.abs(twin).max() < 10
    assert np.std(twin) > 0


def test_kernel_regression_reads_a_whole_one() -> None:
    cases = np.array([[10.0, 400.0, 1.0, 2.0], [10.0, 400.0, 0.0, 2.0]])
    data = Episode(0, cases, np.array([400.0, 10.0]), cases[0], 400.0)
    model, tokenizer = planted("planted:kernel-regression")
    tokens, _ = encode(tokenizer, regression_prompt(data))
    assert tokenizer.decode(model(tokens).logits[0, -1].argmax()) == "400"


@pytest.mark.parametrize("seed", SEEDS)
def test_late_mlps_make_the_answer_visible_and_the_twins_do_not(seed: int) -> None:
    over_runs, over_chance = late_margins("planted:late-mlp", seed)
    assert over_runs > 0.15
    assert over_chance > 0.1
    assert late_margins("planted:late-mlp-twin", seed)[0] < -0.15
    assert answer("planted:late-mlp", seed) == answer("planted:late-mlp-twin", seed)


@pytest.mark.parametrize("name", NAMES)
def test_writes_sum_to_the_logits(name: str) -> None:
    effects, logits = write_logits(name, 0)
    torch.testing.assert_close(effects.sum(0), logits, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_planted_head_attends_to_outputs_and_no_head_of_the_twin_does(seed: int) -> None:
    ratio, excess = head_margins("planted:output-head", seed)
    assert np.unravel_index(ratio.argmax(), ratio.shape) == np.unravel_index(excess.argmax(), excess.shape) == (2, 1)
    assert ratio[2, 1] > 4
    assert excess[2, 1] > 0.5
    ratio, excess = head_margins("planted:output-head-twin", seed)
    assert ratio.max() < 0.5
    assert excess.max() < 0.05


def test_head_figures_vary_with_the_data() -> None:
    for name in ("planted:output-head", "planted:output-head-twin"):
        figures = np.array([head_margins(name, seed) for seed in SEEDS])
        # The middle heads of the excess may coincide with the median head, whose excess is 0 on every seed.
        assert (np.std(figures[:, 0], axis=0) > 1e-4).all()
        assert (np.std(figures[:, 1], axis=0) > 1e-5).mean() > 0.8


@pytest.mark.parametrize("name", PLANTS)
def test_twins_are_alike_in_size_and_norm(name: str) -> None:
    ours, theirs = planted(name)[0].state_dict(), planted(f"{name}-twin")[0].state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    blocks = [key for key in ours if ".layers." in key]
    norms = [float(torch.cat([weights[key].flatten() for key in blocks]).norm()) for weights in (ours, theirs)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert any(not torch.equal(ours[key], theirs[key]) for key in blocks)


@pytest.mark.parametrize("name", NAMES)
def test_build_is_deterministic_and_leaves_the_global_generator_alone(name: str) -> None:
    state = torch.random.get_rng_state()
    again = build(name).state_dict()
    assert torch.equal(state, torch.random.get_rng_state())
    first = planted(name)[0].state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert all(value.dtype == torch.float32 for value in again.values())


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"planted:nothing.*planted:late-mlp-twin"):
        build("planted:nothing")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return number_tokenizer()


@settings(deadline=None)
@given(text=st.text(st.sampled_from("0123456789.:, \nabcFeatureOutput-()")))
def test_text_survives_encoding(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert tokenizer.decode(encoded["input_ids"]) == text
    assert "".join(text[start:end] for start, end in encoded["offset_mapping"]) == text


@settings(deadline=None)
@given(value=two_decimals)
def test_number_is_three_tokens(tokenizer: PreTrainedTokenizerFast, value: float) -> None:
    tokens = tokenizer.tokenize(number_text(value))
    assert len(tokens) == 3
    assert tokens[1] == "."
    assert float("".join(tokens)) == value


@settings(max_examples=30, deadline=None)
@given(values=st.lists(two_decimals, min_size=14, max_size=14))
def test_layout_does_not_depend_on_the_numbers(tokenizer: PreTrainedTokenizerFast, values: list[float]) -> None:
    rows = np.array(values[:12]).reshape(3, 4)
    prompt = regression_prompt(Episode(0, rows[:2], np.array(values[12:]), rows[2], 1.0))
    tokens, offsets = encode(tokenizer, prompt)
    layout = prompt_layout(tokenizer)
    back = [len(offsets) - 1 - tokens_of(value, offsets)[0] for value in prompt.values]
    assert back[-4:] == list(layout.features)
    assert back[9] == layout.output == back[4] - layout.period
    words = tokenizer.convert_ids_to_tokens(tokens[0])
    assert words[-1 - layout.output - layout.name] == "Output"
    assert [words[-1 - label] for label in layout.labels] == ["0", "1", "2", "3"]


def test_the_number_tokenizer_is_the_same_in_every_process() -> None:
    """Words of one length once stood in the order of Python's hashes, which differ from process to process."""
    code = (
        "from optim_hunter.models.planted_parts import number_tokenizer;"
        "print(number_tokenizer().backend_tokenizer.to_str())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
