"""The pass against independent instruments: transformers' eager attention and TransformerLens."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from optim_hunter.claim import NEEDS, InvalidInstrument, UserError
from optim_hunter.observe.attribution import direct_contributions
from optim_hunter.observe.instruments import decoder_parts, read_last_position
from optim_hunter.observe.plan import Asked, unite
from optim_hunter.observe.regression import RegressionPass
from optim_hunter.tasks.prompts import regression_prompt, tokens_of
from optim_hunter.tasks.regression import RegressionTask, draw

TASK = RegressionTask(examples=5)
SEEDS = frozenset(range(10))
EVERYTHING = Asked(NEEDS, SEEDS)


@pytest.fixture
def tokens():
    return torch.randint(0, 2000, (1, 40), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def seen(tiny_model, tokens):
    module = tiny_model.module
    with torch.inference_mode():
        return read_last_position(module, decoder_parts(module), lambda: module(tokens), rows=True)


def test_rows_and_residual_agree_with_eager_attention(tiny_model, tokens, seen):
    eager = copy.deepcopy(tiny_model.module)
    eager.set_attn_implementation("eager")
    with torch.inference_mode():
        output = eager(tokens, output_attentions=True)
    for row, attention in zip(seen.rows, output.attentions, strict=True):
        torch.testing.assert_close(row, attention[0, :, -1], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.logits, output.logits[0, -1], atol=1e-4, rtol=0)


def test_contributions_add_up_to_the_logits(tiny_model, seen):
    candidates = [3, 500, 1999]
    with torch.inference_mode():
        contributions = direct_contributions(seen, decoder_parts(tiny_model.module), candidates)
    torch.testing.assert_close(contributions.sum(0), seen.logits[candidates], atol=1e-4, rtol=0)


def test_writes_and_rows_agree_with_transformer_lens(tiny_model, tokens, seen, tmp_path):
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    copied = copy.deepcopy(tiny_model.module)
    copied.save_pretrained(tmp_path)
    tiny_model.tokenizer.save_pretrained(tmp_path)
    bridge = TransformerBridge.boot_transformers(
        str(tmp_path), hf_model=copied, tokenizer=AutoTokenizer.from_pretrained(tmp_path), device="cpu"
    )
    with torch.inference_mode():
        _, cache = bridge.run_with_cache(tokens)
        writes = cache.decompose_resid(layer=None, mode="all", pos_slice=-1)
    torch.testing.assert_close(seen.writes, writes[:, 0], atol=1e-4, rtol=0)
    for layer, row in enumerate(seen.rows):
        torch.testing.assert_close(row, cache[f"blocks.{layer}.attn.hook_pattern"][0, :, -1], atol=1e-4, rtol=0)


def test_prompts_that_share_their_start_show_what_they_show_alone(tiny_model):
    shorter = replace(TASK, examples=3)
    together = RegressionPass(tiny_model, {TASK: EVERYTHING, shorter: EVERYTHING})
    alone = RegressionPass(tiny_model, {TASK: EVERYTHING})
    both, one = together.observe(TASK, 7), alone.observe(TASK, 7)
    assert together.tokens_run < 1.6 * alone.tokens_run
    assert both.answer == one.answer
    np.testing.assert_allclose(both.attention.outputs, one.attention.outputs, atol=1e-5)
    np.testing.assert_allclose(both.attribution.contributions, one.attribution.contributions, atol=1e-4)


def test_pair_is_taken_where_the_answers_part(tiny_model):
    observed = RegressionPass(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0)
    baseline, own = observed.pair_attribution.pair_text
    assert baseline != own
    assert own in observed.answer


def test_published_pair_is_that_of_seed_0_for_every_seed(tiny_model):
    task = replace(TASK, pair="seed 0")
    published = RegressionPass(tiny_model, {task: EVERYTHING})
    texts = {published.observe(task, seed).attribution.pair_text for seed in range(3)}
    last = RegressionPass(tiny_model, {task: Asked({"attribution"}, SEEDS)}).observe(task, 2)
    np.testing.assert_allclose(
        published.observe(task, 2).attribution.contributions, last.attribution.contributions, atol=1e-5
    )
    own = RegressionPass(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0).attribution.pair_text
    assert texts == {own}


def test_attention_mass_counts_the_tokens_of_the_values(tiny_model):
    observed = RegressionPass(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0)
    prompt = regression_prompt(draw(TASK, 0))
    encoded = tiny_model.encode(prompt.text)
    outputs = [tokens_of(value, encoded.offsets) for value in prompt.values if value.kind == "output"]
    assert observed.attention.output_tokens == sum(map(len, outputs)) == 15
    assert observed.attention.feature_tokens == 3 * 4 * 6


def test_a_model_that_gives_nan_is_invalid(tiny_model):
    broken = replace(tiny_model, module=copy.deepcopy(tiny_model.module))
    broken.module.model.layers[1].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(InvalidInstrument, match=r"tiny gives logits that are not finite on seed 3: check its weights"):
        RegressionPass(broken, {TASK: EVERYTHING}).observe(TASK, 3)


def test_a_failed_check_is_invalid(tiny_model, monkeypatch):
    from optim_hunter.observe import checks

    monkeypatch.setitem(checks.TOLERANCES["float32"], "residual stream", 0.0)
    with pytest.raises(InvalidInstrument, match=r"tiny, seed 0: check 'residual stream' failed"):
        RegressionPass(tiny_model, {TASK: EVERYTHING}).observe(TASK, 0)


def test_a_prompt_longer_than_the_context_is_refused_before_any_pass(tiny_model):
    short = replace(tiny_model, module=copy.deepcopy(tiny_model.module))
    short.module.config.max_position_embeddings = 100
    passes = RegressionPass(short, {TASK: EVERYTHING})
    with pytest.raises(UserError, match=r"takes 312 tokens with its answer, but tiny reads at most 100: choose"):
        passes.check_length(TASK, 0)
    assert passes.forward_passes == 0


def test_another_architecture_is_refused():
    with pytest.raises(UserError, match="is not built like Llama"):
        decoder_parts(torch.nn.Linear(2, 2))


def test_a_seed_runs_only_the_tasks_that_asked_for_it(tiny_model):
    other = replace(TASK, examples=3)
    plans = unite([(TASK, {"answer"}, [0]), (other, {"attention"}, [1]), (TASK, {"attention"}, [2])])
    passes = RegressionPass(tiny_model, plans["friedman_2"])
    assert passes.observe(TASK, 0).attention.output_tokens == 15
    before = passes.tokens_run
    passes.observe(other, 1)
    assert passes.tokens_run - before == len(tiny_model.encode(regression_prompt(draw(other, 1)).text).ids)


def test_what_was_not_asked_for_is_refused_with_the_remedy(tiny_model):
    observed = RegressionPass(tiny_model, {TASK: Asked({"attention"}, SEEDS)}).observe(TASK, 0)
    with pytest.raises(UserError, match="this observation shows no answer: add 'answer' to the claim's needs"):
        _ = observed.prediction
