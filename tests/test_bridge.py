"""The bridge: TransformerLens' view and the plain one over one set of weights."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import optim_hunter
from fixtures.architectures import VOUCHED, random_model
from fixtures.models import language_model
from optim_hunter.claim import UserError
from optim_hunter.models.bridge import second_view
from optim_hunter.models.planted import number_tokenizer

TEXT = "Feature 0: 1.52\nOutput: 7.1\n"


def tokens_of(model):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, len(model.tokenizer), (2, 20), generator=generator)


def all_tensors(module):
    """Every parameter and buffer of every module, shared ones as often as they occur."""
    for part in module.modules():
        yield from (tensor for tensor in (*part._parameters.values(), *part._buffers.values()) if tensor is not None)


def described(module):
    """What an onlooker can see of a module: its parts, their hooks, their forward, its attention."""
    parts = [
        (name, type(part), part.forward.__func__, len(part._forward_hooks), len(part._forward_pre_hooks))
        for name, part in module.named_modules()
    ]
    return parts, module.config.to_dict(), module.config._attn_implementation, module.training


@pytest.fixture(scope="module", params=VOUCHED)
def pair(request):
    """A model of each architecture, what it was and said before it was bridged, and its bridge."""
    model = language_model(random_model(VOUCHED[request.param]))
    before = described(model.module), model.module(tokens_of(model)).logits
    return model, before, optim_hunter.bridge(model)


def test_both_views_have_one_set_of_weights(pair):
    model, _, bridged = pair
    stored = {tensor.untyped_storage().data_ptr() for tensor in all_tensors(model.module)}
    for parameter in bridged.parameters():
        assert parameter.untyped_storage().data_ptr() in stored
    own = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for tensor in (*all_tensors(bridged), *all_tensors(bridged.original_model))
        if tensor.untyped_storage().data_ptr() not in stored
    }
    # The bridge adds an unembedding bias of zeros where a model has none.
    assert sum(own.values()) <= 4 * len(model.tokenizer)


def test_the_plain_model_stays_as_it_was(pair):
    model, (shape, logits), bridged = pair
    bridged.run_with_cache(tokens_of(model))
    assert described(model.module) == shape
    assert torch.equal(model.module(tokens_of(model)).logits, logits)


def test_both_views_give_the_same_logits(pair):
    model, (_, logits), bridged = pair
    torch.testing.assert_close(bridged(tokens_of(model)), logits, atol=1e-4, rtol=1e-5)


def test_both_views_make_the_same_tokens(pair):
    model, _, bridged = pair
    assert bridged.to_tokens(TEXT)[0].tolist() == model.encode(TEXT).ids


def test_writes_are_there_by_their_names(pair):
    model, _, bridged = pair
    names = [
        f"blocks.{layer}.hook_{part}_out"
        for layer in range(model.module.config.num_hidden_layers)
        for part in ("attn", "mlp")
    ]
    _, seen = bridged.run_with_cache(tokens_of(model), names_filter=["hook_embed", *names])
    assert {seen[name].shape for name in ("hook_embed", *names)} == {(2, 20, 48)}


def test_hooks_of_one_view_do_not_fire_in_the_other(pair):
    model, (_, logits), bridged = pair
    fired = []

    def ablate(write, hook):
        fired.append(hook.name)
        return torch.zeros_like(write)

    with bridged.hooks(fwd_hooks=[("blocks.0.hook_mlp_out", ablate)]):
        assert torch.equal(model.module(tokens_of(model)).logits, logits)
        assert not fired
        assert not torch.allclose(bridged(tokens_of(model)), logits, atol=1e-3)
    assert fired


def test_an_edit_of_one_view_is_an_edit_of_the_other(pair):
    model, (_, logits), bridged = pair
    ends = ("v_proj.weight", "c_attn.weight", "query_key_value.weight")
    weight = next(weight for name, weight in model.module.named_parameters() if name.endswith(ends))
    weight.neg_()
    edited = model.module(tokens_of(model)).logits
    seen = bridged(tokens_of(model))
    weight.neg_()
    assert not torch.allclose(edited, logits, atol=1e-3)
    torch.testing.assert_close(seen, edited, atol=1e-4, rtol=1e-5)


def test_gradients_of_the_bridge_are_its_own(pair):
    model, _, bridged = pair
    bridged.original_model.requires_grad_(True)
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    bridged.original_model.requires_grad_(False)


def test_tied_embeddings_stay_tied():
    module = random_model(VOUCHED["llama"] | {"tie_word_embeddings": True})
    view = second_view(module, "sdpa")
    assert view.lm_head.weight is view.model.embed_tokens.weight
    assert view.lm_head.weight.data_ptr() == module.lm_head.weight.data_ptr()


def test_compatibility_mode_leaves_the_plain_weights_alone():
    model = language_model(random_model(VOUCHED["llama"]))
    logits = model.module(tokens_of(model)).logits
    optim_hunter.bridge(model).enable_compatibility_mode(disable_warnings=True)
    assert torch.equal(model.module(tokens_of(model)).logits, logits)


def test_a_tokenizer_without_bos_gets_none():
    tokenizer = number_tokenizer()
    tokenizer.bos_token = None
    model = replace(language_model(random_model(VOUCHED["qwen2"])), open_tokenizer=lambda: tokenizer)
    assert optim_hunter.bridge(model).to_tokens(TEXT)[0].tolist() == model.encode(TEXT).ids


def test_an_architecture_that_cannot_be_bridged_is_refused():
    model = language_model(random_model({"model_type": "ctrl", "n_embd": 48, "n_layer": 2, "n_head": 6, "dff": 80}))
    with pytest.raises(UserError, match=r"no bridge for CTRLLMHeadModel .* put forward hooks on model.module"):
        optim_hunter.bridge(model)


def test_an_architecture_whose_weights_would_be_copied_is_refused():
    small = {"model_type": "bloom", "hidden_size": 48, "n_layer": 2, "n_head": 6}
    with pytest.raises(UserError, match="would keep a copy of"):
        optim_hunter.bridge(language_model(random_model(small)))


def test_the_name_is_there_without_torch():
    code = "import sys, optim_hunter; assert 'bridge' in optim_hunter.__all__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'bridges'"):
        optim_hunter.bridges  # noqa: B018
