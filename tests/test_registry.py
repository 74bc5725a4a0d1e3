"""Names of models: which exist, what is wrong with the others, and what opens."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from material import STORIES15M
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from optim_hunter.claim import UserError
from optim_hunter.models import planted, registry
from optim_hunter.models.registry import check_name, find_language_model, known_names, marker, open_language_model

REVISION = "0123456789abcdef0123456789abcdef01234567"
WORDS = ["<unk>", "<s>", "</s>", "one", "two", "three"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder whose tokenizer adds a BOS by itself as well."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def test_naming_models_imports_neither_torch_nor_transformers() -> None:
    code = "import sys; from optim_hunter.models import registry; registry.check_name('llama-3.1-8b')"
    code += "; assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_opening_a_model_imports_none_of_transformers_models() -> None:
    """They take seconds, and where all is kept nothing of a model is needed but its name and hash."""
    code = "import sys, optim_hunter; import optim_hunter.observe.regression, optim_hunter.observe.choices_language"
    code += "; optim_hunter.open_language_model('planted:kernel-regression')"
    code += "; assert 'transformers' in sys.modules; assert 'transformers.modeling_utils' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_table_is_accepted() -> None:
    for name in registry.ENTRIES:
        check_name(name)
    assert "planted:late-mlp" in known_names()
    assert "owner/name@REVISION" in known_names()


def test_the_table_has_the_planted_models_that_can_be_built() -> None:
    named = [name for name, entry in registry.ENTRIES.items() if entry.planted and entry.kind == "language"]
    assert sorted(named) == sorted(planted.NAMES)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("smollm2-135m", "language"),
        ("random:llama-3.1-8b", "language"),
        ("planted:late-mlp", "language"),
        ("./folder", "language"),
        ("recorded:llama-3.1-8b", "recorded"),
        ("linear", "linear"),
        ("planted:comma-raises-but-twin", "linear"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert registry.kind(name) == kind


@pytest.mark.parametrize(
    ("name", "device", "expected"),
    [
        ("smollm2-135m", None, "cpu"),
        ("smollm2-135m", "cuda:0", "gpu"),
        ("llama-3.1-8b", None, "gpu"),
        ("random:llama-3.1-8b-instruct", None, "gpu"),
        ("llama-3.1-8b", "cpu", "cpu"),
        ("planted:late-mlp", "cuda", "gpu"),
        ("recorded:llama-3.1-8b", "cuda", "cpu"),
        ("linear", None, "cpu"),
    ],
)
def test_markers(name: str, device: str | None, expected: str) -> None:
    assert marker(name, device) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2-135m", r"unknown model 'smolm2-135m': did you mean smollm2-135m\? known are smollm2-135m, .*llama"),
        ("", "unknown model '': known are .*random:NAME, owner/name@REVISION, FOLDER"),
        ("recorded:gpt", "unknown model 'recorded:gpt': .*recorded:llama-3.1-8b"),
        ("planted:nothing", r"unknown model 'planted:nothing': (did you mean .*\? )?known are (planted:[\w-]+(, )?)+$"),
        ("synthetic:", "unknown model 'synthetic:': .*synthetic:two-error-groups"),
        ("synthetic:foo", "unknown model 'synthetic:foo': .*synthetic:two-error-groups"),
        ("synthetic:extreme", r"did you mean synthetic:extreme-output\?"),
        ("regressor:", "no regressor '': choose one of linear_regression, "),
        ("random:nothing", "unknown model 'nothing': known are"),
        ("random:linear", "'random:linear': random weights need an architecture"),
        ("random:planted:late-mlp", "random weights need an architecture"),
        ("random:random:smollm2-135m", "random weights need an architecture"),
        ("owner/name", "'owner/name': there is no such folder, and a hub id is written owner/name@REVISION with"),
        ("owner/name@main", "with a commit of 40 hex digits"),
        (f"owner/name@{REVISION[1:]}", "with a commit of 40 hex digits"),
        ("some/deep/folder", "'some/deep/folder': there is no such folder"),
        ("./absent", "there is no folder absent: give the path"),
        ("random:/absent", "there is no folder /absent"),
    ],
)
def test_a_wrong_name_is_explained(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_name(name)
    assert "\n" not in str(caught.value)


def test_a_pinned_hub_id_is_accepted() -> None:
    check_name(f"owner/some-name.v1@{REVISION}")
    check_name(f"random:owner/some-name.v1@{REVISION}")


def without_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


def with_half_a_configuration(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type":')


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def with_pickles_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_configuration, "has no config.json: it is no Hugging Face model folder"),
        (with_half_a_configuration, "has a config.json that is no JSON object"),
        (without_tokenizer, "has no tokenizer.json: save the model's fast tokenizer"),
        (with_pickles_only, r"has no \*.safetensors weights \(pytorch_model.bin: pickle files are never opened\)"),
        (without_weights, r"has no \*.safetensors weights: save them with model.save_pretrained"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(copy: Path, damage: Callable[[Path], None], message: str) -> None:
    check_name(str(copy))
    damage(copy)
    with pytest.raises(UserError, match=message):
        check_name(str(copy))
    with pytest.raises(UserError, match=message):
        open_language_model(str(copy), None, None)


def test_a_folder_opens_ready_for_passes(tiny: Path) -> None:
    model = open_language_model(str(tiny), None, None)
    assert (model.context, model.module.config.num_hidden_layers) == (64, 3)
    assert (model.device, model.dtype, model.module.dtype) == ("cpu", "float32", torch.float32)
    assert model.module.config._attn_implementation == "sdpa"
    assert not model.module.training
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert model.provenance.source == f"folder {tiny}"
    assert model.provenance.sha256 == registry.Folder(tiny).fetch().provenance.sha256
    assert open_language_model(str(tiny), "cpu", "bfloat16").module.dtype == torch.bfloat16


def with_another_word(settings: dict[str, Any]) -> None:
    words = settings["model"]["vocab"]
    words["one"], words["two"] = words["two"], words["one"]


def with_another_bos(settings: dict[str, Any]) -> None:
    settings["bos_token"] = "</s>"


def with_half_the_context(settings: dict[str, Any]) -> None:
    settings["max_position_embeddings"] //= 2


def with_another_end(settings: dict[str, Any]) -> None:
    settings["eos_token_id"] = 4


@pytest.mark.parametrize(
    ("file", "edit"),
    [
        ("tokenizer.json", with_another_word),
        ("tokenizer_config.json", with_another_bos),
        ("config.json", with_half_the_context),
        ("generation_config.json", with_another_end),
    ],
)
def test_the_same_weights_with_other_settings_are_another_model(
    copy: Path, file: str, edit: Callable[[dict[str, Any]], None]
) -> None:
    settings = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps(settings))
    before = find_language_model(str(copy)).fingerprint
    assert find_language_model(str(copy)).fingerprint == before
    edit(settings)
    (copy / file).write_text(json.dumps(settings))
    assert find_language_model(str(copy)).fingerprint != before


def test_encoding_puts_exactly_one_bos_in_front(tiny: Path) -> None:
    model = open_language_model(str(tiny), None, None)
    encoded = model.encode("one  two three")
    assert encoded.ids == [1, 3, 4, 5]
    assert encoded.offsets == [(0, 0), (0, 3), (5, 8), (9, 14)]
    assert model.encode("<s> one").ids == [1, 3]
    assert model.encode("").ids == [1]
    assert model.decode([1, 3, 4, 2]) == "one two"


def test_a_tokenizer_without_bos_gets_none(copy: Path) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    del settings["bos_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    assert open_language_model(str(copy), None, None).encode("one").ids == [3]


def test_weights_that_are_missing_are_never_drawn_at_random(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"no fitting weights for model\.layers\.1\.mlp\.up_proj\.weight"):
        _ = open_language_model(str(copy), None, None).module


def test_half_a_weight_file_is_named(copy: Path) -> None:
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cannot open the model in .*copy \(.*\): check the folder or fetch it again"):
        _ = open_language_model(str(copy), None, None).module


def test_code_in_a_folder_is_never_run(copy: Path) -> None:
    (copy / "evil.py").write_text("raise SystemExit('ran')")
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="needs code of its own, which is never run"):
        open_language_model(str(copy), None, None)


def test_random_weights_are_those_of_the_seed_and_leave_the_generator_alone(tiny: Path) -> None:
    state = torch.random.get_rng_state()
    first, second = (open_language_model(f"random:{tiny}", None, None) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    drawn, again = first.module.state_dict(), second.module.state_dict()
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)
    stored = load_file(tiny / "model.safetensors")
    assert not torch.equal(drawn["model.layers.0.mlp.up_proj.weight"], stored["model.layers.0.mlp.up_proj.weight"])
    assert first.provenance.source == "random weights"
    assert str(tiny) in first.provenance.note


def test_random_weights_need_no_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert open_language_model(f"random:{copy}", None, None).module.config.num_hidden_layers == 3


def test_random_llama_has_the_published_architecture_and_the_number_tokenizer() -> None:
    config, tokenizer, origin = registry._architecture("llama-3.1-8b")
    with torch.device("meta"):
        module = LlamaForCausalLM(config)
    assert sum(parameter.numel() for parameter in module.parameters()) == 8_030_261_248
    assert config.rope_parameters["rope_type"] == "llama3"
    assert config.rope_parameters["factor"] == 8.0
    assert len(tokenizer("487.12", add_special_tokens=False)["input_ids"]) == 3
    assert origin.endswith("number tokenizer of the planted models")


def test_the_published_configuration_is_read_alike_in_the_hubs_form() -> None:
    published = registry._package_data("llama31_8b_config.json")["config"]
    scaling = dict(published["rope_parameters"])
    older = {key: value for key, value in published.items() if key != "rope_parameters"}
    older |= {"rope_theta": scaling.pop("rope_theta"), "rope_scaling": scaling}
    assert AutoConfig.for_model(**older).rope_parameters == AutoConfig.for_model(**published).rope_parameters


@pytest.mark.parametrize("name", ["planted:kernel-regression", "planted:late-mlp-twin"])
def test_planted_models_open_in_float32_whatever_the_claims_run_in(name: str) -> None:
    model = open_language_model(name, None, "bfloat16")
    assert (model.dtype, model.module.dtype) == ("float32", torch.float32)
    assert model.encode("1.5").ids[0] == model.tokenizer.bos_token_id


@pytest.mark.parametrize("name", ["recorded:llama-3.1-8b", "linear", "planted:comma-raises-but"])
def test_what_has_no_weights_cannot_be_opened(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} has no weights to run: take smollm2-135m"):
        open_language_model(name, None, None)


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("gpu", None, "unknown device 'gpu': write cpu, cuda or cuda:0"),
        ("meta", None, "device 'meta' is not supported"),
        ("cuda:99", None, "device 'cuda:99': torch sees"),
        ("cpu", "float8", "unknown dtype 'float8': write float32, bfloat16, float16"),
    ],
)
def test_a_wrong_device_or_dtype_is_explained(tiny: Path, device: str, dtype: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_language_model(str(tiny), device, dtype)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_a_gpu_model_without_gpu_says_so_before_any_download() -> None:
    with pytest.raises(UserError, match="torch sees 0 GPUs here: use --claims-device cpu"):
        open_language_model("llama-3.1-8b", None, None)


def test_recorded_predictions_have_their_source() -> None:
    recorded = registry.recorded_predictions("recorded:llama-3.1-8b")
    assert "G-structure/optim-hunt" in recorded["what"]
    assert recorded["seeds"] == list(range(100))
    assert recorded["examples"] == 50
    assert {len(values) for values in recorded["predictions"].values()} == {100}
    with pytest.raises(UserError, match=r"has no recorded predictions: take recorded:llama-3\.1-8b"):
        registry.recorded_predictions("linear")


@STORIES15M.needed
def test_a_real_folder_opens() -> None:
    model = open_language_model(str(STORIES15M.path), None, None)
    assert (model.module.config.num_hidden_layers, model.context) == (6, 256)
    text = "Once upon a time, there was"
    encoded = model.encode(text)
    assert encoded.ids[:2] == [1, 9038]
    assert model.decode(encoded.ids) == text
