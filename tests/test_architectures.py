"""Every architecture, read in a left-padded batch, against two instruments that read each prompt alone.

References are transformers' eager attention and TransformerLens 4. All differences are below 1e-4, absolute, in
float32: the weights are random, residual streams have norms of 13 to 103 and logits reach 4 to 6.
"""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from fixtures.architectures import DISAGREEING, NOT_CLOSING, REFUSED, TRIED, VOUCHED, WINDOW, random_model
from optim_hunter.claim import UserError
from optim_hunter.observe.agreement import disagreement
from optim_hunter.observe.heads import head_writes
from optim_hunter.observe.instruments import read_batch
from optim_hunter.observe.layouts import decoder_parts
from optim_hunter.observe.logits import direct_contributions
from optim_hunter.observe.norms import affine_norm

LENGTHS = (21, 30, 13)
CANDIDATES = [3, 500, 1999]
CLOSE = {"atol": 1e-4, "rtol": 0.0}


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 2000, (length,), generator=generator).tolist() for length in LENGTHS]


@pytest.fixture(scope="module", params=[*VOUCHED, *TRIED])
def model(request):
    return random_model((VOUCHED | TRIED)[request.param])


@pytest.fixture(scope="module")
def parts(model):
    return decoder_parts(model)


def read_last(model, parts, prompts):
    """A reading of the batch without the dimension of positions: the last one alone was asked for."""
    with torch.inference_mode():
        seen = read_batch(model, parts, prompts, rows=True, heads=True)
    return replace(
        seen,
        writes=seen.writes.squeeze(1),
        residual=seen.residual.squeeze(1),
        rows=[rows.squeeze(2) for rows in seen.rows],
        heads_input=seen.heads_input.squeeze(1),
    )


@pytest.fixture(scope="module")
def reading(model, parts, prompts):
    return read_last(model, parts, prompts)


@pytest.fixture(scope="module")
def eager(model, prompts):
    """Output of transformers' own eager attention for each prompt alone."""
    alone = copy.deepcopy(model)
    alone.set_attn_implementation("eager")
    with torch.inference_mode():
        return [alone(torch.tensor([prompt]), output_attentions=True, output_hidden_states=True) for prompt in prompts]


