"""Folders and configurations → modules and tokenizers, by transformers. No pickle, no remote code, no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

import torch
import transformers  # its models are imported when they are first named, which takes seconds
from safetensors import SafetensorError
from torch import nn
from transformers.utils import logging

from optim_hunter.claim import UserError

RANDOM_SEED = 0
"""Seed of the weights of `random:NAME`."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and log lines, which would stand amid pytest's output."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(ERROR)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _one_line_errors(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        if "trust_remote_code" in str(error):
            raise UserError(
                f"the {what} in {folder} needs code of its own, which is never run: save it as an architecture that "
                "transformers has"
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot open the {what} in {folder} ({reason}): check the folder or fetch it again") from error


def choose_device(device: str | None, needs_gpu: bool) -> str:
    """`device`, or the default one.

    Raises:
        UserError: the device is unknown or this machine lacks it.
    """
    chosen = device or ("cuda" if needs_gpu else "cpu")
    try:
        kind, index = torch.device(chosen).type, torch.device(chosen).index
    except RuntimeError as error:
        raise UserError(f"unknown device {chosen!r}: write cpu, cuda or cuda:0") from error
    if kind not in ("cpu", "cuda"):
        raise UserError(f"device {chosen!r} is not supported: write cpu, cuda or cuda:0")
    if kind == "cuda" and (index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UserError(
            f"device {chosen!r}: torch sees {count} GPUs here", "use --claims-device cpu or another machine"
        )
    return chosen


def choose_dtype(dtype: str | None, device: str) -> str:
    """`dtype`, or float32 on a CPU and bfloat16 on a GPU.

    Raises:
        UserError: the dtype is unknown.
    """
    chosen = dtype or ("float32" if device == "cpu" else "bfloat16")
    if chosen not in DTYPES:
        raise UserError(f"unknown dtype {chosen!r}: write {', '.join(DTYPES)}")
    return chosen


def load_model(folder: Path, dtype: str, device: str) -> transformers.PreTrainedModel:
    """The causal language model of a Hugging Face folder, with all its weights.

    Raises:
        UserError: the folder cannot be opened, or its weights are not those of its configuration.
    """
    with quiet(), _one_line_errors(folder, "model"):
        opened: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[dtype],
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    module, found = opened
    absent = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"]]))
    if absent:
        raise UserError(f"the model in {folder} has no fitting weights for {absent[0]}: fetch the folder again")
    return freeze(module, device)


def load_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    """The fast tokenizer of a Hugging Face folder.

    Raises:
        UserError: it cannot be opened, or gives no character offsets.
    """
    with quiet(), _one_line_errors(folder, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerFast):
        raise UserError(f"the tokenizer in {folder} gives no character offsets: save a fast one (tokenizer.json)")
    return tokenizer


def load_configuration(folder: Path) -> transformers.PreTrainedConfig:
    """The configuration of a Hugging Face folder.

    Raises:
        UserError: it cannot be opened.
    """
    with quiet(), _one_line_errors(folder, "configuration"):
        configuration = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    assert isinstance(configuration, transformers.PreTrainedConfig)
    return configuration


def context_of(configuration: transformers.PreTrainedConfig) -> int:
    """The longest prompt of an architecture, in tokens."""
    return int(configuration.get_text_config().max_position_embeddings)


def random_model(configuration: transformers.PreTrainedConfig, dtype: str, device: str) -> transformers.PreTrainedModel:
    """The configuration's architecture with the random weights of `RANDOM_SEED`, drawn on the device."""
    generators = [torch.device(device)] if device != "cpu" else []
    auto: Any = transformers.AutoModelForCausalLM
    with quiet(), torch.random.fork_rng(devices=generators), torch.device(device):
        torch.manual_seed(RANDOM_SEED)
        module = auto.from_config(configuration, dtype=DTYPES[dtype], attn_implementation="sdpa")
    return freeze(module, device)


def freeze(module: transformers.PreTrainedModel, device: str) -> transformers.PreTrainedModel:
    """The module itself, on its device, in evaluation mode, without gradients."""
    nn.Module.to(module, torch.device(device))
    nn.Module.eval(module)
    return module.requires_grad_(False)


def dequantise(gguf: Path, folder: Path) -> None:
    """Read a GGUF file and write it as float32 safetensors, configuration and tokenizer into `folder`.

    Raises:
        UserError: the file cannot be read.
    """
    with quiet(), _one_line_errors(gguf.parent, "GGUF file"):
        options: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
        module: Any = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **options)
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **options)
    # The weights are plain float32 now, but would be saved as quantised.
    del module.hf_quantizer, module.config.quantization_config
    module.is_quantized = False
    with quiet():
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