@pytest.fixture(scope="module")
def caches(model, prompts, tmp_path_factory):
    """What TransformerLens caches of each prompt alone."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    from optim_hunter.models.planted import number_tokenizer

    folder = tmp_path_factory.mktemp("bridge")
    model.config.save_pretrained(folder)
    number_tokenizer().save_pretrained(folder)
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=copy.deepcopy(model), tokenizer=AutoTokenizer.from_pretrained(folder), device="cpu"
    )
    with torch.inference_mode():
        return [bridge.run_with_cache(torch.tensor([prompt]))[1] for prompt in prompts]


def lens_components(cache, **options):
    """Components as ours: one for what is embedded, tokens and (GPT-2) positions; then the blocks."""
    stack, labels = cache.decompose_resid(layer=None, mode="all", pos_slice=-1, return_labels=True, **options)
    embedded = sum(label.endswith("embed") for label in labels)
    return torch.cat([stack[:embedded].sum(0), stack[embedded:, 0]])


def lens_head_writes(cache, layer):
    """Each head through W_O, and through the norm after the block, which TransformerLens leaves out."""
    cache.compute_head_results()
    writes = cache["result", layer, "attn"][0, -1]
    after = f"blocks.{layer}.ln1_post"
    if f"{after}.hook_scale" in cache:
        norm = cache.model.blocks[layer].ln1_post
        gain = 1 + norm.weight if norm.uses_weight_offset else norm.weight
        writes = writes / cache[f"{after}.hook_scale"][0, -1] * gain
    return writes


def test_rows_agree_with_eager_attention(reading, eager):
    for rows, output in zip(reading.rows, eager, strict=True):
        expected = torch.stack([attention[0, :, -1] for attention in output.attentions])
        assert_close(rows, expected, **CLOSE)


def test_logits_agree_with_eager_attention_after_the_cap(model, reading, eager):
    cap = getattr(model.config, "final_logit_softcapping", None)
    capped = cap * torch.tanh(reading.logits / cap) if cap else reading.logits
    assert_close(capped, torch.cat([output.logits[:, -1] for output in eager]), **CLOSE)


def test_writes_agree_with_the_hidden_states_of_eager_attention(parts, reading, eager):
    stream = torch.stack([torch.cat([state[:, -1] for state in output.hidden_states]) for output in eager])
    layers = len(parts.layers)
    summed = reading.writes.cumsum(1)[:, 0 : 2 * layers : 2]
    assert_close(summed, stream[:, :layers], **CLOSE)
    with torch.inference_mode():
        assert_close(parts.norm(reading.residual), stream[:, layers], **CLOSE)


def test_writes_and_rows_agree_with_transformer_lens(parts, reading, caches):
    for row, cache in enumerate(caches):
        assert_close(reading.writes[row], lens_components(cache), **CLOSE)
        patterns = [cache["pattern", layer][0, :, -1] for layer in range(len(parts.layers))]
        assert_close(reading.rows[row], torch.stack(patterns), **CLOSE)


def test_writes_add_up_to_the_residual_stream_and_rows_to_one(reading):
    assert_close(reading.writes.sum(1), reading.residual, **CLOSE)
    for rows in reading.rows:
        assert_close(rows.sum(-1), torch.ones_like(rows[..., 0]), **CLOSE)


def test_contributions_add_up_to_the_logits(parts, reading):
    contributions, constant = direct_contributions(reading.writes, reading.residual, parts, CANDIDATES)
    assert_close(contributions.sum(1) + constant, reading.logits[:, CANDIDATES], **CLOSE)


def test_contributions_agree_with_transformer_lens(parts, reading, caches):
    contributions, _ = direct_contributions(reading.writes, reading.residual, parts, CANDIDATES)
    for row, cache in enumerate(caches):
        final = cache.model.ln_final
        gain = 1 + final.weight if final.uses_weight_offset else final.weight
        directions = parts.unembed.weight[CANDIDATES].T
        assert_close(contributions[row], lens_components(cache, apply_ln=True) * gain @ directions, **CLOSE)


def test_heads_and_biases_add_up_to_the_attention_write(parts, reading):
    for layer in range(len(parts.layers)):
        heads, rest = head_writes(parts, layer, reading.heads_input[:, layer])
        assert_close(heads.sum(1) + rest, reading.writes[:, 1 + 2 * layer], **CLOSE)


def test_heads_agree_with_transformer_lens(parts, reading, caches):
    for layer in range(len(parts.layers)):
        heads, _ = head_writes(parts, layer, reading.heads_input[:, layer])
        for row, cache in enumerate(caches):
            assert_close(heads[row], lens_head_writes(cache, layer), **CLOSE)


def test_weights_in_bfloat16_are_used_in_float32(model, reading):
    half = copy.deepcopy(model).bfloat16()
    rounded, full = decoder_parts(half), decoder_parts(copy.deepcopy(half).float())
    seen = reading.writes, reading.residual
    assert_close(direct_contributions(*seen, rounded, CANDIDATES), direct_contributions(*seen, full, CANDIDATES))
    heads = reading.heads_input[:, 0]
    assert_close(head_writes(rounded, 0, heads), head_writes(full, 0, heads))


def test_gemma_has_windows_and_caps_that_matter(prompts):
    module = random_model(VOUCHED["gemma2"])
    tokens = torch.tensor([prompts[1]])
    output = module(tokens, output_attentions=True)
    seen = [int((attention[0, :, -1] > 0).any(0).sum()) for attention in output.attentions]
    assert seen == [WINDOW, len(prompts[1]), WINDOW]
    for layer in module.model.layers:
        layer.self_attn.attn_logit_softcapping = None
    assert (module(tokens).logits - output.logits).abs().max() > 0.01
    module.config.final_logit_softcapping = None
    assert module(tokens).logits.abs().max() > 1.01 * output.logits.abs().max()


@pytest.mark.parametrize("name", NOT_CLOSING)
def test_a_model_that_changes_its_writes_before_it_adds_them_does_not_close(name, prompts):
    module = random_model(NOT_CLOSING[name])
    reading = read_last(module, decoder_parts(module), prompts)
    error = (reading.writes.sum(1) - reading.residual).norm(dim=-1) / reading.residual.norm(dim=-1)
    assert error.min() > 0.1


def test_the_pass_says_what_the_model_says(model, parts):
    before = model.config._attn_implementation
    assert disagreement(model, parts) < 1e-5
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("name", DISAGREEING)
def test_what_the_sums_do_not_show_the_disagreement_shows(name):
    module = random_model(DISAGREEING[name])
    assert disagreement(module, decoder_parts(module)) > 0.01


@pytest.mark.parametrize("reason", REFUSED)
def test_a_model_that_is_not_built_like_a_known_decoder_is_refused(reason):
    with pytest.raises(UserError, match=rf"is not built like a decoder .*{reason}.*\): choose a model of the Llama"):
        decoder_parts(random_model(REFUSED[reason]))


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
@pytest.mark.parametrize("weight", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_is_recognised_whatever_its_weights(name, weight, dtype):
    module = decoder_parts(random_model(VOUCHED[name])).norm.to(dtype)
    module.weight.fill_(weight)
    norm = affine_norm(module)
    torch.testing.assert_close(norm.gain, module.weight.float() + (name == "gemma2"))
    assert norm.centred == (name == "gpt2")


class Hardtanh(nn.Hardtanh):
    weight, eps = nn.Parameter(torch.ones(4)), 1e-6


@pytest.mark.parametrize("module", [nn.Identity(), Hardtanh()])
def test_a_norm_of_another_kind_is_refused(module):
    with pytest.raises(UserError, match=r"is neither an RMSNorm nor a LayerNorm, .*: choose a model"):
        affine_norm(module)
